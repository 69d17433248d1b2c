#!/usr/bin/env bash
# Makes the base image of tests from Debian's packages: glibc, libgcc, CA certificates, time zones, and no shell.
# Prints its name.
#   ARCH=arm64   of another architecture
set -euo pipefail
ARCH=${ARCH:-$(dpkg --print-architecture)}
export ARCH
image=opensecureconf-e2e/base-cc:bookworm-$ARCH
if ! docker image inspect "$image" >/dev/null 2>&1; then
  "$(dirname "$0")/unpack.sh" base-files libc6 libgcc-s1 ca-certificates tzdata | docker import --platform "linux/$ARCH" --change 'ENV SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt' - "$image" >/dev/null
fi
echo "$image"
