{{/* Names, labels and other pieces. The chart's own name is spelled out: an alias in a parent chart changes .Chart.Name. */}}

{{- define "opensecureconf-operator.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{ .Values.fullnameOverride | trunc 63 | trimSuffix "-" }}
{{- else if contains "opensecureconf-operator" .Release.Name -}}
{{ .Release.Name }}
{{- else -}}
{{ printf "%s-opensecureconf-operator" .Release.Name | trunc 63 | trimSuffix "-" }}
{{- end -}}
{{- end }}

{{- define "opensecureconf-operator.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{ .Values.serviceAccount.name | default (include "opensecureconf-operator.fullname" .) }}
{{- else -}}
{{ .Values.serviceAccount.name | default "default" }}
{{- end -}}
{{- end }}

{{/* A map of strings, each in quotes: YAML would read true, 1 and dates otherwise. */}}
{{- define "opensecureconf-operator.strings" -}}
{{- range $name, $value := . }}
{{ $name | quote }}: {{ if kindIs "string" $value }}{{ $value | quote }}{{ else }}{{ $value | toJson | quote }}{{ end }}
{{- end }}
{{- end }}

{{/* What pods are selected by. The name is part of the nodes' NetworkPolicies, so no value changes it. */}}
{{- define "opensecureconf-operator.selector" -}}
app.kubernetes.io/name: opensecureconf-operator
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end }}

{{/* metadata of an object: {top, name, namespace?, clusterWide?, labels?, annotations?} */}}
{{- define "opensecureconf-operator.metadata" -}}
{{- $top := .top -}}
name: {{ .name | quote }}
{{- if not .clusterWide }}
namespace: {{ .namespace | default $top.Release.Namespace | quote }}
{{- end }}
labels:
  {{- $own := dict "app.kubernetes.io/name" "opensecureconf-operator" "app.kubernetes.io/instance" $top.Release.Name }}
  {{- $_ := set $own "app.kubernetes.io/version" ($top.Chart.AppVersion | replace "+" "_") }}
  {{- $_ := set $own "app.kubernetes.io/managed-by" $top.Release.Service }}
  {{- $_ := set $own "helm.sh/chart" (printf "opensecureconf-operator-%s" ($top.Chart.Version | replace "+" "_")) }}
  {{- include "opensecureconf-operator.strings" (merge (dict) (.labels | default dict) $own $top.Values.commonLabels) | trim | nindent 2 }}
{{- with merge (dict) (.annotations | default dict) $top.Values.commonAnnotations }}
annotations:
  {{- include "opensecureconf-operator.strings" . | trim | nindent 2 }}
{{- end }}
{{- end }}

{{/* {image, top}: the digest goes before the tag. */}}
{{- define "opensecureconf-operator.image" -}}
{{- with .image.digest -}}
{{ $.image.repository }}@{{ . }}
{{- else -}}
{{ .image.repository }}:{{ .image.tag | default .top.Chart.AppVersion }}
{{- end -}}
{{- end }}

{{- define "opensecureconf-operator.imagePullSecrets" -}}
{{- concat .Values.imagePullSecrets (dig "imagePullSecrets" list (.Values.global | default dict)) | toYaml -}}
{{- end }}

{{/* Quantities as strings: a number such as 0.5 is none to every reader. */}}
{{- define "opensecureconf-operator.resources" -}}
{{- range $kind := list "requests" "limits" }}
{{- with get $.Values.resources $kind }}
{{ $kind }}:
  {{- include "opensecureconf-operator.strings" . | trim | nindent 2 }}
{{- end }}
{{- end }}
{{- end }}

{{- define "opensecureconf-operator.podSecurityContext" -}}
{{- $context := deepCopy .context -}}
{{- if eq .top.Values.podSecurity "Platform" -}}
{{- $context = omit $context "runAsUser" "runAsGroup" -}}
{{- end -}}
{{- mergeOverwrite $context (deepCopy .top.Values.podSecurityContext) | toYaml -}}
{{- end }}
