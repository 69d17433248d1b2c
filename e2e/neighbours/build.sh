#!/usr/bin/env bash
# build.sh NAME   prints the folder with the programs of a neighbour (NAME/go.mod says which, and its version); builds them
# where they are not there yet (three to seven minutes each on two cores). Needs Go 1.26 or newer.
#   build.sh NAME --there      builds and prints nothing; fails where they are not there yet
#   build.sh NAME --version    prints the version only
#   KUBE_CACHE=DIR             where they are kept
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
name=${1:?build.sh NAME, one of: $(cd "$here" && echo */)}
[ -e "$here/$name/go.mod" ] || { echo "no neighbour is called $name: $(cd "$here" && echo */)" >&2; exit 2; }
command -v go >/dev/null || { echo "building $name needs Go 1.26 or newer" >&2; exit 1; }
# The module of the first program that go.mod names as a tool.
tool=$(sed -n 's/^tool \([^(].*\)/\1/p; /^tool (/,/^)/s/^\t\(.*\)/\1/p' "$here/$name/go.mod" | head -1)
version=$(sed -n 's/^\(require\)\{0,1\}[[:space:]]*\([^ ]*\) \(v[^ ]*\).*/\2 \3/p' "$here/$name/go.mod" |
  while read -r module version; do case $tool/ in "$module"/*) echo "${#module} $version" ;; esac; done | sort -rn | head -1 | cut -d' ' -f2)
# A program of our own around a neighbour's packages has the version of what it is made from, which stands first.
[ -n "$version" ] || version=$(sed -n 's/^require [^ ]* \(v[^ ]*\)$/\1/p' "$here/$name/go.mod" | head -1)
bin=${KUBE_CACHE:-$HOME/.cache/opensecureconf-e2e}/$name-$version
case ${2:-} in
  --version) echo "$version"; exit 0 ;;
  --there) [ -e "$bin/.complete" ] && exit 0; exit 1 ;;
esac
if [ ! -e "$bin/.complete" ]; then
  begun=$SECONDS
  echo "[$name] compiling $version" >&2
  rm -rf "$bin"; mkdir -p "$bin"
  (cd "$here/$name" && CGO_ENABLED=0 go build -trimpath -ldflags "-s -w" -o "$bin/" tool)
  echo "[$name] took $((SECONDS - begun)) s" >&2
  touch "$bin/.complete"
fi
echo "$bin"
