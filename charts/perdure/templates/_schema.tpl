{{/* Of a store that is there before this release: its schema comes before all else. Takes the weight. */}}
{{- define "perdure.schemaHook" -}}
helm.sh/hook: pre-install,pre-upgrade
helm.sh/hook-weight: {{ . | quote }}
helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
{{- end }}

{{/*
A pod that sets the schema up, brings it to this version, and ends. It waits for a store that is not there yet; exit code
2 is a mistake in the configuration, which no waiting helps. As a hook it can lean on nothing else of the release.
Takes (list $ CONFIGMAP).
*/}}
{{- define "perdure.schemaPod" -}}
{{- $ := index . 0 }}
{{- $own := mergeOverwrite (deepCopy $.Values.defaults) $.Values.schema }}
{{- $file := "/etc/perdure/config/perdure.yaml" }}
{{- $setup := printf "perdure schema setup --config %s --replicas %d" $file (int $own.replicas) }}
{{- $script := printf "until %s; do [ $? -ne 2 ] || exit 2; sleep 3; done; exec perdure schema update --config %s" $setup $file -}}
restartPolicy: Never
{{ include "perdure.pod" (list $ $own) }}
containers:
  {{- include "perdure.container" (dict "root" $ "own" $own "name" "schema" "command" (list "sh" "-c" $script)) | nindent 2 }}
    volumeMounts:
      {{- include "perdure.mounts" (list $ $own "perdure.storeSecrets") | nindent 6 }}
volumes:
  {{- include "perdure.volumes" (list $ $own "perdure.storeSecrets" (index . 1)) | nindent 2 }}
{{- end }}
