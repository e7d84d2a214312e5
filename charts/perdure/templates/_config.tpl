{{/* What the server reads at start. Secrets and the pod's address are variables in it. */}}
{{- define "perdure.config" -}}
log:
  stdout: true
  {{- toYaml .Values.config.log | nindent 2 }}
persistence:
  defaultStore: {{ .Values.config.persistence.defaultStore }}
  {{- with .Values.config.persistence.visibilityStore }}
  visibilityStore: {{ . }}
  {{- end }}
  numHistoryShards: {{ int .Values.config.numHistoryShards }}
  datastores:
    {{- include "perdure.datastores" . | trim | nindent 4 }}
global:
  membership:
    broadcastAddress: ${POD_IP}
    zookeeper:
      {{- include "perdure.zookeeper" . | trim | nindent 6 }}
  {{- with .Values.tls.frontend }}
  {{- if and .requireClientAuth (not .secretName) }}
  {{- fail "tls.frontend.secretName is needed, since requireClientAuth is true" }}
  {{- end }}
  {{- end }}
  {{- if or .Values.tls.frontend.secretName .Values.tls.internode.secretName }}
  tls:
    {{- include "perdure.tls" . | trim | nindent 4 }}
  {{- end }}
  {{- if .Values.metrics.enabled }}
  metrics:
    prometheus:
      listenAddress: {{ include "perdure.metricsAddress" . }}
  {{- end }}
services:
  {{- range $service, $port := include "perdure.ports" . | fromYaml }}
  {{ $service }}:
    rpc:
      grpcPort: {{ $port }}
      bindOnIP: {{ $.Values.config.bindOnIP | quote }}
  {{- end }}
dynamicConfigClient:
  filepath: /etc/perdure/dynamic/dynamic.yaml
  pollInterval: {{ .Values.dynamicConfigPollInterval }}
{{- with .Values.config.otel }}
otel:
  {{- toYaml . | nindent 2 }}
{{- end }}
bootstrap:
  namespaces: {{ toJson .Values.config.namespaces }}
{{- end }}

{{- define "perdure.metricsAddress" -}}
{{- $host := .Values.config.bindOnIP -}}
{{ printf (ternary "[%s]:%d" "%s:%d" (contains ":" $host)) $host (int .Values.metrics.port) | quote }}
{{- end }}

{{- define "perdure.datastores" -}}
{{- $stores := .Values.config.persistence.datastores }}
{{- if .Values.cassandra.enabled }}
{{- if $stores }}
{{- fail "config.persistence.datastores is given: set cassandra.enabled to false, or leave the stores out" }}
{{- end }}
{{ .Values.config.persistence.defaultStore }}:
  cassandra:
    hosts: {{ include "perdure.fullname" . }}-cassandra
    port: 9042
    keyspace: perdure
{{- else }}
{{- range $key := list "defaultStore" "visibilityStore" }}
{{- $name := index $.Values.config.persistence $key }}
{{- if and $name (not (hasKey $stores $name)) }}
{{- fail (printf "config.persistence.datastores.%s is needed: config.persistence.%s names it, and cassandra.enabled is false" $name $key) }}
{{- end }}
{{- end }}
{{- range $name, $store := $stores }}
{{ $name }}:
  {{- range $kind, $section := $store }}
  {{ $kind }}:
    {{- toYaml (omit $section "existingSecret" "secretKey" "tls") | nindent 4 }}
    {{- if $section.existingSecret }}
    password: ${ {{- include "perdure.passwordVariable" $name -}} }
    {{- end }}
    {{- with $section.tls }}
    tls:
      {{- include "perdure.clientTls" (list . (printf "store-%s" $name)) | trim | nindent 6 }}
    {{- end }}
  {{- end }}
{{- end }}
{{- end }}
{{- end }}

{{- define "perdure.passwordVariable" -}}
STORE_{{ . | upper | replace "-" "_" }}_PASSWORD
{{- end }}

{{- define "perdure.zookeeper" -}}
{{- $zookeeper := .Values.config.zookeeper }}
{{- if and .Values.zookeeper.enabled $zookeeper.hosts }}
{{- fail "config.zookeeper.hosts is given: set zookeeper.enabled to false, or leave the hosts out" }}
{{- end }}
{{- $own := printf "%s-zookeeper:2181" (include "perdure.fullname" .) }}
hosts: {{ ternary $own $zookeeper.hosts .Values.zookeeper.enabled | required "config.zookeeper.hosts is needed, since zookeeper.enabled is false" | quote }}
root: {{ default (printf "/perdure-%s-%s" .Release.Namespace (include "perdure.fullname" .)) $zookeeper.root }}
sessionTimeout: {{ $zookeeper.sessionTimeout }}
{{- with $zookeeper.user }}
user: {{ . | quote }}
password: ${ZOOKEEPER_PASSWORD}
{{- end }}
{{- if $zookeeper.tls.enabled }}
tls:
  {{- include "perdure.clientTls" (list $zookeeper.tls "zookeeper") | trim | nindent 2 }}
{{- end }}
{{- end }}

{{/* TLS as a client of something outside. Takes (list SECTION DIRECTORY). */}}
{{- define "perdure.clientTls" -}}
{{- $section := index . 0 }}
{{- $directory := printf "/etc/perdure/tls/%s" (index . 1) }}
{{- toYaml (omit $section "secretName" "clientCertificate") }}
{{- if $section.secretName }}
caFile: {{ $directory }}/ca.crt
{{- if $section.clientCertificate }}
certFile: {{ $directory }}/tls.crt
keyFile: {{ $directory }}/tls.key
{{- end }}
{{- end }}
{{- end }}

{{- define "perdure.tls" -}}
refreshInterval: {{ .Values.tls.refreshInterval }}
{{- range $group := list "frontend" "internode" }}
{{- $section := index $.Values.tls $group }}
{{- if $section.secretName }}
{{- $directory := printf "/etc/perdure/tls/%s" $group }}
{{ $group }}:
  server:
    certFile: {{ $directory }}/tls.crt
    keyFile: {{ $directory }}/tls.key
    {{- if $section.requireClientAuth }}
    requireClientAuth: true
    clientCaFiles: [{{ $directory }}{{ if $section.clientCaSecretName }}-clients{{ end }}/ca.crt]
    {{- end }}
  client:
    rootCaFiles: [{{ $directory }}/ca.crt]
    {{- with $section.serverName }}
    serverName: {{ . }}
    {{- end }}
{{- end }}
{{- end }}
{{- end }}
