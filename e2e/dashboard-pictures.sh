#!/usr/bin/env bash
# dashboard-pictures.sh [SECONDS]   draws docs/pictures/dashboard-*.svg from a kind cluster with the Prometheus Operator and clients.
#   CLUSTER=NAME   a cluster with images and operator of this checkout, which stays; else one of its own, removed on exit
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cache=${KUBE_CACHE:-$HOME/.cache/opensecureconf-e2e}
name=${CLUSTER:-osc-pictures}
if [ -n "${CLUSTER:-}" ]; then
  KUBECONFIG=$cache/$name.kubeconfig
else
  trap '"$here/cluster/down.sh" "$name"' EXIT
  KUBECONFIG=$("$here/install.sh" "$name" "$("$here/images/client.sh")")
fi
export KUBECONFIG
"$here/neighbours/prometheus-operator/install.sh" "$name"
cd "$here/.."
cargo run --quiet --locked -p opensecureconf-e2e --bin dashboard-pictures -- "$@"
