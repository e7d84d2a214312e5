{{/* The variables that the configuration names. */}}
{{- define "perdure.env" -}}
- name: POD_IP
  valueFrom:
    fieldRef: {fieldPath: status.podIP}
{{- range $name, $store := .Values.config.persistence.datastores }}
{{- range $section := $store }}
{{- with $section.existingSecret }}
- name: {{ include "perdure.passwordVariable" $name }}
  valueFrom:
    secretKeyRef: {name: {{ . }}, key: {{ default "password" $section.secretKey }}}
{{- end }}
{{- end }}
{{- end }}
{{- with .Values.config.zookeeper }}
{{- if .user }}
- name: ZOOKEEPER_PASSWORD
  valueFrom:
    secretKeyRef:
      name: {{ required "config.zookeeper.existingSecret is needed, since a user is given" .existingSecret }}
      key: {{ .secretKey }}
{{- end }}
{{- end }}
{{- end }}

{{/* The secrets that files are read from to reach the stores, by the directory under /etc/perdure/tls. */}}
{{- define "perdure.storeSecrets" -}}
{{- range $name, $store := .Values.config.persistence.datastores }}
{{- range $section := $store }}
{{- with ($section.tls | default dict).secretName }}
store-{{ $name }}: {{ . }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/* All such secrets of a server. */}}
{{- define "perdure.secrets" -}}
{{- include "perdure.storeSecrets" . }}
{{- with .Values.config.zookeeper.tls }}
{{- if and .enabled .secretName }}
zookeeper: {{ .secretName }}
{{- end }}
{{- end }}
{{- range $group := list "frontend" "internode" }}
{{- $section := index $.Values.tls $group }}
{{- with $section.secretName }}
{{ $group }}: {{ . }}
{{- if and $section.requireClientAuth $section.clientCaSecretName }}
{{ $group }}-clients: {{ $section.clientCaSecretName }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/* Takes (list $ OWN SECRETS CONFIGMAP), SECRETS being the name of one of the two above. */}}
{{- define "perdure.volumes" -}}
{{- $ := index . 0 -}}
- name: config
  configMap: {name: {{ index . 3 | quote }}}
- name: tmp
  emptyDir: {}
{{- range $directory, $secret := include (index . 2) $ | fromYaml }}
- name: tls-{{ $directory }}
  secret: {secretName: {{ $secret }}}
{{- end }}
{{- with (index . 1).extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* Takes (list $ OWN SECRETS). */}}
{{- define "perdure.mounts" -}}
{{- $ := index . 0 -}}
- {name: config, mountPath: /etc/perdure/config, readOnly: true}
- {name: tmp, mountPath: /tmp}
{{- range $directory, $_ := include (index . 2) $ | fromYaml }}
- {name: tls-{{ $directory }}, mountPath: /etc/perdure/tls/{{ $directory }}, readOnly: true}
{{- end }}
{{- with (index . 1).extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* What runs a command of the image. Takes (dict "root" $ "own" VALUES "name" NAME "command" LIST). */}}
{{- define "perdure.container" -}}
- name: {{ .name }}
  image: {{ include "perdure.image" .root | quote }}
  imagePullPolicy: {{ .root.Values.image.pullPolicy }}
  command: {{ toJson .command }}
  env:
    {{- include "perdure.env" .root | nindent 4 }}
    {{- with .own.extraEnv }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  securityContext:
    {{- toYaml .root.Values.securityContext | nindent 4 }}
  resources:
    {{- toYaml .own.resources | nindent 4 }}
{{- end }}

{{/* What pods of all kinds have. Takes (list $ OWN). */}}
{{- define "perdure.pod" -}}
{{- $ := index . 0 }}
{{- $own := index . 1 -}}
automountServiceAccountToken: false
enableServiceLinks: false  # their variables could pass for ours
{{- with $.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  {{- toYaml $.Values.podSecurityContext | nindent 2 }}
{{- range $key := list "nodeSelector" "tolerations" "affinity" "priorityClassName" }}
{{- with index $own $key }}
{{ $key }}:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
{{- end }}

{{/* Whether a service speaks TLS: "true" or nothing. Takes (list $ SERVICE). */}}
{{- define "perdure.secured" -}}
{{- $group := ternary "frontend" "internode" (eq (index . 1) "frontend") }}
{{- with (index (index . 0).Values.tls $group).secretName -}}
true
{{- end }}
{{- end }}

{{/*
The probes of a service. The kubelet speaks no TLS on gRPC: then it only sees whether the port is open, which it is
before the host serves, so it is given some time. Liveness begins when the host has served once: one that waits for its
store is left alone. Takes (list $ SERVICE PORT).
*/}}
{{- define "perdure.probes" -}}
{{- $ := index . 0 }}
{{- $service := index . 1 }}
{{- $port := index . 2 }}
{{- $names := dict
  "frontend" "temporal.api.workflowservice.v1.WorkflowService"
  "history" "temporal.server.api.historyservice.v1.HistoryService"
  "matching" "temporal.server.api.matchingservice.v1.MatchingService"
  "worker" "temporal.server.api.workerservice.v1.WorkerService" }}
{{- $process := printf "grpc: {port: %v}" $port }}
{{- $ready := printf "grpc: {port: %v, service: %s}" $port (index $names $service) }}
{{- $secured := include "perdure.secured" (list $ $service) }}
{{- if $secured }}
{{- $process = printf "tcpSocket: {port: %v}" $port }}
{{- $ready = $process }}
{{- end -}}
startupProbe:
  {{ $ready }}
  {{- if $secured }}
  initialDelaySeconds: 15
  {{- end }}
  periodSeconds: 2
  timeoutSeconds: 2
  failureThreshold: 900
readinessProbe:
  {{ $ready }}
  periodSeconds: 5
  timeoutSeconds: 3
  failureThreshold: 2
livenessProbe:
  {{ $process }}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
{{- end }}
