#!/usr/bin/env bash
# tool.sh PROGRAM   prints the path of kind, kubectl or another program of the kit: the one in the cache, else the one in PATH. Where
# neither is there it says so in one line, and fails.
#   KUBE_CACHE=DIR   the cache
set -euo pipefail
built=${KUBE_CACHE:-$HOME/.cache/opensecureconf-e2e}/bin/$1
if [ -x "$built" ]; then echo "$built"; exit 0; fi
type -P "$1" || { echo "$1 is neither at $built nor in PATH: install it, or have make e2e build it" >&2; exit 1; }
