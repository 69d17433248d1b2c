#!/usr/bin/env bash
# install.sh NAME   brings the Prometheus Operator and a Prometheus, which takes every ServiceMonitor and PrometheusRule, into
# the kind cluster NAME; builds both where they are not built yet. May be repeated.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
e2e=$(cd "$here/../.." && pwd)
cache=${KUBE_CACHE:-$HOME/.cache/opensecureconf-e2e}
name=$1
export DOCKER_BUILDKIT=0

images=()
image() { # folder of the program, program, version
  local image=opensecureconf-e2e/$2:$3 work
  if ! docker image inspect "$image" >/dev/null 2>&1; then
    work=$(mktemp -d)
    install -m0755 "$1/$2" "$work/"
    # In /bin, as the published images have them: the Prometheus Operator names that path.
    printf 'FROM scratch\nCOPY %s /bin/\nUSER 65534:65534\nENTRYPOINT ["/bin/%s"]\n' "$2" "$2" >"$work/Dockerfile"
    docker build -q -t "$image" "$work" >"$cache/pack.log" 2>&1 || { cat "$cache/pack.log" >&2; return 1; }
    rm -rf "$work"
  fi
  images+=("$image")
}
folder=$("$e2e/neighbours/build.sh" prometheus-operator)
version=$("$e2e/neighbours/build.sh" prometheus-operator --version)
# Its file is called operator, which says little among images.
ln -sf operator "$folder/prometheus-operator"
image "$folder" prometheus-operator "$version"
image "$folder" prometheus-config-reloader "$version"
folder=$("$e2e/neighbours/build.sh" prometheus)
module=$("$e2e/neighbours/build.sh" prometheus --version)
# v0.316.0 is the module's version of the release v3.16.0: the number after the point is two digits behind the major one.
minor=${module#v0.}; patch=${minor#*.}; minor=${minor%%.*}
release=v${minor:0:1}.$((10#${minor:1})).$patch
image "$folder" prometheus "$release"
"$e2e/cluster/load.sh" "$name" "${images[@]}"

kubectl=$("$e2e/cluster/tool.sh" kubectl)
kubectl() { "$kubectl" --kubeconfig "$cache/$name.kubeconfig" "$@"; }
theirs=$(cd "$here" && go list -m -f '{{.Dir}}' github.com/prometheus-operator/prometheus-operator)/example
kubectl apply --server-side -f "$theirs/prometheus-operator-crd" >&2
kubectl wait --for=condition=Established crd/prometheuses.monitoring.coreos.com crd/servicemonitors.monitoring.coreos.com --timeout=60s >&2
kubectl apply --server-side -f - >&2 <<<'{apiVersion: v1, kind: Namespace, metadata: {name: monitoring}}'
rbac=$theirs/rbac/prometheus-operator
# Without --watch-referenced-objects-in-all-namespaces of their example, as most run it: what a ServiceMonitor names is watched then, too,
# unless the operator is told where its Prometheuses are (findings/prometheus-operator-config-maps.sh).
sed 's|namespace: default|namespace: monitoring|; s|quay.io/prometheus-operator/|opensecureconf-e2e/|; /--watch-referenced-objects/d; s|^apiVersion:|---\n&|' \
  "$rbac"/prometheus-operator-{service-account,cluster-role,cluster-role-binding,deployment,service}.yaml |
  kubectl apply --server-side --force-conflicts -f - >&2
sed "s|RELEASE|$release|" "$here/prometheus.yaml" | kubectl apply --server-side -f - >&2
kubectl -n monitoring rollout status deployment/prometheus-operator --timeout=120s >&2
kubectl -n monitoring wait --for=condition=Available prometheus/all --timeout=180s >&2

# What users apply for alerts and for the operator's own metrics; scraped more often, because stories wait for it.
monitoring=$(cd "$e2e/.." && pwd)/manifests/monitoring
sed 's|interval: "30s"|interval: "5s"|' "$monitoring/operator/service-monitor.yaml" | kubectl apply --server-side --force-conflicts -f - >&2
kubectl -n opensecureconf-system apply --server-side --force-conflicts -f "$monitoring/alerts.yaml" -f "$monitoring/operator/alerts.yaml" >&2
