{{/* Names and labels. */}}
{{- define "rerank-proxy.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "rerank-proxy.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" }}
{{- else }}
{{- $name := default .Chart.Name .Values.nameOverride }}
{{- if contains $name .Release.Name }}
{{- .Release.Name | trunc 63 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" }}
{{- end }}
{{- end }}
{{- end }}

{{- define "rerank-proxy.ownLabels" -}}
app.kubernetes.io/name: {{ include "rerank-proxy.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "rerank-proxy.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{ include "rerank-proxy.ownLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{/* The pods that the container is in: our own, or those that the operator names. */}}
{{- define "rerank-proxy.podSelector" -}}
{{- if eq .Values.mode "sidecar" }}
{{- toYaml .Values.sidecar.podSelector }}
{{- else }}
{{- include "rerank-proxy.ownLabels" . }}
{{- end }}
{{- end }}

{{/* Whether it is known which pods these are. */}}
{{- define "rerank-proxy.hasPods" -}}
{{- if or (eq .Values.mode "deployment") .Values.sidecar.podSelector }}true{{ end }}
{{- end }}

{{- define "rerank-proxy.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "rerank-proxy.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "rerank-proxy.image" -}}
{{- if .Values.image.digest }}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest }}
{{- else }}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) }}
{{- end }}
{{- end }}

{{/* What the chart decides, as variables of the container: they win over the file. */}}
{{- define "rerank-proxy.env" -}}
- {name: RERANK_PROXY_CONFIG, value: /etc/rerank-proxy/config/rerank.toml}
- {name: RERANK_PROXY_SERVER__LISTEN, value: "0.0.0.0:9700"}
- {name: RERANK_PROXY_ADMIN__LISTEN, value: "0.0.0.0:9702"}
- {name: RERANK_PROXY_SERVER__DRAIN_DELAY, value: {{ printf "%ds" (int .Values.drain.delaySeconds) }}}
- {name: RERANK_PROXY_SERVER__DRAIN, value: {{ printf "%ds" (int .Values.drain.seconds) }}}
# A node's cores are shared with other pods: a thread that is tied to one could not move away from them.
- {name: RERANK_PROXY_SERVER__PIN_THREADS, value: "false"}
- {name: RERANK_PROXY_SCORING__WORKERS, value: {{ .Values.workers | int | quote }}}
- {name: RERANK_PROXY_RELOAD__WATCH, value: {{ .Values.reload.watch | quote }}}
- {name: RERANK_PROXY_LOG__LEVEL, value: {{ .Values.log.level | quote }}}
{{- with .Values.upstream.url }}
- {name: RERANK_PROXY_UPSTREAM__URL, value: {{ . | quote }}}
{{- end }}
- {name: RERANK_PROXY_UPSTREAM__ENGINE, value: {{ .Values.upstream.engine | quote }}}
{{- with .Values.upstream.tls }}
{{- if .caSecret }}
- {name: RERANK_PROXY_UPSTREAM__TLS__CA, value: {{ printf "/etc/rerank-proxy/upstream-ca/%s" .caKey }}}
{{- end }}
{{- if .serverName }}
- {name: RERANK_PROXY_UPSTREAM__TLS__SERVER_NAME, value: {{ .serverName | quote }}}
{{- end }}
{{- if .clientSecret }}
- {name: RERANK_PROXY_UPSTREAM__TLS__CERTIFICATE, value: /etc/rerank-proxy/upstream-client/tls.crt}
- {name: RERANK_PROXY_UPSTREAM__TLS__KEY, value: /etc/rerank-proxy/upstream-client/tls.key}
{{- end }}
{{- end }}
{{- with .Values.upstream.sniff }}
- {name: RERANK_PROXY_UPSTREAM__SNIFF, value: {{ . | quote }}}
{{- end }}
{{- with .Values.upstream.authorization }}
{{- if .secret }}
- {name: RERANK_PROXY_UPSTREAM__AUTHORIZATION_ENV, value: CLUSTER_AUTHORIZATION}
- {name: CLUSTER_AUTHORIZATION, valueFrom: {secretKeyRef: {name: {{ .secret }}, key: {{ .key }}}}}
{{- end }}
{{- end }}
{{- with .Values.tls }}
{{- if .secret }}
- {name: RERANK_PROXY_SERVER__TLS__CERTIFICATE, value: /etc/rerank-proxy/tls/tls.crt}
- {name: RERANK_PROXY_SERVER__TLS__KEY, value: /etc/rerank-proxy/tls/tls.key}
{{- if .clientCaKey }}
- {name: RERANK_PROXY_SERVER__TLS__CLIENT_CA, value: {{ printf "/etc/rerank-proxy/tls/%s" .clientCaKey }}}
{{- if .clientNames }}
- {name: RERANK_PROXY_SERVER__TLS__CLIENT_NAMES, value: {{ join "," .clientNames | quote }}}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- with .Values.api }}
{{- if .keysSecret }}
- {name: RERANK_PROXY_API__KEYS_ENV, value: RERANK_KEYS}
- {name: RERANK_KEYS, valueFrom: {secretKeyRef: {name: {{ .keysSecret }}, key: {{ .keysKey }}}}}
{{- else if .open }}
- {name: RERANK_PROXY_API__KEYS, value: none}
{{- end }}
{{- end }}
{{- with .Values.cache }}
{{- if .redisUrl }}
- {name: RERANK_PROXY_CACHE__REDIS__URL, value: {{ .redisUrl | quote }}}
{{- if .passwordSecret }}
- {name: RERANK_PROXY_CACHE__REDIS__PASSWORD_ENV, value: REDIS_PASSWORD}
- {name: REDIS_PASSWORD, valueFrom: {secretKeyRef: {name: {{ .passwordSecret }}, key: {{ .passwordKey }}}}}
{{- end }}
{{- end }}
{{- end }}
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* The container, for our own pods and for those of others. Folders are mounted, never single files: those would not change any more. */}}
{{- define "rerank-proxy.container" -}}
name: rerank-proxy
image: {{ include "rerank-proxy.image" . | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
args: [serve]
env:
  {{- include "rerank-proxy.env" . | nindent 2 }}
ports:
  - {name: search, containerPort: 9700}
  - {name: admin, containerPort: 9702}
# Loading a model takes its time. In a pod of the cluster itself there is no cluster to wait for yet.
startupProbe:
  httpGet: {path: {{ ternary "/livez" "/readyz" (eq .Values.mode "sidecar") }}, port: admin}
  periodSeconds: 2
  timeoutSeconds: 2
  failureThreshold: 150
readinessProbe:
  httpGet: {path: /readyz, port: admin}
  periodSeconds: 2
  # More than the second that the cluster may take.
  timeoutSeconds: 2
  failureThreshold: 2
livenessProbe:
  httpGet: {path: /livez, port: admin}
  periodSeconds: 10
  timeoutSeconds: 2
  failureThreshold: 3
{{- with .Values.resources }}
resources:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
  seccompProfile: {type: RuntimeDefault}
volumeMounts:
  - {name: rerank-proxy-config, mountPath: /etc/rerank-proxy/config, readOnly: true}
  {{- if .Values.tls.secret }}
  - {name: rerank-proxy-tls, mountPath: /etc/rerank-proxy/tls, readOnly: true}
  {{- end }}
  {{- if .Values.upstream.tls.caSecret }}
  - {name: rerank-proxy-upstream-ca, mountPath: /etc/rerank-proxy/upstream-ca, readOnly: true}
  {{- end }}
  {{- if .Values.upstream.tls.clientSecret }}
  - {name: rerank-proxy-upstream-client, mountPath: /etc/rerank-proxy/upstream-client, readOnly: true}
  {{- end }}
  {{- if .Values.models.existingClaim }}
  - {name: rerank-proxy-models, mountPath: {{ .Values.models.mountPath }}, readOnly: true}
  {{- end }}
  {{- with .Values.extraVolumeMounts }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}

{{- define "rerank-proxy.volumes" -}}
- {name: rerank-proxy-config, configMap: {name: {{ include "rerank-proxy.fullname" . }}}}
{{- with .Values.tls.secret }}
- {name: rerank-proxy-tls, secret: {secretName: {{ . }}}}
{{- end }}
{{- with .Values.upstream.tls.caSecret }}
- {name: rerank-proxy-upstream-ca, secret: {secretName: {{ . }}}}
{{- end }}
{{- with .Values.upstream.tls.clientSecret }}
- {name: rerank-proxy-upstream-client, secret: {secretName: {{ . }}}}
{{- end }}
{{- with .Values.models.existingClaim }}
- {name: rerank-proxy-models, persistentVolumeClaim: {claimName: {{ . }}, readOnly: true}}
{{- end }}
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end }}
