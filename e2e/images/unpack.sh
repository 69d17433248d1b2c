#!/usr/bin/env bash
# unpack.sh PACKAGE...   prints a tar of a root file system that holds just these Debian packages. Needs apt; root only where
# its lists have to be fetched first. What is unpacked is listed in var/lib/dpkg/status.d, as distroless images do it.
#   ARCH=arm64   packages of another architecture (as Debian calls it)
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# The image's user must be able to enter it.
chmod 0755 "$work"
mkdir -p "$work/deb" "$work/root"/{etc/ssl/certs,tmp,var/lib/opensecureconf}
chmod 1777 "$work/root/tmp"

options=(-o APT::Sandbox::User=root)
lists=/var/lib/apt/lists
if [ "${ARCH:-$(dpkg --print-architecture)}" != "$(dpkg --print-architecture)" ]; then
  # Lists of its own: this machine's package manager stays as it is.
  lists=${KUBE_CACHE:-$HOME/.cache/opensecureconf-e2e}/apt-$ARCH
  mkdir -p "$lists/partial" "$work/cache/archives/partial"
  options+=(-o "APT::Architecture=$ARCH" -o "APT::Architectures=$ARCH" -o "Dir::State::lists=$lists" -o "Dir::Cache=$work/cache")
fi

refresh() {
  [ "$(id -u)" = 0 ] || { echo "[unpack] the package lists are missing or old, and only root may fetch them: apt-get update" >&2; return 1; }
  apt-get "${options[@]}" update -qq
}
# The download step drops its rights to a user who may not write everywhere.
fetch() { (cd "$work/deb" && apt-get "${options[@]}" download -qq "$@" >/dev/null); }

[ -n "$(ls "$lists"/*Packages* 2>/dev/null)" ] || refresh
# Old lists name packages that the archive has replaced since.
fetch "$@" 2>/dev/null || { refresh && fetch "$@"; }
mkdir -p "$work/root/var/lib/dpkg/status.d"
for package in "$work"/deb/*.deb; do
  dpkg -x "$package" "$work/root"
  dpkg-deb -f "$package" >"$work/root/var/lib/dpkg/status.d/$(dpkg-deb -f "$package" Package)"
done
if [ -d "$work/root/usr/share/ca-certificates" ]; then
  find "$work/root/usr/share/ca-certificates" -name '*.crt' -exec cat {} + >"$work/root/etc/ssl/certs/ca-certificates.crt"
fi
rm -rf "$work/root"/usr/share/{doc,man,locale,lintian}
echo 'nonroot:x:65532:65532::/:/sbin/nologin' >"$work/root/etc/passwd"
# Owners are given in the archive, which needs no rights here.
tar -C "$work/root" --owner=0 --group=0 --exclude=./var/lib/opensecureconf -cf "$work/root.tar" .
tar -C "$work/root" --owner=65532 --group=65532 -rf "$work/root.tar" ./var/lib/opensecureconf
cat "$work/root.tar"
