#!/usr/bin/env bash
# Checks the dependencies against the RustSec advisory database. Where it cannot be fetched, says why, and compares Cargo.lock
# with .ci/advisories.txt: what was known of the dependencies that matter most, on the day that stands there.
set -euo pipefail
cd "$(dirname "$0")/.."
record=.ci/advisories.txt

versions() { # lock file, crate: each version of it
  awk -v crate="$2" '$0 == "name = \"" crate "\"" { getline; gsub(/[",]/, "", $3); print $3 }' "$1"
}

compare() { # lock file: prints what is affected, and fails where anything is
  local crate bound advisory version found=0
  while read -r crate bound advisory; do
    [ -n "$(versions "$1" "$crate")" ] || { echo "[advisories] $crate is no dependency any more; remove its line from $record"; found=1; }
    [ "$bound" != - ] || continue
    for version in $(versions "$1" "$crate"); do
      [ "$(printf '%s\n' "$bound" "$version" | sort -V | head -1)" = "$bound" ] ||
        { echo "[advisories] $crate $version has $advisory; $bound is the first version without it"; found=1; }
    done
  done < <(grep -v '^#' "$record")
  return "$found"
}

if reason=$(timeout 120 cargo deny --color never fetch db 2>&1); then
  exec cargo deny check --disable-fetch advisories
fi
echo "[advisories] the database cannot be fetched: $(tail -1 <<<"$reason")"
compare Cargo.lock || exit 1
# A comparison that finds nothing must be one that could.
older=$(mktemp)
trap 'rm -f "$older"' EXIT
awk '/^name = "rustls"$/ { print; getline; print "version = \"0.23.44\""; next } { print }' Cargo.lock >"$older"
! compare "$older" >/dev/null || { echo "[advisories] a version with an advisory is not found" >&2; exit 1; }
echo "[advisories] none in $(grep -vc '^#' "$record") of $(grep -c '^name = ' Cargo.lock) packages; the rest was not looked up. $(grep -o 'Looked up on [0-9-]*' "$record")"
