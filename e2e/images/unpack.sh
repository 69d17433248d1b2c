#!/usr/bin/env bash
# unpack.sh PACKAGE...   prints a tar of a root file system that holds just these Debian packages.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# The image's user must be able to enter it.
chmod 0755 "$work"
mkdir -p "$work/deb" "$work/root"/{etc/ssl/certs,tmp,var/lib/opensecureconf}
chmod 1777 "$work/root/tmp"
[ -n "$(ls /var/lib/apt/lists/*Packages* 2>/dev/null)" ] || apt-get update -qq
# The download step drops its rights to a user who may not write everywhere.
(cd "$work/deb" && apt-get -o APT::Sandbox::User=root download -qq "$@" >/dev/null)
for package in "$work"/deb/*.deb; do dpkg -x "$package" "$work/root"; done
if [ -d "$work/root/usr/share/ca-certificates" ]; then
  find "$work/root/usr/share/ca-certificates" -name '*.crt' -exec cat {} + >"$work/root/etc/ssl/certs/ca-certificates.crt"
fi
rm -rf "$work/root"/usr/share/{doc,man,locale,lintian}
echo 'nonroot:x:65532:65532::/:/sbin/nologin' >"$work/root/etc/passwd"
chown -R 65532:65532 "$work/root/var/lib/opensecureconf"
tar -C "$work/root" -c .
