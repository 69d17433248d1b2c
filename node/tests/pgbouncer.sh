#!/usr/bin/env bash
# pgbouncer.sh FOLDER   brings a pgbouncer of 1.21 or newer into FOLDER: that of Debian 13 with the libraries that it runs on, whatever
# this machine's own are. FOLDER/pgbouncer starts it, also from a copy of FOLDER. Needs apt; nothing is installed.
set -euo pipefail
folder=${1:?pgbouncer.sh FOLDER}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/lists/partial" "$work/cache/archives/partial" "$work/deb" "$work/root" "$work/out/lib"
# From where this machine has its own packages.
# shellcheck disable=SC2016 # apt fills these in
debian() { apt-get indextargets --format '$(SITE) $(LABEL)' 'Created-By: Packages' | sed -n 's/ Debian$//p' | sort -u | head -1; }
archive=$(debian)
# Without lists it knows no names.
[ -n "$archive" ] || { apt-get update -qq && archive=$(debian); }
[ -n "$archive" ] || { echo "[pgbouncer] this machine's apt knows no archive of Debian" >&2; exit 1; }
echo "deb $archive trixie main" >"$work/sources.list"
# Lists of its own: this machine's package manager stays as it is.
apt() {
  apt-get -o APT::Sandbox::User=root -o "Dir::Etc::sourcelist=$work/sources.list" -o Dir::Etc::sourceparts=/dev/null \
    -o "Dir::State::lists=$work/lists" -o "Dir::Cache=$work/cache" -o Acquire::Languages=none \
    -o Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false -qq "$@"
}
apt update
packages=(pgbouncer libc6 libcares2 libevent-2.1-7t64 libssl3t64 libsystemd0 libpam0g libaudit1 libcap2 libcap-ng0 libzstd1 zlib1g libgcc-s1)
(cd "$work/deb" && apt download "${packages[@]/%//trixie}")
for package in "$work"/deb/*.deb; do dpkg -x "$package" "$work/root"; done
cp -a "$work"/root/usr/lib/*-linux-gnu/. "$work/out/lib/"
cp "$work/root/usr/sbin/pgbouncer" "$work/out/lib/pgbouncer"
cat >"$work/out/pgbouncer" <<'START'
#!/bin/sh
lib=$(dirname "$0")/lib
exec "$lib"/ld-linux-*.so.* --library-path "$lib" "$lib/pgbouncer" "$@"
START
chmod 0755 "$work/out" "$work/out/pgbouncer"
"$work/out/pgbouncer" --version >/dev/null
rm -rf "$folder"
mv "$work/out" "$folder"
