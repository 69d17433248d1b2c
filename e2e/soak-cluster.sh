#!/usr/bin/env bash
# soak-cluster.sh   one cluster through drain, kills, a frozen leader, full disks, growth, hibernation, renewed certificates, nodes of an earlier
# revision and these again, while four clients check every write that was acknowledged; on a kind cluster of its own, removed on exit.
# Prints a table.
#   SOAK_MINUTES=N   for how long; 60 by default. What is done takes about 30 minutes by itself
#   SOAK_REV=REV     the earlier revision (earlier.sh builds it, once); by default the one that changed the schema of databases last: it is the
#                    earliest one that opens those of today. "none" for the same program under another name, as where git has no earlier one;
#                    the table says so
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/.." && pwd)
cache=${KUBE_CACHE:-$HOME/.cache/opensecureconf-e2e}
version=$(sed -n 's/^version = "\(.*\)"/\1/p' "$top/Cargo.toml" | head -1)
name=osc-soak
trap '"$here/cluster/down.sh" "$name"' EXIT
rev=${SOAK_REV:-$(git -C "$top" log -1 --format=%H -- node/src/store/sqlite/schema.rs 2>/dev/null || true)}
# A copy without its history knows one revision: its own.
if [ -z "${SOAK_REV:-}" ] && [ -n "$rev" ] && git -C "$top" diff --quiet "$rev" HEAD -- node Cargo.lock; then rev=none; fi
client=$("$here/images/client.sh")
if [ -n "$rev" ] && [ "$rev" != none ]; then
  SOAK_EARLIER=$(basename "$("$here/earlier.sh" "$rev")")
  export SOAK_EARLIER SOAK_NODE_IMAGE=opensecureconf-node:$SOAK_EARLIER
else
  # To Kubernetes, and to the operator, it is another image.
  export SOAK_NODE_IMAGE=opensecureconf-node:$version-again
  docker tag "opensecureconf-node:$version" "$SOAK_NODE_IMAGE"
fi
KUBECONFIG=$("$here/install.sh" "$name" "$client" "$SOAK_NODE_IMAGE") || { "$here/diagnose.sh" "$name"; exit 1; }
export KUBECONFIG PATH=$cache/bin:$PATH
sizes=0
"$here/neighbours/volumes/install.sh" "$name" || sizes=$?
case $sizes in
  0) ;;
  3) export SOAK_VOLUMES=folders ;;
  *) exit "$sizes" ;;
esac
cd "$top"
cargo run --quiet --locked -p opensecureconf-e2e --bin soak-cluster
