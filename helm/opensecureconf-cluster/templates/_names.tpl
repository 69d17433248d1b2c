{{/* Names, labels and other pieces. */}}

{{- define "opensecureconf-cluster.name" -}}
{{- $name := .Values.name | default .Release.Name -}}
{{- if or (gt (len $name) 40) (not (regexMatch "^[a-z]([-a-z0-9]*[a-z0-9])?$" $name)) (hasSuffix "-nodes" $name) -}}
{{- fail (printf "%q cannot be the name of a cluster: it must begin with a letter, hold only a-z, 0-9 and '-', have at most 40 characters and not end in '-nodes'. Set the value 'name', or name the release otherwise." $name) -}}
{{- end -}}
{{ $name }}
{{- end }}

{{/* A map of strings, each in quotes: YAML would read true, 1 and dates otherwise. */}}
{{- define "opensecureconf-cluster.strings" -}}
{{- range $name, $value := . }}
{{ $name | quote }}: {{ if kindIs "string" $value }}{{ $value | quote }}{{ else }}{{ $value | toJson | quote }}{{ end }}
{{- end }}
{{- end }}

{{/* metadata of an object: {top, name, annotations?} */}}
{{- define "opensecureconf-cluster.metadata" -}}
{{- $top := .top -}}
name: {{ .name | quote }}
namespace: {{ $top.Release.Namespace | quote }}
labels:
  {{- $own := dict "app.kubernetes.io/name" "opensecureconf" "app.kubernetes.io/instance" $top.Release.Name }}
  {{- $_ := set $own "app.kubernetes.io/managed-by" $top.Release.Service }}
  {{- $_ := set $own "helm.sh/chart" (printf "opensecureconf-cluster-%s" ($top.Chart.Version | replace "+" "_")) }}
  {{- include "opensecureconf-cluster.strings" (merge $own $top.Values.commonLabels) | trim | nindent 2 }}
{{- with merge (dict) (.annotations | default dict) $top.Values.commonAnnotations }}
annotations:
  {{- include "opensecureconf-cluster.strings" . | trim | nindent 2 }}
{{- end }}
{{- end }}

{{/* The spec as it was given, in JSON: without empty maps, and with quantities as strings. Lists stay as they are: in a selector an empty map has a meaning. `resources: {}` stays too: it means none, and no resources at all mean the default. */}}
{{- define "opensecureconf-cluster.map" -}}
{{- $map := dict -}}
{{- range $name, $value := .map -}}
{{- $path := printf "%s.%s" $.path $name -}}
{{- if kindIs "map" $value -}}
{{- if or $value (eq $path ".resources") -}}
{{- $_ := set $map $name (include "opensecureconf-cluster.map" (dict "map" $value "path" $path) | fromJson) -}}
{{- end -}}
{{- else if and (or (hasPrefix ".resources.limits." $path) (hasPrefix ".resources.requests." $path) (eq $path ".storage.size")) (not (kindIs "string" $value)) -}}
{{- $_ := set $map $name (toJson $value) -}}
{{- else if not (kindIs "invalid" $value) -}}
{{- $_ := set $map $name $value -}}
{{- end -}}
{{- end -}}
{{- toJson $map -}}
{{- end }}

{{/* What the hook and the test run, and with which rights: {top, hook, weight} */}}
{{- define "opensecureconf-cluster.wait-rights" -}}
{{- $top := .top -}}
{{- $name := .name -}}
{{- $annotations := dict "helm.sh/hook" .hook "helm.sh/hook-weight" "-1" "helm.sh/hook-delete-policy" "before-hook-creation,hook-succeeded" -}}
apiVersion: v1
kind: ServiceAccount
metadata:
  {{- include "opensecureconf-cluster.metadata" (dict "top" $top "name" $name "annotations" $annotations) | nindent 2 }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  {{- include "opensecureconf-cluster.metadata" (dict "top" $top "name" $name "annotations" $annotations) | nindent 2 }}
rules:
  - apiGroups: [opensecureconf.io]
    resources: [opensecureconfclusters]
    resourceNames: [{{ include "opensecureconf-cluster.name" $top | quote }}]
    verbs: [get]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  {{- include "opensecureconf-cluster.metadata" (dict "top" $top "name" $name "annotations" $annotations) | nindent 2 }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: Role
  name: {{ $name | quote }}
subjects:
  - kind: ServiceAccount
    name: {{ $name | quote }}
    namespace: {{ $top.Release.Namespace | quote }}
{{- end }}

{{/* spec of a pod that waits: {top, name, timeout} */}}
{{- define "opensecureconf-cluster.wait-pod" -}}
{{- $values := .top.Values -}}
{{- $pullSecrets := concat $values.waitForReady.imagePullSecrets (dig "imagePullSecrets" list ($values.global | default dict)) -}}
restartPolicy: Never
serviceAccountName: {{ .name | quote }}
# The image's own user, or the platform's.
securityContext:
  runAsNonRoot: true
  seccompProfile: {type: RuntimeDefault}
{{- with $pullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.waitForReady.nodeSelector }}
nodeSelector:
  {{- include "opensecureconf-cluster.strings" . | trim | nindent 2 }}
{{- end }}
{{- with $values.waitForReady.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
containers:
  - name: wait
    {{- with $values.waitForReady.image }}
    image: {{ (empty .digest | ternary (printf "%s:%s" .repository (.tag | default $.top.Chart.AppVersion)) (printf "%s@%s" .repository .digest)) | quote }}
    imagePullPolicy: {{ .pullPolicy }}
    {{- end }}
    args: [wait, {{ include "opensecureconf-cluster.name" .top | quote }}, --namespace, {{ .top.Release.Namespace | quote }}, --timeout, {{ .timeout | quote }}]
    terminationMessagePolicy: FallbackToLogsOnError
    resources:
      requests: {cpu: 10m, memory: 16Mi}
      limits: {memory: 64Mi}
    securityContext:
      allowPrivilegeEscalation: false
      readOnlyRootFilesystem: true
      capabilities: {drop: [ALL]}
{{- end }}
