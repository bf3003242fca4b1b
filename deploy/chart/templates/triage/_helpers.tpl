{{/* Beside the autoscaler's: release-triton-autoscaler has release-triton-triage. */}}
{{- define "triton-triage.fullname" -}}
{{- $beside := include "triton-autoscaler.fullname" . }}
{{- if .Values.triage.fullnameOverride }}
{{- .Values.triage.fullnameOverride | trunc 63 | trimSuffix "-" }}
{{- else if contains .Chart.Name $beside }}
{{- $beside | replace .Chart.Name "triton-triage" }}
{{- else }}
{{- printf "%s-triage" ($beside | trunc 56 | trimSuffix "-") }}
{{- end }}
{{- end }}

{{- define "triton-triage.serviceAccountName" -}}
{{- if .Values.triage.serviceAccount.create }}
{{- default (include "triton-triage.fullname" .) .Values.triage.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.triage.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "triton-triage.selectorLabels" -}}
app.kubernetes.io/name: triton-triage
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "triton-triage.labels" -}}
{{ include "triton-triage.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/component: triage
app.kubernetes.io/part-of: triton-ops
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- with .Values.customLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "triton-triage.metadata" -}}
labels:
  {{- include "triton-triage.labels" . | nindent 2 }}
{{- with .Values.customAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* Where TriageReports are kept; empty: in the folder. */}}
{{- define "triton-triage.recordNamespace" -}}
{{- tpl (.Values.triage.config.record.namespace | default "") . }}
{{- end }}

{{/* The configuration file: the values' own, and what the chart knows better: ports, and where it mounts what. */}}
{{- define "triton-triage.config" -}}
{{- $secrets := .Values.triage.secrets }}
{{- $config := deepCopy .Values.triage.config }}
{{- $webhook := dict "port" (int .Values.triage.webhookPort) }}
{{- if $secrets.webhookToken.name }}
{{- $_ := set $webhook "token_file" "/etc/triton-triage/webhook-token/token" }}
{{- end }}
{{- if $secrets.webhookTls.name }}
{{- $tls := dict "certificate" "/etc/triton-triage/webhook-tls/tls.crt" "key" "/etc/triton-triage/webhook-tls/tls.key" }}
{{- if $secrets.webhookTls.clientCa }}
{{- $_ := set $tls "client_ca" "/etc/triton-triage/webhook-tls/ca.crt" }}
{{- end }}
{{- $_ := set $webhook "tls" $tls }}
{{- end }}
{{- if not (or $webhook.token_file ($webhook.tls | default dict).client_ca) }}
{{- fail "triage.secrets: anybody could send alerts. Name the Secret of a bearer token in webhookToken.name, or one with a certificate in webhookTls.name and set webhookTls.clientCa" }}
{{- end }}
{{- $_ := set $config "webhook" $webhook }}
{{- $_ := set $config "plain" (dict "port" (int .Values.triage.plainPort)) }}
{{- $record := omit $config.record "namespace" }}
{{- with include "triton-triage.recordNamespace" . }}
{{- $_ := set $record "namespace" . }}
{{- end }}
{{- $_ := set $record "data" "/var/lib/triton-triage" }}
{{- $_ := set $config "record" $record }}
{{- if $config.prometheus }}
{{- if $secrets.prometheusToken.name }}
{{- $_ := set $config.prometheus "token_file" "/etc/triton-triage/prometheus-token/token" }}
{{- end }}
{{- else }}
{{- $_ := unset $config "prometheus" }}
{{- end }}
{{- if $config.slack }}
{{- $_ := set $config.slack "token_file" "/etc/triton-triage/slack-token/token" }}
{{- else }}
{{- $_ := unset $config "slack" }}
{{- end }}
{{- toYaml $config }}
{{- end }}
