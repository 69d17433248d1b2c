#!/usr/bin/env bash
# need.sh COMMAND...   makes sure that commands exist: installs Debian's package where it may, else says what is missing.
set -euo pipefail

package() {
  case $1 in
    cc) echo build-essential ;;
    perf) echo linux-perf ;;
    javac) echo default-jdk-headless ;;
    initdb) echo postgresql ;;
    pg_createcluster) echo postgresql-common ;;
    aarch64-linux-gnu-gcc) echo crossbuild-essential-arm64 ;;
    x86_64-linux-gnu-gcc) echo crossbuild-essential-amd64 ;;
    qemu-aarch64-static | qemu-x86_64-static) echo qemu-user-static ;;
    *) echo "$1" ;;
  esac
}

exists() {
  case $1 in
    *-venv) python3 -c 'import ensurepip' 2>/dev/null ;;
    *) command -v "$1" >/dev/null ;;
  esac
}

for command in "$@"; do
  exists "$command" && continue
  package=$(package "$command")
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$package" >/dev/null
  else
    echo "'$command' is missing; install it (on Debian: apt-get install $package)" >&2
    exit 1
  fi
done
