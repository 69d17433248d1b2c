#!/usr/bin/env bash
# render.sh   lints the charts, compares what they render with manifests/install.yaml over a matrix of values, and checks it
# against Kubernetes' own schemas. With every Helm of the cache; says what is not there.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
cache=${KUBE_CACHE:-$HOME/.cache/opensecureconf-e2e}
say() { echo "[charts] $*" >&2; }

programs=()
for program in "$cache/bin/helm" "$("$here/helm.sh" 3 --cached)" "$("$here/helm.sh" 4 --cached)"; do
  [ ! -x "$program" ] || programs+=("$program")
done
if [ ${#programs[@]} = 0 ]; then
  program=$(command -v helm) || { say "no Helm: the cluster kit or e2e/charts/helm.sh builds one"; exit 1; }
  programs=("$program")
fi

for program in "${programs[@]}"; do
  say "Helm $("$program" version --template '{{.Version}}')"
  "$program" lint --strict --quiet "$top"/helm/*
done
# What docs/install.md has a cluster administrator apply is all that stands in no namespace: with few rights the rest does without.
kinds() { "$@" --kube-version 1.35.0 | sed -n 's/^kind: //p' | LC_ALL=C sort | paste -sd ' '; }
clusterwide="ClusterRole ClusterRole CustomResourceDefinition ValidatingAdmissionPolicy ValidatingAdmissionPolicyBinding"
few="Deployment Lease NetworkPolicy PodDisruptionBudget Role Role RoleBinding RoleBinding ServiceAccount"
for program in "${programs[@]}"; do
  operator=("$program" template opensecureconf-operator "$top/helm/opensecureconf-operator")
  rendered=$(kinds "${operator[@]}" --set admissionPolicy.enabled=true -s templates/admission-policy.yaml -s templates/crd.yaml -s templates/aggregated-roles.yaml)
  [ "$rendered" = "$clusterwide" ] || { say "a cluster administrator's part is $rendered"; exit 1; }
  rendered=$(kinds "${operator[@]}" --no-hooks --set 'watchNamespaces={team-a}' --set crds.install=false)
  [ "$rendered" = "$few" ] || { say "with few rights a release has $rendered"; exit 1; }
done
HELM_PROGRAMS=$(IFS=:; echo "${programs[*]}")
export HELM_PROGRAMS
# The whole workspace, although only this package has the test: its dependencies are then those that `make test` has built.
(cd "$top" && cargo test --quiet --workspace --locked --test charts)

# Kubernetes' module has a description of every kind; kubeconform wants one file for each.
kubeconform=$cache/bin/kubeconform
module=$(go -C "$here/../cluster" list -m -f '{{.Dir}}' k8s.io/kubernetes 2>/dev/null || true)
if [ ! -x "$kubeconform" ] || [ ! -d "$module/api/openapi-spec/v3" ]; then
  say "left out: Kubernetes' schemas (kubeconform and the module k8s.io/kubernetes come with the cluster kit)"
  exit 0
fi
"$here/../cluster/need.sh" jq
schemas=$(mktemp -d)
trap 'rm -rf "$schemas"' EXIT
for kind in v1/{Service,ServiceAccount,ConfigMap,Pod} apps/v1/Deployment coordination.k8s.io/v1/Lease batch/v1/Job policy/v1/PodDisruptionBudget \
  networking.k8s.io/v1/NetworkPolicy rbac.authorization.k8s.io/v1/{Role,RoleBinding,ClusterRole,ClusterRoleBinding} \
  apiextensions.k8s.io/v1/CustomResourceDefinition; do
  case $kind in
    v1/*) group="" file=api__v1; version=v1 ;;
    *) group=${kind%%/*}; version=${kind#*/}; version=${version%/*}; file=apis__${group}__$version ;;
  esac
  jq -c --arg group "$group" --arg version "$version" --arg kind "${kind##*/}" '
    (.components.schemas | to_entries[] | select(any(.value["x-kubernetes-group-version-kind"][]?; . == {group: $group, version: $version, kind: $kind})) | .key) as $name
    | {"$ref": "#/components/schemas/\($name)", components: {schemas: (.components.schemas
      | walk(if type == "object" and .type? == "object" and has("properties") and (has("additionalProperties") | not) then .additionalProperties = false else . end))}}' \
    "$module/api/openapi-spec/v3/${file}_openapi.json" >"$schemas/$(basename "${kind,,}")-${group:-$version}-$version.json"
done
# Ours, from the definition; those of the Prometheus Operator are not at hand.
conforms() { # chart, values
  "${programs[0]}" template opensecureconf-operator "$top/helm/$1" --namespace opensecureconf-system --kube-version 1.35.0 --values - <<<"$2" |
    "$kubeconform" -strict -summary -skip ServiceMonitor,PrometheusRule,OpenSecureConfCluster \
      -schema-location "$schemas/{{.ResourceKind}}-{{.Group}}-{{.ResourceAPIVersion}}.json"
}
conforms opensecureconf-operator '{}'
conforms opensecureconf-operator '{watchNamespaces: [a, b], podSecurity: Platform, serviceMonitor: {enabled: true}, prometheusRule: {enabled: true}, dashboard: {enabled: true}, commonLabels: {a: true}, resources: {requests: {cpu: 0.5}}}'
conforms opensecureconf-cluster '{name: config, waitForReady: {enabled: true}}'
