{{/* How a pod comes by its bundle and base. All take {root, bundle}: the chart's root and the bundle's values. */}}

{{/* The bundle as the services' setting `bundle` names it. */}}
{{- define "dmoerm.bundleReference" -}}
{{- if eq .bundle.source "builtin" -}}
{{ .bundle.ref }}
{{- else -}}
{{ printf "/bundles/%s" .bundle.ref | trimSuffix "/" }}
{{- end -}}
{{- end }}

{{- define "dmoerm.bundleVolumes" -}}
- name: cache
  {{- if .bundle.cache.claim }}
  persistentVolumeClaim:
    claimName: {{ .bundle.cache.claim }}
  {{- else }}
  emptyDir:
    sizeLimit: {{ .bundle.cache.sizeLimit }}
  {{- end }}
{{- if eq .bundle.source "claim" }}
- name: bundles
  persistentVolumeClaim:
    claimName: {{ .bundle.claim }}
    readOnly: true
{{- else if eq .bundle.source "image" }}
- name: bundles
  image:
    reference: {{ .bundle.image }}
    pullPolicy: {{ .root.Values.image.pullPolicy }}
{{- else if eq .bundle.source "copy" }}
- name: bundles
  emptyDir:
    sizeLimit: {{ .bundle.cache.sizeLimit }}
{{- end }}
{{- end }}

{{- define "dmoerm.bundleMounts" -}}
- name: cache
  mountPath: /var/cache/dmoerm
{{- if ne .bundle.source "builtin" }}
- name: bundles
  mountPath: /bundles
  readOnly: true
{{- end }}
{{- end }}

{{- define "dmoerm.bundleInitContainers" -}}
{{- if eq .bundle.source "copy" }}
- name: copy-bundle
  image: {{ .bundle.image }}
  imagePullPolicy: {{ .root.Values.image.pullPolicy }}
  command: [cp, -R, {{ printf "%s/." .bundle.imagePath | quote }}, /bundles/]
  securityContext:
    {{- include "dmoerm.containerSecurity" . | nindent 4 }}
  resources:
    {{- toYaml .root.Values.bundle.initResources | nindent 4 }}
  volumeMounts:
    - name: bundles
      mountPath: /bundles
{{- end }}
{{- if .bundle.pullBase }}
- name: pull-base
  image: {{ include "dmoerm.image" (dict "root" .root "image" "cli") }}
  imagePullPolicy: {{ .root.Values.image.pullPolicy }}
  args: [base, pull, {{ .bundle.pullBase }}]
  env:
    - name: DMOERM_CACHE
      value: /var/cache/dmoerm
    {{- with .bundle.pullEnv }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  securityContext:
    {{- include "dmoerm.containerSecurity" . | nindent 4 }}
  resources:
    {{- toYaml .root.Values.bundle.initResources | nindent 4 }}
  volumeMounts:
    - name: cache
      mountPath: /var/cache/dmoerm
    - name: tmp
      mountPath: /tmp
{{- end }}
{{- end }}
