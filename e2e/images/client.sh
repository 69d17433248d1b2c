#!/usr/bin/env bash
# Makes the image of a workload: Python with the published client, as its users would have it. Prints its name.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
client=2.3.1
image=opensecureconf-e2e/python-client:$client
if ! docker image inspect "$image" >/dev/null 2>&1; then
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  mkdir "$work/root"
  "$here/unpack.sh" libc6 libgcc-s1 zlib1g libexpat1 libssl3 libffi8 libbz2-1.0 liblzma5 libsqlite3-0 libuuid1 libcrypt1 libncursesw6 libtinfo6 libreadline8 \
    media-types ca-certificates python3.11-minimal libpython3.11-minimal libpython3.11-stdlib | tar -C "$work/root" -x
  mkdir -p "$work/root/usr/lib/python3/dist-packages"
  python3 -m pip install --quiet --root-user-action=ignore --no-compile --only-binary=:all: --python-version 3.11 \
    --target "$work/root/usr/lib/python3/dist-packages" "opensecureconf-client==$client"
  tar -C "$work/root" -c . | docker import --change 'ENTRYPOINT ["/usr/bin/python3.11"]' --change 'ENV PYTHONPATH=/usr/lib/python3/dist-packages' --change 'USER 65532:65532' - "$image" >/dev/null
  docker run --rm "$image" -c 'import opensecureconf_client'
fi
echo "$image"
