#!/usr/bin/env bash
# verify.sh FOLDER   checks a folder that files.sh made: every file is the one that SHA256SUMS names and none is missing there, and
# every file of a release is there, with a bill of materials for each program and image; every bill of materials lists every crate of
# Cargo.lock that is linked into its program, and programs and images are for the architecture in their names. Prints what was counted.
#   ARCHITECTURES="amd64 arm64"   of which architectures files are to be there, and no others
set -euo pipefail
top=$(cd "$(dirname "$0")/.." && pwd -P)
dist=$(cd "${1:?verify.sh FOLDER: the folder with SHA256SUMS}" && pwd -P)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { echo "[verify] $*" >&2; exit 1; }

cd "$dist"
sha256sum --check --strict --quiet SHA256SUMS || fail "not what SHA256SUMS names"
find . -type f ! -name SHA256SUMS -printf '%P\n' | LC_ALL=C sort >"$work/there"
awk '{ print $2 }' SHA256SUMS | diff "$work/there" - || fail "SHA256SUMS names other files than there are"

# What docs/releasing.md lists. The version is that of this checkout, as the crates are.
version=$(sed -n 's/^version = "\(.*\)"/\1/p' "$top/Cargo.toml" | head -1)
needed() { [ -s "$1" ] || fail "$1 is missing"; }
for file in opensecureconf-{operator,cluster,manifests}-"$version".tgz install.yaml install-platform.yaml; do needed "$file"; done
wanted=${ARCHITECTURES:-amd64 arm64}
architectures=$(sed -n 's/^.*-linux-\([a-z0-9]*\)\(\..*\)\{0,1\}$/\1/p' "$work/there" | LC_ALL=C sort -u)
for arch in $architectures; do
  case " $wanted " in *" $arch "*) ;; *) fail "files for $arch, which is none of: $wanted" ;; esac
done
for arch in $wanted; do
  for program in osc-node osc-operator; do
    needed "$program-$version-linux-$arch"
    needed "$program-$version-linux-$arch.cdx.json"
  done
  for image in opensecureconf-node opensecureconf-operator; do
    needed "$image-$version-linux-$arch.tar.gz"
    needed "$image-$version-linux-$arch.cdx.json"
  done
done

linked() { # package, architecture: what the linker gets, as cargo resolves it; our own package stands in metadata, not among components
  local cpu=x86_64
  [ "$2" != arm64 ] || cpu=aarch64
  (cd "$top" && cargo tree --locked --edges normal,no-proc-macro --target "$cpu-unknown-linux-gnu" --package "$1" --prefix none --format '{p}') |
    awk -v own="$1" '$1 != own { print $1, substr($2, 2) }' | LC_ALL=C sort -u
}
listed() { # bill: its crates
  jq -r '.components[] | select(.purl // "" | startswith("pkg:cargo/")) | "\(.name) \(.version)"' "$1" | LC_ALL=C sort -u
}
lacking() { LC_ALL=C comm -23 "$work/linked" <(listed "$1"); }

echo "| bill of materials | crates linked | crates listed | Debian's packages |"
echo "|---|---|---|---|"
bills=0
for bill in *.cdx.json; do
  case $bill in *node-*) package=opensecureconf-node ;; *operator-*) package=opensecureconf-operator ;; *) fail "$bill is of nothing known" ;; esac
  arch=${bill##*-linux-}
  linked "$package" "${arch%.cdx.json}" >"$work/linked"
  [ "$(wc -l <"$work/linked")" -gt 50 ] || fail "cargo names next to no crates of $package"
  missing=$(lacking "$bill")
  [ -z "$missing" ] || fail "$bill lacks: $missing"
  debian=$(jq '[.components[] | select(.purl // "" | startswith("pkg:deb/"))] | length' "$bill")
  case $bill in opensecureconf-*) [ "$debian" -gt 0 ] || fail "$bill lists no package of the base image" ;; esac
  echo "| $bill | $(wc -l <"$work/linked") | $(listed "$bill" | wc -l) | $debian |"
  bills=$((bills + 1))
done
[ "$bills" -gt 0 ] || fail "no bill of materials"

# The architecture in a file's name is the one of the program in it, and of the image that says whom it is for.
for archive in *-linux-*.tar.gz; do
  arch=${archive##*-linux-} arch=${arch%.tar.gz}
  config=$(tar -xzOf "$archive" manifest.json | jq -r '.[0].Config')
  said=$(tar -xzOf "$archive" "$config" | jq -r .architecture)
  [ "$said" = "$arch" ] || fail "$archive is an image for $said"
done
for program in osc-*-linux-amd64 osc-*-linux-arm64; do
  [ -e "$program" ] || continue # of an architecture that was not asked for
  # ELF's number of the machine: 62 and 183.
  case $(od -An -t u2 -j 18 -N 2 "$program" | tr -d ' ') in 62) said=amd64 ;; 183) said=arm64 ;; *) said=another ;; esac
  [ "$said" = "${program##*-linux-}" ] || fail "$program is a program for $said architecture"
done

# A check that finds nothing must be one that could.
jq 'del(.components[] | select(.name == "rustls"))' "$bill" >"$work/without"
[ "$(lacking "$work/without" | cut -d' ' -f1)" = rustls ] || fail "a crate that is left out is not found"
echo "[verify] $(wc -l <SHA256SUMS) files, $bills bills of materials" >&2
