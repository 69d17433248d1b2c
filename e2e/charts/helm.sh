#!/usr/bin/env bash
# helm.sh MAJOR            builds Helm 3 or 4 from its Go module where it is not in the cache, and prints the path of the program.
# helm.sh MAJOR --cached   builds nothing: prints the path, or fails in one line.
# The program is called helm in a folder of its version: Helm 4 takes its field manager's name from the file's.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cache=${KUBE_CACHE:-$HOME/.cache/opensecureconf-e2e}
major=$1
version=$(sed -n "s#^.*helm.sh/helm/v$major \(v[0-9.]*\).*#\1#p" "$here/helm$major/go.mod")
program=$cache/helm-$version/helm

if [ ! -x "$program" ]; then
  [ "${2:-}" != --cached ] || { echo "Helm $version is not in $cache (e2e/charts/helm.sh $major builds it)" >&2; exit 1; }
  command -v go >/dev/null || { echo "Go 1.26 or newer is missing (it builds Helm $version)" >&2; exit 1; }
  echo "[charts] compiling Helm $version" >&2
  mkdir -p "$cache/helm-$version"
  (cd "$here/helm$major" && CGO_ENABLED=0 go build -trimpath -buildvcs=false \
    -ldflags "-s -w -X helm.sh/helm/v$major/internal/version.version=$version" -o "$program" "helm.sh/helm/v$major/cmd/helm")
fi
echo "$program"
