#!/usr/bin/env bash
# syft.sh   builds syft, which lists what an image holds, from its Go module where it is not in the cache; prints the program's path.
#   KUBE_CACHE=DIR   where it is kept
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
version=$(sed -n 's#^.*github.com/anchore/syft \(v[0-9.]*\).*#\1#p' "$here/syft/go.mod")
program=${KUBE_CACHE:-$HOME/.cache/opensecureconf-e2e}/syft-$version/syft
if [ ! -x "$program" ]; then
  command -v go >/dev/null || { echo "Go 1.26 or newer is missing (it builds syft $version)" >&2; exit 1; }
  echo "[release] compiling syft $version" >&2
  mkdir -p "$(dirname "$program")"
  (cd "$here/syft" && CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags "-s -w -X main.version=${version#v}" -o "$program" github.com/anchore/syft/cmd/syft)
fi
echo "$program"
