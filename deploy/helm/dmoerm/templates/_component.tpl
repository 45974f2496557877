{{/*
A service as Kubernetes runs it: settings, ServiceAccount, Deployment, headless Service, PodDisruptionBudget.

Takes a component: {root, kind, name, image, values, settings}
  kind      router, expert, aggregator or gateway
  name      of its objects
  image     last part of the image's name
  values    of this service in values.yaml
  settings  of the service, see `--help` of each
*/}}
{{- define "dmoerm.component" -}}
{{- $root := .root -}}
{{- $settings := mergeOverwrite (deepCopy .settings) (deepCopy (default dict .values.settings)) -}}
apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ .name }}
  labels:
    {{- include "dmoerm.labels" $root | nindent 4 }}
data:
  settings.yaml: |
    {{- toYaml $settings | nindent 4 }}
---
apiVersion: v1
kind: ServiceAccount
metadata:
  name: {{ .name }}
  labels:
    {{- include "dmoerm.labels" $root | nindent 4 }}
automountServiceAccountToken: false
---
apiVersion: v1
kind: Service
metadata:
  name: {{ .name }}
  labels:
    {{- include "dmoerm.labels" $root | nindent 4 }}
    app.kubernetes.io/component: {{ .kind }}
spec:
  # Callers see every pod and balance by themselves; one address in front would pin all calls of a connection to one pod.
  clusterIP: None
  selector:
    {{- include "dmoerm.componentSelector" . | nindent 4 }}
  ports:
    {{- include "dmoerm.servicePorts" . | nindent 4 }}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: {{ .name }}
  labels:
    {{- include "dmoerm.labels" $root | nindent 4 }}
spec:
  maxUnavailable: 1
  unhealthyPodEvictionPolicy: AlwaysAllow
  selector:
    matchLabels:
      {{- include "dmoerm.componentSelector" . | nindent 6 }}
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ .name }}
  labels:
    {{- include "dmoerm.labels" $root | nindent 4 }}
    app.kubernetes.io/component: {{ .kind }}
spec:
  {{- if eq (dig "autoscaling" "type" "none" .values) "none" }}
  replicas: {{ .values.replicas }}
  {{- end }}
  strategy:
    type: RollingUpdate
    rollingUpdate:
      maxUnavailable: 0
      maxSurge: {{ .values.maxSurge }}
  selector:
    matchLabels:
      {{- include "dmoerm.componentSelector" . | nindent 6 }}
  template:
    metadata:
      annotations:
        checksum/settings: {{ toYaml $settings | sha256sum }}
        {{- with $root.Values.podAnnotations }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      labels:
        {{- include "dmoerm.componentSelector" . | nindent 8 }}
        {{- if eq .kind "expert" }}
        {{- if .values.tasks }}
        {{- range .values.tasks }}
        dmoerm.dev/task-{{ . }}: hosted
        {{- end }}
        {{- else }}
        dmoerm.dev/tasks: all
        {{- end }}
        {{- end }}
    spec:
      {{- include "dmoerm.podSpec" . | nindent 6 }}
{{- end }}

{{/* Ports of the headless Service; health is for the kubelet alone. */}}
{{- define "dmoerm.servicePorts" -}}
{{- if eq .kind "gateway" -}}
- { name: http, port: {{ .root.Values.ports.http }}, targetPort: http, appProtocol: {{ include "dmoerm.httpProtocol" .root }} }
{{- else -}}
- { name: grpc, port: {{ .root.Values.ports.grpc }}, targetPort: grpc, appProtocol: {{ include "dmoerm.grpcProtocol" .root }} }
{{- end }}
- { name: metrics, port: {{ .root.Values.ports.metrics }}, targetPort: metrics, appProtocol: http }
{{- end }}

{{/* HTTP/2 without TLS has a name of its own. */}}
{{- define "dmoerm.grpcProtocol" -}}
{{ include "dmoerm.mtls" . | eq "true" | ternary "https" "kubernetes.io/h2c" }}
{{- end }}

{{- define "dmoerm.httpProtocol" -}}
{{ include "dmoerm.mtls" . | eq "true" | ternary "https" "http" }}
{{- end }}

{{/* Seconds from SIGTERM to SIGKILL: time for callers to notice, for the longest call, and 10 to spare. */}}
{{- define "dmoerm.graceSeconds" -}}
{{ add .root.Values.drain.lameDuckSeconds .values.longestCallSeconds 10 }}
{{- end }}

{{/* Settings that router, expert and aggregator have in common, as YAML. */}}
{{- define "dmoerm.commonSettings" -}}
{{- $values := .root.Values -}}
bundle: {{ include "dmoerm.bundleReference" . }}
cacheDir: /var/cache/dmoerm
listen: 0.0.0.0:{{ $values.ports.grpc }}
healthListen: 0.0.0.0:{{ $values.ports.health }}
reflection: {{ $values.reflection }}
{{ include "dmoerm.processSettings" . }}
{{- end }}

{{/* Settings that all services have in common, as YAML. */}}
{{- define "dmoerm.processSettings" -}}
{{- $values := .root.Values -}}
metricsListen: 0.0.0.0:{{ $values.ports.metrics }}
lameDuckMs: {{ mul $values.drain.lameDuckSeconds 1000 }}
graceMs: {{ mul (include "dmoerm.graceSeconds" .) 1000 }}
{{- with $values.telemetry.otlpEndpoint }}
otlpEndpoint: {{ . }}
sampleRatio: {{ $values.telemetry.sampleRatio }}
{{- end }}
{{ include "dmoerm.securitySettings" . }}
{{- end }}
