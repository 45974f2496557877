{{/* What scales an expert Deployment on its queued tokens. Takes its component. */}}
{{- define "dmoerm.scaler" -}}
{{- $scaling := .values.autoscaling -}}
{{- $behavior := dict "scaleDown" (dict "stabilizationWindowSeconds" $scaling.scaleDownSeconds) -}}
{{- if eq $scaling.type "hpa" -}}
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata:
  name: {{ .name }}
  labels:
    {{- include "dmoerm.labels" .root | nindent 4 }}
spec:
  scaleTargetRef: { apiVersion: apps/v1, kind: Deployment, name: {{ .name }} }
  minReplicas: {{ $scaling.minReplicas }}
  maxReplicas: {{ $scaling.maxReplicas }}
  behavior:
    {{- toYaml $behavior | nindent 4 }}
  metrics:
    # From an adapter of custom metrics that sums the pod's tasks.
    - type: Pods
      pods:
        metric: { name: dmoerm_queue_tokens }
        target: { type: AverageValue, averageValue: {{ $scaling.queueTokens | quote }} }
{{- else if eq $scaling.type "keda" -}}
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata:
  name: {{ .name }}
  labels:
    {{- include "dmoerm.labels" .root | nindent 4 }}
spec:
  scaleTargetRef: { name: {{ .name }} }
  minReplicaCount: {{ $scaling.minReplicas }}
  maxReplicaCount: {{ $scaling.maxReplicas }}
  pollingInterval: 15
  cooldownPeriod: 360
  # Without Prometheus nothing shrinks.
  fallback: { failureThreshold: 3, replicas: {{ $scaling.minReplicas }}, behavior: currentReplicasIfHigher }
  advanced:
    horizontalPodAutoscalerConfig:
      behavior:
        {{- toYaml $behavior | nindent 8 }}
  triggers:
    - type: prometheus
      metricType: AverageValue
      metadata:
        serverAddress: {{ $scaling.prometheusAddress }}
        query: {{ printf "sum(dmoerm_queue_tokens{namespace=%q,pod=~%q})" .root.Release.Namespace (printf "%s-[a-z0-9]+-[a-z0-9]+" .name) | quote }}
        threshold: {{ $scaling.queueTokens | quote }}
        # No series at all is a fault, not an empty queue.
        ignoreNullValues: 'false'
{{- end }}
{{- end }}
