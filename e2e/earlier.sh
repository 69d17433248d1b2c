#!/usr/bin/env bash
# earlier.sh REV   builds operator and node of another revision apart, once (about 10 minutes on two cores), and keeps them in the cache;
# makes their images, whose tag is the commit. Prints the folder of that revision, whose name is the commit; install.yaml there names the images.
#   KUBE_CACHE=DIR   where it is kept
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/.." && pwd)
cache=${KUBE_CACHE:-$HOME/.cache/opensecureconf-e2e}
rev=${1:?which revision?}
commit=$(git -C "$top" rev-parse --verify --quiet --short=12 "$rev^{commit}") || { echo "[earlier] git knows no revision '$rev'" >&2; exit 2; }
earlier=$cache/versions/$commit

if [ ! -e "$earlier/.complete" ]; then
  begun=$SECONDS
  echo "[earlier] building $commit" >&2
  rm -rf "$earlier"; mkdir -p "$earlier/tree" "$earlier/programs"
  git -C "$top" archive "$commit" | tar -x -C "$earlier/tree"
  # One folder for all of them: most crates are the same.
  (cd "$earlier/tree" && CARGO_TARGET_DIR=$cache/versions/target cargo build --release --locked -p opensecureconf-node -p opensecureconf-operator >&2)
  install -m0755 "$cache"/versions/target/release/osc-{node,operator} "$earlier/programs/"
  sed "s#\(opensecureconf-\(node\|operator\)\):[0-9][-.0-9a-z]*#\1:$commit#" "$earlier/tree/manifests/install.yaml" >"$earlier/install.yaml"
  for image in node operator; do
    grep -q "opensecureconf-$image:$commit" "$earlier/install.yaml" || { echo "[earlier] $commit has no manifests/install.yaml with these images" >&2; exit 1; }
  done
  touch "$earlier/.complete"
  echo "[earlier] took $((SECONDS - begun)) s" >&2
fi
BINARIES=$earlier/programs TAG=$commit "$here/images.sh" >&2
echo "$earlier"
