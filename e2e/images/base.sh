#!/usr/bin/env bash
# Makes the base image of tests from Debian's packages: glibc, libgcc, CA certificates, time zones, and no shell.
# Prints its name.
#   ARCH=arm64   of another architecture
set -euo pipefail
ARCH=${ARCH:-$(dpkg --print-architecture)}
export ARCH
image=opensecureconf-e2e/base-cc:bookworm-$ARCH
if [ "$(docker image inspect --format '{{.Architecture}}' "$image" 2>/dev/null)" != "$ARCH" ]; then
  # Packed by hand: older daemons import every archive as one of their own architecture.
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  "$(dirname "$0")/unpack.sh" base-files libc6 libgcc-s1 ca-certificates tzdata >"$work/layer.tar"
  cat >"$work/config.json" <<JSON
{"architecture": "$ARCH", "os": "linux",
 "config": {"Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt"]},
 "rootfs": {"type": "layers", "diff_ids": ["sha256:$(sha256sum <"$work/layer.tar" | cut -d' ' -f1)"]}}
JSON
  echo "[{\"Config\": \"config.json\", \"RepoTags\": [\"$image\"], \"Layers\": [\"layer.tar\"]}]" >"$work/manifest.json"
  tar -C "$work" -c manifest.json config.json layer.tar | docker load -q >/dev/null
fi
echo "$image"
