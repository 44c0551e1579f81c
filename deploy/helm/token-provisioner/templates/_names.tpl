{{/* The name of everything: the release's, when that says what it is. `deploy/provisioner` for a release `provisioner`. */}}
{{- define "provisioner.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if .Values.fullnameOverride -}}
{{- include "provisioner.label" .Values.fullnameOverride -}}
{{- else if contains "provisioner" .Release.Name -}}
{{- include "provisioner.label" .Release.Name -}}
{{- else -}}
{{- include "provisioner.label" (printf "%s-%s" .Release.Name $name) -}}
{{- end -}}
{{- end -}}

{{/* A DNS label of a name, with room for what is put behind it: a release may have dots in its name, a Service may not. */}}
{{- define "provisioner.label" -}}
{{- regexReplaceAll "-+$" (. | replace "." "-" | trunc 52) "" -}}
{{- end -}}

{{- define "provisioner.selector" -}}
app.kubernetes.io/name: {{ default .Chart.Name .Values.nameOverride | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end -}}

{{- define "provisioner.labels" -}}
{{ include "provisioner.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service | quote }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | quote }}
{{- end -}}

{{- define "provisioner.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "provisioner.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "provisioner.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}
{{- end -}}

{{- define "provisioner.port" -}}
{{- (include "provisioner.server" . | fromYaml).listen | splitList ":" | last | atoi -}}
{{- end -}}
