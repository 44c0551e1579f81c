{{/* What must be set, and what cannot work: all of it at once, each with an example. */}}
{{- define "provisioner.refusals" -}}
{{- $config := .Values.config -}}
{{- $lines := list -}}
{{- if not $config.instance -}}
{{- $lines = append $lines "config.instance is missing: a name for this deployment, part of the mark on every token\n      instance: prod-eu" -}}
{{- end -}}
{{- if not $config.issuers -}}
{{- $lines = append $lines "config.issuers is missing: at least one InfluxDB that issues tokens; secretMounts mounts what it is called with\n      issuers:\n        core: {type: influxdb3, url: \"https://influxdb3:8181\", auth: {file: /var/run/secrets/influxdb3/token}}" -}}
{{- end -}}
{{- if not $config.stores -}}
{{- $lines = append $lines "config.stores is missing: at least one place that tokens are written to\n      stores:\n        vault: {type: vault, address: \"https://vault:8200\", auth: {method: kubernetes, role: provisioner}}" -}}
{{- end -}}
{{- if $lines -}}
{{- fail (printf "\n\nthe chart needs %d more of the three values that only you know:\n\n- %s\n\nPut them under `config:` in a file of values (docs/kubernetes.md); it is the configuration of docs/configuration.md.\n" (len $lines) (join "\n- " $lines)) -}}
{{- end -}}
{{- if or (hasPrefix "127." $config.server.listen) (hasPrefix "localhost" $config.server.listen) (hasPrefix "[::1]" $config.server.listen) -}}
{{- $lines = append $lines "config.server.listen is the pod's loopback, where no probe reaches it: 0.0.0.0:8080, or \"[::]:8080\"" -}}
{{- end -}}
{{- if not (regexMatch "^/run/provisioner/[^/]+$" $config.server.admin_socket) -}}
{{- $lines = append $lines "config.server.admin_socket is outside /run/provisioner, the only place for it that can be written: /run/provisioner/admin.sock" -}}
{{- end -}}
{{- if and .Values.networkPolicy.enabled .Values.networkPolicy.egress.enabled (not .Values.networkPolicy.egress.rules) -}}
{{- $lines = append $lines "networkPolicy.egress.rules is empty, so that neither issuers nor stores could be reached: name them, or set networkPolicy.egress.enabled to false" -}}
{{- end -}}
{{- $names := list "config" "home" "tmp" "run" "vault-token" -}}
{{- range concat .Values.secretMounts .Values.configMapMounts -}}
{{- if has .name $names -}}
{{- $lines = append $lines (printf "the mount %s has a name that is taken: each in secretMounts and configMapMounts needs one of its own, none of config, home, tmp, run, vault-token" .name) -}}
{{- end -}}
{{- $names = append $names .name -}}
{{- end -}}
{{- if $lines -}}
{{- fail (printf "\n\nwhat cannot work:\n\n- %s\n" (join "\n- " $lines)) -}}
{{- end -}}
{{- end -}}
