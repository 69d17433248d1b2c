#!/usr/bin/env bash
# A Prometheus Operator that is told where its Prometheuses are does not see a renewed authority.
#
# prometheus-operator v0.93.0 with --prometheus-instance-namespaces, kube-apiserver 1.36.3 (no kubelets: it prepares a Secret for
# Prometheus, and nothing has to run).
#
# A ServiceMonitor may name a ConfigMap with the certificates that its targets are verified with (tlsConfig.ca). The operator copies
# them into a Secret that Prometheus mounts. ConfigMaps and Secrets are watched in the namespaces of Prometheuses only, unless
# --watch-referenced-objects-in-all-namespaces is given: without any of these flags that is everywhere, and a change is copied within
# a second. With the first one a change beside a ServiceMonitor is not seen until that object changes in spec or labels; an annotation
# is not enough. Targets that have exchanged their certificates meanwhile are down.
#
# Guess before: a change of the ConfigMap is copied within a second, whatever the flags.
# What follows: whoever writes the ServiceMonitor puts a hash of the certificates into one of its labels.
#
# Output seen:
#   written:                                  first
#   60 s after another text in the ConfigMap: first
#   20 s after another annotation:            first
#   10 s after another label:                 second
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
e2e=$(cd "$here/../e2e" && pwd)
if [ "${1:-}" != beside ]; then
  exec "$e2e/api-server/run.sh" --without-operator "$here/$(basename "$0")" beside
fi
kubectl=$("$e2e/cluster/tool.sh" kubectl)
operator=$("$e2e/neighbours/build.sh" prometheus-operator)/operator
crds=$(cd "$e2e/neighbours/prometheus-operator" && go list -m -f '{{.Dir}}' github.com/prometheus-operator/prometheus-operator)/example/prometheus-operator-crd
folder=$(mktemp -d)
pid=
trap '[ -z "$pid" ] || kill "$pid"; rm -rf "$folder"' EXIT
kubectl() { "$kubectl" "$@" >/dev/null; }
kubectl apply --server-side -f "$crds"
kubectl wait --for=condition=Established crd --all --timeout=60s
for name in first second; do
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout /dev/null -out "$folder/$name" -days 2 -subj "/CN=$name" 2>/dev/null
done
config_map() { "$kubectl" -n team create configmap authorities --from-file=ca.crt="$folder/$1" --dry-run=client -o yaml | kubectl apply -f -; }
kubectl create namespace team
config_map first
kubectl apply -f - <<'OBJECTS'
apiVersion: monitoring.coreos.com/v1
kind: ServiceMonitor
metadata: {name: target, namespace: team}
spec:
  selector: {}
  endpoints: [{port: https, scheme: https, tlsConfig: {ca: {configMap: {name: authorities, key: ca.crt}}}}]
---
apiVersion: monitoring.coreos.com/v1
kind: Prometheus
metadata: {name: all, namespace: default}
spec: {serviceMonitorSelector: {}, serviceMonitorNamespaceSelector: {}}
OBJECTS
"$operator" --prometheus-instance-namespaces=default --web.listen-address=127.0.0.1:0 >"$folder/log" 2>&1 &
pid=$!

copied() { # whose certificate Prometheus would mount
  "$kubectl" -n default get secret prometheus-all-tls-assets-0 -o jsonpath='{.data.*}' 2>/dev/null | base64 -d | openssl x509 -noout -subject 2>/dev/null | sed 's/.*CN *= *//' || true
}
for _ in $(seq 120); do [ -z "$(copied)" ] || break; sleep 0.5; done
[ -n "$(copied)" ] || { cat "$folder/log" >&2; exit 1; }
seen=("$(copied)")
# What it made itself makes it look again.
sleep 30
config_map second
sleep 60
seen+=("$(copied)")
kubectl -n team annotate servicemonitor target hash=second
sleep 20
seen+=("$(copied)")
kubectl -n team label servicemonitor target hash=second
sleep 10
seen+=("$(copied)")
printf '%-41s %s\n' "written:" "${seen[0]}" "60 s after another text in the ConfigMap:" "${seen[1]}" "20 s after another annotation:" "${seen[2]}" \
  "10 s after another label:" "${seen[3]}"
[ "${seen[*]}" = "first first first second" ]
