#!/usr/bin/env bash
# Runs the stories on a cluster of their own, and removes it, also after a failure.
#   NEIGHBOURS_SECONDS=N   then those of neighbours too, as far as they are built and begin within so many seconds
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
name=osc-e2e
trap '"$here/cluster/down.sh" $name' EXIT
client=$("$here/images/client.sh")
KUBECONFIG=$("$here/install.sh" $name "$client") || { "$here/diagnose.sh" $name; exit 1; }
export KUBECONFIG
# Helm came with the cluster.
"$here/charts/render.sh"
"$here/gitops/run.sh" --health
cd "$here/.."
# The whole workspace, although only this package has stories: its dependencies are then those that `make test` has built.
# Two at a time: they mostly wait.
cargo test --workspace --locked --test stories -- --nocapture --test-threads=2
[ -z "${NEIGHBOURS_SECONDS:-}" ] || CLUSTER=$name ONLY_BUILT=true "$here/neighbours/run.sh"
