#!/usr/bin/env bash
# peers.sh [ROW...]   measures rows of `make bench` with the programs of peers at hand: etcd and an API server as `make e2e` or
# `make e2e-api-server` built them (built here where neither did, about 10 minutes), and a client of etcd in Go.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
command -v go >/dev/null || { echo "[peers] a client of etcd is built with Go 1.26 or newer" >&2; exit 1; }
[ $# -gt 0 ] || set -- peers
kit=${KUBE_CACHE:-$HOME/.cache/opensecureconf-e2e}/bin
if [ -x "$kit/etcd" ] && [ -x "$kit/kube-apiserver" ]; then
  export OSC_PEER_PROGRAMS=$kit
else
  OSC_PEER_PROGRAMS=$("$top/e2e/api-server/build.sh")
  export OSC_PEER_PROGRAMS
fi
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
(cd "$here/etcd" && CGO_ENABLED=0 go build -trimpath -o "$folder/etcd-load" .)
export OSC_ETCD_CLIENT=$folder/etcd-load
"$OSC_PEER_PROGRAMS/etcd" --version | head -1 >&2
"$OSC_PEER_PROGRAMS/kube-apiserver" --version >&2
cd "$top"
cargo bench --locked -p opensecureconf-node --bench limits -- "$@"
