{{- define "perdure.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" }}
{{- end }}

{{/* 40 characters leave room for what names of parts and of their pods add. */}}
{{- define "perdure.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" }}
{{- else }}
{{- $name := include "perdure.name" . }}
{{- ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) | trunc 40 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "perdure.serviceAccount" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "perdure.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "perdure.image" -}}
{{ .Values.image.repository }}:{{ default .Chart.AppVersion .Values.image.tag }}
{{- end }}

{{/* What a selector matches. Takes (list $ COMPONENT). */}}
{{- define "perdure.selector" -}}
{{- $ := index . 0 -}}
app.kubernetes.io/name: {{ include "perdure.name" $ }}
app.kubernetes.io/instance: {{ $.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{/* All labels of a part. Takes (list $ COMPONENT). */}}
{{- define "perdure.labels" -}}
{{- $ := index . 0 -}}
{{ include "perdure.selector" . }}
app.kubernetes.io/version: {{ $.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: perdure
app.kubernetes.io/managed-by: {{ $.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" $.Chart.Name $.Chart.Version | replace "+" "_" }}
{{- end }}

{{/* The four services and their ports, which are the reference server's. */}}
{{- define "perdure.ports" -}}
frontend: 7233
history: 7234
matching: 7235
worker: 7239
{{- end }}
