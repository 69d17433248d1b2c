#!/usr/bin/env bash
# versions.sh REV   a cluster that operator and node of another revision made is upgraded to this checkout while clients write, and taken back:
# e2e/tests/versions. On a kind cluster of its own, removed on exit. The other revision is built apart, once (about 10 minutes on two
# cores), and kept in the cache.
#   KUBE_CACHE=DIR   where it is kept
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/.." && pwd)
cache=${KUBE_CACHE:-$HOME/.cache/opensecureconf-e2e}
rev=${1:?which revision? make e2e-versions REV=v0.1.0}
commit=$(git -C "$top" rev-parse --verify --quiet --short=12 "$rev^{commit}") || { echo "[versions] git knows no revision '$rev'" >&2; exit 2; }
earlier=$cache/versions/$commit
version=$(sed -n 's/^version = "\(.*\)"/\1/p' "$top/Cargo.toml" | head -1)
name=osc-versions

if [ ! -e "$earlier/.complete" ]; then
  begun=$SECONDS
  echo "[versions] building $commit" >&2
  rm -rf "$earlier"; mkdir -p "$earlier/tree" "$earlier/programs"
  git -C "$top" archive "$commit" | tar -x -C "$earlier/tree"
  # One folder for all of them: most crates are the same.
  (cd "$earlier/tree" && CARGO_TARGET_DIR=$cache/versions/target cargo build --release --locked -p opensecureconf-node -p opensecureconf-operator)
  install -m0755 "$cache"/versions/target/release/osc-{node,operator} "$earlier/programs/"
  sed "s#\(opensecureconf-\(node\|operator\)\):[0-9][-.0-9a-z]*#\1:$commit#" "$earlier/tree/manifests/install.yaml" >"$earlier/install.yaml"
  for image in node operator; do
    grep -q "opensecureconf-$image:$commit" "$earlier/install.yaml" || { echo "[versions] $commit has no manifests/install.yaml with these images" >&2; exit 1; }
  done
  touch "$earlier/.complete"
  echo "[versions] took $((SECONDS - begun)) s" >&2
fi
BINARIES=$earlier/programs TAG=$commit "$here/images.sh"

client=$("$here/images/client.sh")
trap '"$here/cluster/down.sh" "$name"' EXIT
KUBECONFIG=$("$here/cluster/up.sh" "$name")
export KUBECONFIG PATH=$cache/bin:$PATH
"$here/cluster/load.sh" "$name" "$client" {opensecureconf-node,opensecureconf-operator}:{"$commit","$version"}
export VERSIONS_OTHER=$earlier/install.yaml VERSIONS_OTHER_TAG=$commit VERSIONS_THIS=$top/manifests/install.yaml VERSIONS_THIS_TAG=$version
cd "$top"
# The whole workspace, although only this package has stories: its dependencies are then those that `make test` has built.
cargo test --workspace --locked --test versions -- --nocapture
