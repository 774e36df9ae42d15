{{- define "wholescale.labels" -}}
{{ include "wholescale.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end }}

{{- define "wholescale.selector" -}}
app.kubernetes.io/name: wholescale
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- /* A pod's have no chart version, which would restart all pods for a change of the chart alone. */ -}}
{{- define "wholescale.podLabels" -}}
{{ include "wholescale.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
{{- end }}

{{- define "wholescale.image" -}}
{{- with .Values.image -}}
{{ .repository }}{{ if .digest }}@{{ .digest }}{{ else }}:{{ .tag | default $.Chart.AppVersion }}{{ end }}
{{- end -}}
{{- end }}

{{- define "wholescale.provider" -}}
{{- if and .Values.controller.providerAddress (not .Values.provider.enabled) -}}
{{ .Values.controller.providerAddress }}
{{- else -}}
wholescale-provider.{{ .Release.Namespace }}.svc:7443
{{- end -}}
{{- end }}

{{- /* What holds for each pod; with the key token it has one of Kubernetes. */ -}}
{{- define "wholescale.pod" -}}
serviceAccountName: wholescale-{{ .component }}
automountServiceAccountToken: {{ hasKey . "token" }}
enableServiceLinks: false
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets: {{ toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.priorityClass.name }}
priorityClassName: {{ . }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  fsGroup: 65532
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "wholescale.place" -}}
{{- with .nodeSelector }}
nodeSelector: {{ toYaml . | nindent 2 }}
{{- end }}
{{- with .tolerations }}
tolerations: {{ toYaml . | nindent 2 }}
{{- end }}
{{- with .affinity }}
affinity: {{ toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "wholescale.spread" -}}
topologySpreadConstraints:
{{- range list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
- topologyKey: {{ . }}
  maxSkew: 1
  whenUnsatisfiable: ScheduleAnyway
  labelSelector:
    matchLabels: {{ include "wholescale.selector" $ | nindent 6 }}
  matchLabelKeys: [pod-template-hash]
{{- end }}
{{- end }}

{{- define "wholescale.container" -}}
image: {{ include "wholescale.image" .root }}
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
{{- end }}

{{- define "wholescale.keys.args" -}}
- --ca=/keys/ca.crt
- --cert=/keys/tls.crt
- --key=/keys/tls.key
{{- end }}

{{- /* Only what is shown and trusted now: a certificate that waits stays in the Secret. */ -}}
{{- define "wholescale.keys.volume" -}}
- name: keys
  secret:
    secretName: wholescale-{{ .component }}-tls
    defaultMode: 0440
    items:
    - {key: ca.crt, path: ca.crt}
    - {key: tls.crt, path: tls.crt}
    - {key: tls.key, path: tls.key}
{{- end }}

{{- define "wholescale.probes" -}}
readinessProbe:
  httpGet: {path: {{ .ready }}, port: admin}
  periodSeconds: 2
  failureThreshold: 2
livenessProbe:
  httpGet: {path: /healthz, port: admin}
  periodSeconds: 10
  failureThreshold: 6
{{- end }}
