#!/usr/bin/env bash
# build.sh   prints the folder with kube-apiserver, kube-controller-manager and etcd of the version in go.mod; builds them where
# they are not there yet (about 10 minutes on two cores). Needs Go 1.26 or newer.
#   build.sh --there    builds and prints nothing; fails where they are not there yet
#   KUBERNETES=1.37     another version: a folder of this name here has a go.mod of its own
#   KUBE_CACHE=DIR   where they are kept
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
command -v go >/dev/null || { echo "building an API server needs Go 1.26 or newer" >&2; exit 1; }
version() { sed -n 's#^.*k8s.io/kubernetes \(v[0-9.]*\).*#\1#p' "$1/go.mod"; }
release=$here
case $(version "$here") in
  "v${KUBERNETES:-}."*) ;;
  *) [ -z "${KUBERNETES:-}" ] || release=$here/$KUBERNETES ;;
esac
[ -e "$release/go.mod" ] ||
  { echo "no API server of Kubernetes $KUBERNETES here, but $(version "$here") and $(cd "$here" && echo */go.mod | sed 's#/go.mod##g')" >&2; exit 1; }
kube=$(version "$release")
bin=${KUBE_CACHE:-$HOME/.cache/opensecureconf-e2e}/api-server-$kube
if [ "${1:-}" = --there ]; then
  [ -e "$bin/.complete" ] && exit 0
  exit 1
fi
if [ ! -e "$bin/.complete" ]; then
  echo "[api server] compiling Kubernetes $kube's API server, its controllers, and etcd" >&2
  rm -rf "$bin"; mkdir -p "$bin"
  v=k8s.io/component-base/version
  minor=${kube#v*.}
  (cd "$release" && CGO_ENABLED=0 go build -trimpath \
    -ldflags "-s -w -X $v.gitVersion=$kube -X $v.gitMajor=1 -X $v.gitMinor=${minor%%.*}" -o "$bin/" tool)
  mv "$bin/server" "$bin/etcd"
  touch "$bin/.complete"
fi
echo "$bin"
