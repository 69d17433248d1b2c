#!/usr/bin/env bash
# rustc.sh RUSTC ARGUMENT...   the compiler, which writes the same paths into a program wherever it is built: build.sh names them. As
# RUSTFLAGS they would be in the hashes of which cargo makes names of folders.
set -euo pipefail
mapfile -t paths <<<"$RELEASE_PATHS"
exec "$@" "${paths[@]/#/--remap-path-prefix=}"
