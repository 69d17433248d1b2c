#!/usr/bin/env bash
# build.sh [amd64|arm64]   builds both programs for a release, and prints the folder they are in. The bytes depend on the sources and
# the compilers alone: not on the folder, the user or the day. Each program carries the list of the crates in it (cargo-auditable).
#   CARGO_TARGET_DIR=DIR   where it builds; target/ without it. Builds of tests are never touched.
set -euo pipefail
top=$(cd "$(dirname "$0")/.." && pwd -P)
need() { "$top/e2e/cluster/need.sh" "$@" >&2; }

host=$(uname -m)
case ${1:-$host} in
  amd64 | x86_64) cpu=x86_64 ;;
  arm64 | aarch64) cpu=aarch64 ;;
  *) echo "[release] no such architecture: $1 (amd64, arm64)" >&2; exit 2 ;;
esac
triple=$cpu-unknown-linux-gnu
suffix=${triple//-/_}

command -v cargo-auditable >/dev/null || cargo install --quiet --locked cargo-auditable@0.7.7 >&2
if [ "$cpu" = "$host" ]; then
  need cc
else
  need "$cpu-linux-gnu-gcc"
  rustup target list --installed | grep -qx "$triple" || (cd "$top" && rustup target add "$triple" >&2)
  export "CC_$suffix=$cpu-linux-gnu-gcc" "AR_$suffix=$cpu-linux-gnu-ar" "CARGO_TARGET_${suffix^^}_LINKER=$cpu-linux-gnu-gcc"
fi

# Flags of whoever builds would be in the bytes.
unset RUSTFLAGS CARGO_ENCODED_RUSTFLAGS CARGO_BUILD_RUSTFLAGS CFLAGS CXXFLAGS CPPFLAGS LDFLAGS TARGET_CFLAGS
mapfile -t flags < <(compgen -e | grep -E '^(CARGO_TARGET_.*_RUSTFLAGS|CARGO_PROFILE_RELEASE_.*|(C|CXX)FLAGS_.*|HOST_(C|CXX)FLAGS|TARGET_CXXFLAGS)$' || true)
unset "${flags[@]}"
target=${CARGO_TARGET_DIR:-$top/target}
mkdir -p "$target/dist"
target=$(cd "$target/dist" && pwd -P)
cd "$top"
cargo fetch --quiet --locked --target "$triple"
# Later ones go before earlier ones, for both compilers.
paths=("$top=/source" "$target=/target")
for crates in "${CARGO_HOME:-$HOME/.cargo}"/registry/src/*; do paths+=("$crates=/crates"); done
RELEASE_PATHS=$(printf '%s\n' "${paths[@]}")
export RELEASE_PATHS "CFLAGS_$suffix=${paths[*]/#/-ffile-prefix-map=}"
# A library in C writes the day of its build into itself; the compiler takes it from SOURCE_DATE_EPOCH.
export RUSTC_WRAPPER=$top/release/rustc.sh CARGO_INCREMENTAL=0 LC_ALL=C SOURCE_DATE_EPOCH=0
cargo auditable build --quiet --release --locked --target "$triple" --target-dir "$target" -p opensecureconf-node -p opensecureconf-operator >&2
echo "$target/$triple/release"
