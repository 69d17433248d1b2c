#!/usr/bin/env bash
# sbom.sh ARCHITECTURE FOLDER   writes the bill of materials of each program into a folder: CycloneDX, from Cargo.lock, with
# licences and hashes of all crates that are linked or run while it is compiled.
set -euo pipefail
top=$(cd "$(dirname "$0")/.." && pwd -P)
case $1 in arm64) triple=aarch64-unknown-linux-gnu ;; *) triple=x86_64-unknown-linux-gnu ;; esac
cargo cyclonedx --version 2>/dev/null | grep -q ' 0\.5\.9$' || cargo install --quiet --locked cargo-cyclonedx@0.5.9 >&2
# It writes beside each Cargo.toml, and names this folder.
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
(cd "$top" && git ls-files -z | xargs -0 tar -c --) | tar -x -C "$copy"
(cd "$copy" && cargo cyclonedx --quiet --format json --spec-version 1.5 --describe binaries --no-build-deps --target "$triple")
for program in node/osc-node operator/osc-operator; do
  sed "s#path+file://$copy/#path+file:///source/#g" "$copy/${program}_bin.cdx.json" >"$2/${program#*/}.cdx.json"
done
