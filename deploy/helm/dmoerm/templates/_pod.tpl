{{/* Pod of a component. */}}
{{- define "dmoerm.podSpec" -}}
{{- $root := .root -}}
{{- $gpu := dig "gpu" "count" 0 .values | int -}}
serviceAccountName: {{ .name }}
automountServiceAccountToken: false
# Variables such as DMOERM_GATEWAY_PORT would be taken for settings.
enableServiceLinks: false
terminationGracePeriodSeconds: {{ include "dmoerm.graceSeconds" . }}
securityContext:
  {{- include "dmoerm.podSecurity" . | nindent 2 }}
{{- with $root.Values.image.pullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- if $gpu }}
{{- with .values.gpu.runtimeClassName }}
runtimeClassName: {{ . }}
{{- end }}
{{- end }}
{{- with .values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- include "dmoerm.scheduling" . }}
{{- if .bundle }}
{{- with include "dmoerm.bundleInitContainers" . | trim }}
initContainers:
  {{- . | nindent 2 }}
{{- end }}
{{- end }}
containers:
  - name: {{ .kind }}
    image: {{ include "dmoerm.image" . }}
    imagePullPolicy: {{ $root.Values.image.pullPolicy }}
    args: [--config, /etc/dmoerm/settings/settings.yaml]
    {{- if eq .kind "expert" }}
    env:
      # Cores of the container, not of the node.
      - name: DMOERM_EXPERT_THREADS
        valueFrom:
          resourceFieldRef:
            containerName: expert
            resource: limits.cpu
            divisor: '1'
    {{- end }}
    ports:
      {{- if eq .kind "gateway" }}
      - { name: http, containerPort: {{ $root.Values.ports.http }} }
      {{- else }}
      - { name: grpc, containerPort: {{ $root.Values.ports.grpc }} }
      - { name: health, containerPort: {{ $root.Values.ports.health }} }
      {{- end }}
      - { name: metrics, containerPort: {{ $root.Values.ports.metrics }} }
    {{- include "dmoerm.probes" . | nindent 4 }}
    securityContext:
      {{- include "dmoerm.containerSecurity" . | nindent 6 }}
    resources:
      {{- $resources := deepCopy .values.resources }}
      {{- if $gpu }}
      {{- $_ := set $resources "limits" (merge (dict .values.gpu.resource $gpu) (default dict $resources.limits)) }}
      {{- end }}
      {{- toYaml $resources | nindent 6 }}
    volumeMounts:
      - name: settings
        mountPath: /etc/dmoerm/settings
        readOnly: true
      - name: tmp
        mountPath: /tmp
      {{- if .bundle }}
      {{- include "dmoerm.bundleMounts" . | nindent 6 }}
      {{- end }}
      {{- with include "dmoerm.securityMounts" . | trim }}
      {{- . | nindent 6 }}
      {{- end }}
volumes:
  - name: settings
    configMap:
      name: {{ .name }}
  - name: tmp
    emptyDir:
      sizeLimit: 256Mi
  {{- if .bundle }}
  {{- include "dmoerm.bundleVolumes" . | nindent 2 }}
  {{- end }}
  {{- with include "dmoerm.securityVolumes" . | trim }}
  {{- . | nindent 2 }}
  {{- end }}
{{- end }}

{{/* The kubelet speaks no TLS over gRPC: health has a port of its own. Over HTTP it does, and shows no certificate, as nobody needs to for health. */}}
{{- define "dmoerm.probes" -}}
{{- if eq .kind "gateway" -}}
{{- $scheme := include "dmoerm.httpProtocol" .root | upper -}}
startupProbe:
  httpGet: { path: /healthz, port: http, scheme: {{ $scheme }} }
  periodSeconds: 2
  failureThreshold: 30
livenessProbe:
  httpGet: { path: /healthz, port: http, scheme: {{ $scheme }} }
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
readinessProbe:
  httpGet: { path: /readyz, port: http, scheme: {{ $scheme }} }
  periodSeconds: 5
  timeoutSeconds: 3
  failureThreshold: 2
{{- else -}}
{{- $health := .root.Values.ports.health -}}
# A service answers here once its bundle is verified and loaded.
startupProbe:
  grpc: { port: {{ $health }}, service: liveness }
  periodSeconds: 5
  timeoutSeconds: 3
  failureThreshold: {{ include "dmoerm.startupProbes" . }}
livenessProbe:
  grpc: { port: {{ $health }}, service: liveness }
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
readinessProbe:
  grpc: { port: {{ $health }}, service: readiness }
  periodSeconds: 5
  timeoutSeconds: 3
  failureThreshold: 2
{{- end }}
{{- end }}

{{/* Startup probes, 5 s apart: a minute, and more by the size of the weights. */}}
{{- define "dmoerm.startupProbes" -}}
{{- $startup := .bundle.startup -}}
{{ add 12 (ceil (divf (mulf $startup.weightsGiB $startup.secondsPerGiB) 5)) }}
{{- end }}

{{/* Where pods go. Own tolerations come after those of all services, or in their place. */}}
{{- define "dmoerm.scheduling" -}}
{{- $root := .root -}}
{{- $own := default dict .values.scheduling -}}
{{- $shared := $root.Values.scheduling -}}
{{- with (default $shared.nodeSelector $own.nodeSelector) }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with (default $shared.affinity $own.affinity) }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- $tolerations := default list $own.tolerations -}}
{{- if ne (default "append" $own.tolerationsMode) "override" -}}
{{- $tolerations = concat (default list $shared.tolerations) $tolerations -}}
{{- end }}
{{- with $tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
topologySpreadConstraints:
  {{- range list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
  - topologyKey: {{ . }}
    maxSkew: 1
    whenUnsatisfiable: ScheduleAnyway
    # Each rollout is spread by itself.
    matchLabelKeys: [pod-template-hash]
    labelSelector:
      matchLabels:
        {{- include "dmoerm.componentSelector" $ | nindent 8 }}
  {{- end }}
{{- end }}
