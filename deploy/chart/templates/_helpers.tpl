{{- define "triton-autoscaler.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "triton-autoscaler.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" }}
{{- else if contains (include "triton-autoscaler.name" .) .Release.Name }}
{{- .Release.Name | trunc 63 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (include "triton-autoscaler.name" .) | trunc 63 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "triton-autoscaler.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "triton-autoscaler.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "triton-autoscaler.selectorLabels" -}}
app.kubernetes.io/name: {{ include "triton-autoscaler.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "triton-autoscaler.labels" -}}
{{ include "triton-autoscaler.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/component: external-metrics
app.kubernetes.io/part-of: triton-ops
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- with .Values.customLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "triton-autoscaler.metadata" -}}
labels:
  {{- include "triton-autoscaler.labels" . | nindent 2 }}
{{- with .Values.customAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "triton-autoscaler.image" -}}
{{- if .Values.image.digest }}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest }}
{{- else }}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) }}
{{- end }}
{{- end }}

{{/* Namespaces of Triton pods, as a list in JSON; empty means all. */}}
{{- define "triton-autoscaler.targetNamespaces" -}}
{{- $kubernetes := .Values.config.targets.kubernetes | default dict -}}
{{- $kubernetes.namespaces | default list | toJson -}}
{{- end }}

{{/* Triton's pods as a label selector object, as the autoscaler selects them. */}}
{{- define "triton-autoscaler.tritonPods" -}}
{{- $kubernetes := .Values.config.targets.kubernetes | default dict }}
{{- include "triton-ops.tritonPods" (dict "root" . "selector" $kubernetes.selector "value" "config.targets.kubernetes.selector") }}
{{- end }}

{{/* Of `selector`, which `value` of the chart holds; networkPolicy.triton.podSelector says it better where it is set. */}}
{{- define "triton-ops.tritonPods" -}}
{{- with .root.Values.networkPolicy.triton.podSelector }}
{{- toYaml . }}
{{- else }}
{{- $labels := dict }}
{{- range splitList "," ($.selector | default "") }}
{{- $term := trim . }}
{{- if $term }}
{{- if not (regexMatch "^[^!=<> ()]+ *==? *[^!=<> ()]*$" $term) }}
{{- fail (printf "%s %q is more than key=value terms, of which a NetworkPolicy cannot be made: write the same as a label selector object into networkPolicy.triton.podSelector, or set networkPolicy.enabled=false" $.value $.selector) }}
{{- end }}
{{- $_ := set $labels (regexFind "^[^= ]+" $term) (regexFind "[^= ]*$" $term) }}
{{- end }}
{{- end }}
{{- if $labels }}
matchLabels:
  {{- toYaml $labels | nindent 2 }}
{{- else }}
{}
{{- end }}
{{- end }}
{{- end }}
