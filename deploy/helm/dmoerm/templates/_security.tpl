{{/* Pod Security `restricted`. */}}
{{- define "dmoerm.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "dmoerm.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{/* Whether services speak TLS and know each other, as a non-empty string. */}}
{{- define "dmoerm.mtls" -}}
{{- if eq .Values.security.mode "mtls" }}true{{ end -}}
{{- end }}

{{/* Secret with the certificate of a kind of service. Takes {root, kind}. */}}
{{- define "dmoerm.certificateSecret" -}}
{{ default (printf "%s-%s-tls" (include "dmoerm.fullname" .root) .kind) (index .root.Values.security.certificates .kind) }}
{{- end }}

{{/* Secret with the access files. */}}
{{- define "dmoerm.accessSecret" -}}
{{ default (printf "%s-access" (include "dmoerm.fullname" .)) .Values.security.accessSecret }}
{{- end }}

{{/* Settings of a server that say who may reach it. Takes a component. */}}
{{- define "dmoerm.securitySettings" -}}
{{- if include "dmoerm.mtls" .root -}}
tlsCert: /etc/dmoerm/tls/tls.crt
tlsKey: /etc/dmoerm/tls/tls.key
tlsClientCa: /etc/dmoerm/tls/ca.crt
# Trainers call router and gateway, services the others.
accessFile: /etc/dmoerm/access/{{ has .kind (list "router" "gateway") | ternary "router" "internal" }}.yaml
{{- else -}}
insecure: true
{{- end }}
{{- end }}

{{/* Whole folders, never single files: files that are mounted alone are not renewed when their Secret is. */}}
{{- define "dmoerm.securityMounts" -}}
{{- if include "dmoerm.mtls" .root }}
- name: tls
  mountPath: /etc/dmoerm/tls
  readOnly: true
- name: access
  mountPath: /etc/dmoerm/access
  readOnly: true
{{- end }}
{{- end }}

{{- define "dmoerm.securityVolumes" -}}
{{- if include "dmoerm.mtls" .root }}
- name: tls
  secret:
    secretName: {{ include "dmoerm.certificateSecret" . }}
    defaultMode: 0440
- name: access
  secret:
    secretName: {{ include "dmoerm.accessSecret" .root }}
    defaultMode: 0440
{{- end }}
{{- end }}
