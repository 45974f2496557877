{{/*
Prefix of all names: the release, with the chart's name unless it says that already. Short enough for names of pods to hold the
whole name of their Deployment, by which the scaler finds them.
*/}}
{{- define "dmoerm.fullname" -}}
{{- $name := contains "dmoerm" .Release.Name | ternary .Release.Name (printf "%s-dmoerm" .Release.Name) -}}
{{- $name | trunc 22 | trimSuffix "-" -}}
{{- end }}

{{/* Labels of every object. */}}
{{- define "dmoerm.labels" -}}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{ include "dmoerm.selector" . }}
{{- end }}

{{/* Labels that every pod of the release has, and nothing else. */}}
{{- define "dmoerm.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{/* Labels that the pods of one Deployment have. Takes a component, see _component.tpl. */}}
{{- define "dmoerm.componentSelector" -}}
{{ include "dmoerm.selector" .root }}
app.kubernetes.io/component: {{ .kind }}
{{- if eq .kind "expert" }}
dmoerm.dev/expert: {{ .values.name }}
{{- end }}
{{- end }}

{{- define "dmoerm.image" -}}
{{- $image := .root.Values.image -}}
{{ $image.prefix }}/{{ .image }}:{{ default .root.Chart.AppVersion $image.tag }}
{{- end }}

{{/* Names of the Services behind which the router finds experts: of the tasks that no other pool hosts, and of one task. */}}
{{- define "dmoerm.expertPool" -}}
{{ include "dmoerm.fullname" . }}-expert
{{- end }}
{{- define "dmoerm.taskPool" -}}
{{ include "dmoerm.fullname" .root }}-task-{{ .task | replace "_" "-" }}
{{- end }}

{{/* All tasks that some expert names, as a JSON list. */}}
{{- define "dmoerm.namedTasks" -}}
{{- $tasks := list -}}
{{- range .Values.experts }}{{ $tasks = concat $tasks (default list .tasks) }}{{ end -}}
{{- $tasks | uniq | sortAlpha | toJson -}}
{{- end }}
