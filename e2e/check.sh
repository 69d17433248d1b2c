#!/usr/bin/env bash
# check.sh             says in one line what a real cluster needs and this machine lacks; silent where nothing is missing.
# check.sh --stories   the same, and what `make e2e` needs beside its cluster.
# What a package brings (Docker, debootstrap, ...) is installed later, as far as this user may.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cache=${KUBE_CACHE:-$HOME/.cache/opensecureconf-e2e}
has() { [ -x "$cache/bin/$1" ] || command -v "$1" >/dev/null; }
newer() { [ "$(printf '%s\n' "$1" "$2" | sort -V | head -1)" = "$1" ]; }
version=$(go env GOVERSION 2>/dev/null | sed 's/^go//' || true)
has_go() { newer 1.25 "${version:-0}"; }
list() { printf '%s, ' "$@" | sed 's/, $//'; }

missing=()
root=
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then root=yes; fi
docker info >/dev/null 2>&1 || [ -n "$root" ] || missing+=("a Docker daemon that answers (or root on Debian or Ubuntu, to install one)")
# With kind and kubectl a published node image will do; without them everything is built, Helm too.
builds=
if ! has kind || ! has kubectl || [ "${KIND_NODE_IMAGE:-}" = build ] || { [ -n "${KUBERNETES:-}" ] && [ -z "${KIND_NODE_IMAGE:-}" ]; }; then
  builds=yes
  lacks=()
  [ -n "$root" ] || lacks+=("root on Debian or Ubuntu")
  has_go || lacks+=("Go 1.25 or newer")
  command -v gcc >/dev/null || [ -n "$root" ] || lacks+=("a C compiler (gcc)")
  [ ${#lacks[@]} = 0 ] || missing+=("$(list "${lacks[@]}") to build a node image (or kind and kubectl, to pull one)")
fi
if [ -z "$builds" ]; then
  # A base image of one's own takes their place in ours, not in that of the stories' client.
  command -v apt-get >/dev/null || { [ -n "${BASE:-}" ] && [ "${1:-}" != --stories ]; } || missing+=("Debian or Ubuntu, whose packages go into images")
fi
if [ "${1:-}" = --stories ] && [ -z "$builds" ]; then
  has_go || missing+=("Go 1.25 or newer, for e2e/gitops")
  has helm || "$here/charts/helm.sh" 3 --cached >/dev/null 2>&1 || "$here/charts/helm.sh" 4 --cached >/dev/null 2>&1 || missing+=("Helm, for e2e/charts")
fi
[ ${#missing[@]} = 0 ] || { printf 'a real cluster needs: %s\n' "$(printf '%s; ' "${missing[@]}" | sed 's/; $//')" >&2; exit 1; }
