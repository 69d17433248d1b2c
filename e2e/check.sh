#!/usr/bin/env bash
# check.sh   says in one line what a real cluster needs and this machine lacks; silent where nothing is missing.
# What a package brings (Docker, debootstrap, ...) is installed later, as far as this user may.
set -euo pipefail
cache=${KUBE_CACHE:-$HOME/.cache/opensecureconf-e2e}
has() { [ -x "$cache/bin/$1" ] || command -v "$1" >/dev/null; }
newer() { [ "$(printf '%s\n' "$1" "$2" | sort -V | head -1)" = "$1" ]; }

missing=()
root=
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then root=yes; fi
docker info >/dev/null 2>&1 || [ -n "$root" ] || missing+=("a Docker daemon that answers (or root on Debian or Ubuntu, to install one)")
# With kind and kubectl a published node image will do; without them everything is built.
if ! has kind || ! has kubectl || [ "${KIND_NODE_IMAGE:-}" = build ] || { [ -n "${KUBERNETES:-}" ] && [ -z "${KIND_NODE_IMAGE:-}" ]; }; then
  lacks=()
  [ -n "$root" ] || lacks+=("root on Debian or Ubuntu")
  version=$(go env GOVERSION 2>/dev/null | sed 's/^go//' || true)
  newer 1.25 "${version:-0}" || lacks+=("Go 1.25 or newer")
  command -v gcc >/dev/null || [ -n "$root" ] || lacks+=("a C compiler (gcc)")
  [ ${#lacks[@]} = 0 ] || missing+=("$(printf '%s, ' "${lacks[@]}" | sed 's/, $//') to build a node image (or kind and kubectl, to pull one)")
fi
[ ${#missing[@]} = 0 ] || { printf 'a real cluster needs: %s\n' "$(printf '%s; ' "${missing[@]}" | sed 's/; $//')" >&2; exit 1; }
