#!/usr/bin/env bash
# reproducible.sh [amd64|arm64]   builds the release twice: here, and from a copy in another folder with crates unpacked elsewhere, in
# another time zone, with other rights of files and with flags in the environment. Fails where one byte differs.
set -euo pipefail
top=$(cd "$(dirname "$0")/.." && pwd -P)
crates=${CARGO_HOME:-$HOME/.cargo}
say() { echo "[reproducible] $*" >&2; }

begun=$SECONDS
here=$("$top/release/build.sh" "$@")
say "built in $top: $((SECONDS - begun)) s"

elsewhere=$(mktemp -d)
trap 'rm -rf "$elsewhere"' EXIT
copy=$elsewhere/a-folder-with-a-longer-name/source
mkdir -p "$copy" "$elsewhere/cargo/registry"
(cd "$top" && git ls-files -z | xargs -0 tar -c --) | tar -x -C "$copy"
# Downloaded already; unpacked again, into another folder.
cp -r "$crates/registry/cache" "$crates/registry/index" "$elsewhere/cargo/registry/"
begun=$SECONDS
there=$(
  umask 077
  # Each would be in the bytes, if build.sh let it in.
  flags=(RUSTFLAGS=-Copt-level=1 CARGO_PROFILE_RELEASE_OPT_LEVEL=1 CARGO_PROFILE_RELEASE_STRIP=none CFLAGS=-O1)
  for cpu in X86_64 AARCH64; do
    flags+=("CARGO_TARGET_${cpu}_UNKNOWN_LINUX_GNU_RUSTFLAGS=-Copt-level=1" "CFLAGS_${cpu,,}_unknown_linux_gnu=-O1" "CXXFLAGS_${cpu,,}_unknown_linux_gnu=-O1")
  done
  env -u CARGO_TARGET_DIR "${flags[@]}" RUSTUP_HOME="${RUSTUP_HOME:-$HOME/.rustup}" CARGO_HOME="$elsewhere/cargo" HOME="$elsewhere" TZ=Pacific/Chatham \
    "$copy/release/build.sh" "$@"
)
say "built in $copy: $((SECONDS - begun)) s"

outcome=0
for program in osc-node osc-operator; do
  one=$(sha256sum <"$here/$program") two=$(sha256sum <"$there/$program")
  echo "$program ${one%% *} ${two%% *}"
  [ "$one" = "$two" ] || { say "$program differs: $(cmp -l "$here/$program" "$there/$program" 2>/dev/null | wc -l) bytes"; outcome=1; }
  # A path of this machine in both would be equal by chance alone.
  ! grep -aqF -e "$top/" -e "$crates/" "$here/$program" || { say "$program names folders of this machine"; outcome=1; }
done
exit $outcome
