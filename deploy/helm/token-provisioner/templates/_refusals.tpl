{{/* What must be set, and what cannot work: all of it at once, each with an example. */}}
{{- define "provisioner.refusals" -}}
{{- $config := default dict .Values.config -}}
{{- $server := include "provisioner.server" . | fromYaml -}}
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
{{- $name := include "provisioner.fullname" . -}}
{{- if not (regexMatch "^[a-z][-a-z0-9]*$" $name) -}}
{{- $lines = append $lines (printf "everything would be named %s, and a Service must begin with a letter: set fullnameOverride" $name) -}}
{{- end -}}
{{- if not (regexMatch "^.+:0*([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])$" $server.listen) -}}
{{- $lines = append $lines "config.server.listen names no port from 1 to 65535, which the Service and the probes need: 0.0.0.0:8080" -}}
{{- end -}}
{{- if or (hasPrefix "127." $server.listen) (hasPrefix "localhost" $server.listen) (hasPrefix "[::1]" $server.listen) -}}
{{- $lines = append $lines "config.server.listen is the pod's loopback, where no probe reaches it: 0.0.0.0:8080, or \"[::]:8080\"" -}}
{{- end -}}
{{- if not (regexMatch "^/run/provisioner/[^/]+$" $server.admin_socket) -}}
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
{{- $paths := list "/tmp" "/home/provisioner" "/run/provisioner" "/var/run/secrets/vault" "/var/run/secrets/kubernetes.io/serviceaccount" -}}
{{- range concat .Values.secretMounts .Values.configMapMounts -}}
{{- $path := clean .mountPath -}}
{{- if or (has $path $paths) (regexMatch "^(/|/(etc|opt)/provisioner(/.*)?)$" $path) -}}
{{- $lines = append $lines (printf "the mount %s would hide what is at %s: choose another mountPath, such as /var/run/secrets/%s" .name $path .name) -}}
{{- end -}}
{{- $paths = append $paths $path -}}
{{- end -}}
{{- $variables := list "HOME" "TMPDIR" "POD_NAME" "POD_NAMESPACE" "POD_UID" -}}
{{- range .Values.env -}}
{{- if has .name $variables -}}
{{- $lines = append $lines (printf "the variable %s of env is set already: the pod needs it as it is, or it stands there twice" .name) -}}
{{- end -}}
{{- $variables = append $variables .name -}}
{{- end -}}
{{- range $label := list "app.kubernetes.io/name" "app.kubernetes.io/instance" -}}
{{- if hasKey $.Values.podLabels $label -}}
{{- $lines = append $lines (printf "podLabels has %s, by which the Service finds its pods: leave it out" $label) -}}
{{- end -}}
{{- end -}}
{{- if hasKey .Values.podAnnotations "checksum/config" -}}
{{- $lines = append $lines "podAnnotations has checksum/config, by which pods are replaced when the configuration changes: leave it out" -}}
{{- end -}}
{{- if $lines -}}
{{- fail (printf "\n\nwhat cannot work:\n\n- %s\n" (join "\n- " $lines)) -}}
{{- end -}}
{{- end -}}
