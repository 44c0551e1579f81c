{{/* The configuration as the program reads it: what was given, with the Lease and Vault's token filled in. */}}
{{- define "provisioner.config" -}}
{{- include "provisioner.refusals" . -}}
{{- $config := deepCopy .Values.config -}}
{{- $_ := set $config "server" (include "provisioner.server" . | fromYaml) -}}
{{- $lease := dict "lease_name" (include "provisioner.fullname" .) "namespace" .Release.Namespace -}}
{{- $_ := set $config "leader_election" (merge dict (default (dict "enabled" true) $config.leader_election) $lease) -}}
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

{{/* Where the program listens: what was given, with what a pod needs filled in. */}}
{{- define "provisioner.server" -}}
{{- $needed := dict "listen" "0.0.0.0:8080" "admin_socket" "/run/provisioner/admin.sock" -}}
{{- merge dict (default dict (default dict .Values.config).server) $needed | toYaml -}}
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
