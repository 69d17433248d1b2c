#!/usr/bin/env bash
# Makes the image of a workload: Python with the published client, as its users would have it. Prints its name.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
client=2.3.1
image=opensecureconf-e2e/python-client:$client-1

depends() { # the packages that these depend on directly, as this release of the distribution names them
  apt-cache depends --no-recommends --no-suggests --no-conflicts --no-breaks --no-replaces --no-enhances "$@" |
    sed -n 's/^[ |]*\(Pre\)\{0,1\}Depends: \([a-z0-9][^ ]*\)$/\2/p'
}

packages() { # Python of this distribution, its libraries, and theirs
  local python own libraries more
  [ -n "$(apt-cache depends python3-minimal 2>/dev/null)" ] || apt-get update -qq
  python=$(depends python3-minimal | sed -n 's/^\(python3\.[0-9]*\)-minimal$/\1/p' | head -1)
  [ -n "$python" ] || { echo "[client image] apt offers no python3-minimal" >&2; return 1; }
  own=("$python-minimal" "lib$python-minimal" "lib$python-stdlib" ca-certificates libgcc-s1)
  mapfile -t libraries < <(depends "${own[@]}" | grep -E '^(lib|zlib|media-types)')
  mapfile -t more < <(depends "${libraries[@]}" | grep -E '^(lib|zlib)')
  printf '%s\n' "${own[@]}" "${libraries[@]}" "${more[@]}" | sort -u
}

if ! docker image inspect "$image" >/dev/null 2>&1; then
  [ -x "$top/target/python/bin/pip" ] || "$top/node/tests/prepare.sh" >&2
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  mkdir "$work/root"
  packages >"$work/packages"
  python=$(sed -n 's/^\(python3\.[0-9]*\)-minimal$/\1/p' "$work/packages")
  xargs "$here/unpack.sh" <"$work/packages" | tar -C "$work/root" -x
  ln -sf "$python" "$work/root/usr/bin/python3"
  mkdir -p "$work/root/usr/lib/python3/dist-packages"
  "$top/target/python/bin/pip" install --quiet --root-user-action=ignore --no-compile --only-binary=:all: --python-version "${python#python}" \
    --target "$work/root/usr/lib/python3/dist-packages" "opensecureconf-client==$client"
  tar -C "$work/root" -c . | docker import --change 'ENTRYPOINT ["/usr/bin/python3"]' --change 'ENV PYTHONPATH=/usr/lib/python3/dist-packages' --change 'USER 65532:65532' - "$image" >/dev/null
  docker run --rm "$image" -c 'import opensecureconf_client' >&2
fi
echo "$image"
