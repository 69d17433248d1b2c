#!/usr/bin/env bash
# files.sh   makes what a release consists of, in dist/: programs and images for each architecture, charts, manifests, a bill of
# materials (CycloneDX) for each program and each image, and SHA256SUMS. May be repeated. Ends with a check and a table.
#   ARCHITECTURES="amd64 arm64"   for less
#   BASE=IMAGE                    a base image instead of the Dockerfiles', or of one made from Debian's packages where that cannot be pulled
set -euo pipefail
top=$(cd "$(dirname "$0")/.." && pwd -P)
cache=${KUBE_CACHE:-$HOME/.cache/opensecureconf-e2e}
version=$(sed -n 's/^version = "\(.*\)"/\1/p' "$top/Cargo.toml" | head -1)
SOURCE_DATE_EPOCH=$(git -C "$top" log -1 --format=%ct)
export SOURCE_DATE_EPOCH
say() { echo "[release] $*" >&2; }

"$top/e2e/cluster/need.sh" jq
"$top/e2e/cluster/docker-up.sh"
syft=$("$top/release/syft.sh")
helm=$cache/bin/helm
[ -x "$helm" ] || helm=$(command -v helm || "$top/e2e/charts/helm.sh" 4)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
new=$work/dist
mkdir -p "$new" "$work/sbom"

# The same files give the same archive.
pack() { tar --sort=name --owner=0 --group=0 --numeric-owner --mode=go-w --mtime="@$SOURCE_DATE_EPOCH" -c "$@" | gzip -n9; }

for chart in "$top"/helm/*; do
  "$helm" package --destination "$work" "$chart" >/dev/null
  archive=$(basename "$chart")-$version.tgz
  mkdir "$work/chart"
  tar -x -C "$work/chart" -f "$work/$archive"
  pack -C "$work/chart" "$(basename "$chart")" >"$new/$archive"
  rm -r "$work/chart"
done
pack -C "$top" manifests crds >"$new/opensecureconf-manifests-$version.tgz"
cp "$top"/manifests/install*.yaml "$new/"

for arch in ${ARCHITECTURES:-amd64 arm64}; do
  say "$arch: programs"
  binaries=$("$top/release/build.sh" "$arch")
  "$top/release/sbom.sh" "$arch" "$work/sbom"
  for program in osc-node osc-operator; do
    install -m0755 "$binaries/$program" "$new/$program-$version-linux-$arch"
    mv "$work/sbom/$program.cdx.json" "$new/$program-$version-linux-$arch.cdx.json"
  done
  "$top/release/start.sh" "$arch" "$binaries" "$version"

  say "$arch: images"
  base=${BASE:-}
  if [ -z "$base" ]; then
    base=$(sed -n 's/^ARG BASE=//p' "$top/Dockerfile.node")
    if ! timeout 120 docker pull --quiet --platform "linux/$arch" "$base" >"$work/pull" 2>&1; then
      say "$base cannot be pulled ($(tail -1 "$work/pull")); the base is made from Debian's packages"
      base=$(ARCH=$arch "$top/e2e/images/base.sh")
    fi
  fi
  ARCH=$arch BINARIES=$binaries BASE=$base TAG=$version-$arch "$top/e2e/images.sh"
  for image in opensecureconf-node opensecureconf-operator; do
    archive=$image-$version-linux-$arch.tar
    docker save "$image:$version-$arch" -o "$work/$archive"
    SYFT_CHECK_FOR_APP_UPDATE=false "$syft" scan --quiet "docker-archive:$work/$archive" --source-name "$image" --source-version "$version" \
      -o "cyclonedx-json=$work/image.json"
    # What differs each time it is asked.
    jq --arg date "$(date -u -d "@$SOURCE_DATE_EPOCH" +%FT%TZ)" 'del(.serialNumber) | .metadata.timestamp = $date' "$work/image.json" >"$new/$image-$version-linux-$arch.cdx.json"
    gzip -n <"$work/$archive" >"$new/$archive.gz"
    rm "$work/$archive"
  done
done

(cd "$new" && find . -type f -printf '%P\n' | LC_ALL=C sort | xargs sha256sum) >"$work/sums"
mv "$work/sums" "$new/SHA256SUMS"
rm -rf "$top/dist"
mv "$new" "$top/dist"
"$top/release/verify.sh" "$top/dist"
echo
echo "| file in dist/ | KiB |"
echo "|---|---|"
(cd "$top/dist" && find . -type f -printf '%P %k\n' | LC_ALL=C sort | awk '{ print "| " $1 " | " $2 " |" }')
