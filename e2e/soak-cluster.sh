#!/usr/bin/env bash
# soak-cluster.sh   one cluster through drain, kills, a frozen leader, full disks, growth, hibernation, renewed certificates and another node
# image, while four clients check every write that was acknowledged; on a kind cluster of its own, removed on exit. Prints a table.
#   SOAK_MINUTES=N   for how long; 60 by default. What is done takes about 30 minutes by itself
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cache=${KUBE_CACHE:-$HOME/.cache/opensecureconf-e2e}
version=$(sed -n 's/^version = "\(.*\)"/\1/p' "$here/../Cargo.toml" | head -1)
name=osc-soak
trap '"$here/cluster/down.sh" "$name"' EXIT
client=$("$here/images/client.sh")
# The same program under another name: to Kubernetes, and to the operator, it is another image.
export SOAK_NODE_IMAGE=opensecureconf-node:$version-again
docker tag "opensecureconf-node:$version" "$SOAK_NODE_IMAGE"
KUBECONFIG=$("$here/install.sh" "$name" "$client" "$SOAK_NODE_IMAGE") || { "$here/diagnose.sh" "$name"; exit 1; }
export KUBECONFIG PATH=$cache/bin:$PATH
sizes=0
"$here/neighbours/volumes/install.sh" "$name" || sizes=$?
case $sizes in
  0) ;;
  3) export SOAK_VOLUMES=folders ;;
  *) exit "$sizes" ;;
esac
cd "$here/.."
cargo run --quiet --locked -p opensecureconf-e2e --bin soak-cluster
