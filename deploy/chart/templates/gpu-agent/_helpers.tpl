{{/* Beside the autoscaler's: release-triton-autoscaler has release-triton-gpu-agent. */}}
{{- define "triton-gpu-agent.fullname" -}}
{{- $beside := include "triton-autoscaler.fullname" . }}
{{- if .Values.gpuAgent.fullnameOverride }}
{{- .Values.gpuAgent.fullnameOverride | trunc 63 | trimSuffix "-" }}
{{- else if contains .Chart.Name $beside }}
{{- $beside | replace .Chart.Name "triton-gpu-agent" | trunc 63 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-gpu-agent" ($beside | trunc 53 | trimSuffix "-") }}
{{- end }}
{{- end }}

{{- define "triton-gpu-agent.namespace" -}}
{{- default .Release.Namespace .Values.gpuAgent.namespace }}
{{- end }}

{{- define "triton-gpu-agent.selectorLabels" -}}
app.kubernetes.io/name: triton-gpu-agent
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "triton-gpu-agent.labels" -}}
{{ include "triton-gpu-agent.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/component: gpu-agent
app.kubernetes.io/part-of: triton-ops
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- with .Values.customLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "triton-gpu-agent.metadata" -}}
labels:
  {{- include "triton-gpu-agent.labels" . | nindent 2 }}
{{- with .Values.customAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* A DaemonSet of dcgm-exporter in the cluster as NAMESPACE/NAME, or nothing: by the labels of its own chart, of the GPU operator
and of GKE. Without a cluster to ask there is none. */}}
{{- define "triton-gpu-agent.dcgmExporter" -}}
{{- $found := "" }}
{{- range (lookup "apps/v1" "DaemonSet" "" "").items }}
{{- $labels := .metadata.labels | default dict }}
{{- if or (has (get $labels "app.kubernetes.io/name") (list "dcgm-exporter" "gke-managed-dcgm-exporter")) (eq (get $labels "app") "nvidia-dcgm-exporter") }}
{{- $found = printf "%s/%s" .metadata.namespace .metadata.name }}
{{- end }}
{{- end }}
{{- $found }}
{{- end }}

{{/* "true" or nothing: the same numbers are not read twice, so it is off beside a dcgm-exporter. */}}
{{- define "triton-gpu-agent.on" -}}
{{- if .Values.gpuAgent.enabled }}
{{- if .Values.gpuAgent.besideDcgmExporter }}true{{ else if not (include "triton-gpu-agent.dcgmExporter" .) }}true{{ end }}
{{- end }}
{{- end }}
