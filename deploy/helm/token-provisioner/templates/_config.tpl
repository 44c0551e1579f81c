{{/* The configuration as the program reads it: what was given, with the Lease and Vault's token filled in. */}}
{{- define "provisioner.config" -}}
{{- include "provisioner.refusals" . -}}
{{- $config := deepCopy .Values.config -}}
{{- $lease := dict "lease_name" (include "provisioner.fullname" .) "namespace" .Release.Namespace -}}
{{- $_ := set $config "leader_election" (merge (default dict $config.leader_election) $lease) -}}
{{- if .Values.vaultToken.enabled -}}
{{- range $store := $config.stores -}}
{{- range $login := list $store.auth $store.reader -}}
{{- if kindIs "map" $login -}}
{{- if and (eq (toString $login.method) "kubernetes") (not $login.jwt) -}}
{{- $_ := set $login "jwt" (dict "file" "/var/run/secrets/vault/token") -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- toYaml $config -}}
{{- end -}}

{{/* What on_rotate restarts, as {namespace: {resource: [name]}}. */}}
{{- define "provisioner.restarts" -}}
{{- $all := dict -}}
{{- range $token := .Values.config.tokens -}}
{{- range $action := $token.on_rotate -}}
{{- with $action.restart -}}
{{- $namespace := default $.Release.Namespace .namespace -}}
{{- $resource := printf "%ss" (lower .kind) -}}
{{- $resources := default dict (get $all $namespace) -}}
{{- $names := append (default list (get $resources $resource)) .name -}}
{{- $_ := set $resources $resource (uniq $names | sortAlpha) -}}
{{- $_ := set $all $namespace $resources -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- toYaml $all -}}
{{- end -}}
