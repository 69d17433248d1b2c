#!/usr/bin/env bash
# versions.sh REV   a cluster that operator and node of another revision made is upgraded to this checkout while clients write, and taken back:
# e2e/tests/versions. On a kind cluster of its own, removed on exit. earlier.sh builds the other revision, once.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/.." && pwd)
cache=${KUBE_CACHE:-$HOME/.cache/opensecureconf-e2e}
rev=${1:?which revision? make e2e-versions REV=v0.1.0}
earlier=$("$here/earlier.sh" "$rev")
commit=$(basename "$earlier")
version=$(sed -n 's/^version = "\(.*\)"/\1/p' "$top/Cargo.toml" | head -1)
name=osc-versions

client=$("$here/images/client.sh")
trap '"$here/cluster/down.sh" "$name"' EXIT
KUBECONFIG=$("$here/cluster/up.sh" "$name")
export KUBECONFIG PATH=$cache/bin:$PATH
"$here/cluster/load.sh" "$name" "$client" {opensecureconf-node,opensecureconf-operator}:{"$commit","$version"}
export VERSIONS_OTHER=$earlier/install.yaml VERSIONS_OTHER_TAG=$commit VERSIONS_THIS=$top/manifests/install.yaml VERSIONS_THIS_TAG=$version
cd "$top"
# The whole workspace, although only this package has stories: its dependencies are then those that `make test` has built.
cargo test --workspace --locked --test versions -- --nocapture
