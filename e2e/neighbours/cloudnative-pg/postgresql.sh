#!/usr/bin/env bash
# Makes the image of a PostgreSQL that CloudNativePG can run: Debian's server and what it links to, a shell (initdb starts programs
# through it), and the user that the operator's pods have. Prints its name; the tag is the version, which the operator reads.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
depends() { # the packages that these depend on, also indirectly, as this release of the distribution names them
  apt-cache depends --recurse --no-recommends --no-suggests --no-conflicts --no-breaks --no-replaces --no-enhances "$@" | grep -E '^[a-z0-9]' | sort -u
}
[ -n "$(apt-cache depends postgresql 2>/dev/null)" ] || apt-get update -qq
server=$(apt-cache depends postgresql | sed -n 's/^ *Depends: \(postgresql-[0-9]*\)$/\1/p' | head -1)
[ -n "$server" ] || { echo "[postgresql image] apt offers no postgresql" >&2; exit 1; }
version=$(apt-cache show "$server" | sed -n 's/^Version: \([0-9.]*\).*/\1/p' | head -1)
image=opensecureconf-e2e/postgresql:$version
if ! docker image inspect "$image" >/dev/null 2>&1; then
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  # The compiler for queries is larger than all the rest.
  mapfile -t libraries < <(depends "$server" "${server/-/-client-}" | grep -E '^(lib|zlib)' | grep -vE '^lib(llvm|perl|z3)|-perl$')
  # Some are names that several packages provide.
  mapfile -t libraries < <(apt-cache show "${libraries[@]}" 2>/dev/null | sed -n 's/^Package: //p' | sort -u)
  mkdir "$work/root"
  "$here/../../images/unpack.sh" base-files tzdata dash "$server" "${server/-/-client-}" "${libraries[@]}" | tar -C "$work/root" -x
  programs=/usr/lib/postgresql/${server#postgresql-}
  rm -f "$work/root$programs/lib"/llvmjit*.so
  echo 'postgres:x:26:26::/var/lib/postgresql:/bin/sh' >>"$work/root/etc/passwd"
  tar -C "$work/root" -c . | docker import --change "ENV PATH=$programs/bin:/usr/bin:/bin" --change 'USER 26:26' - "$image" >/dev/null
  docker run --rm "$image" postgres --version >&2
  docker run --rm "$image" psql --version >&2
fi
echo "$image"
