#!/usr/bin/env bash
# Builds the two images of this checkout, and the base image that stands for a distroless one where none can be pulled.
#
#   images.sh           opensecureconf-node:VERSION and opensecureconf-operator:VERSION
#   BASE=IMAGE          a base image to use instead of our own
#   BINARIES=DIR        programs that are built already; ARCH=arm64 if they are of another architecture, as Debian calls it
#   TAG=TAG             instead of VERSION
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/.." && pwd)
cache=${KUBE_CACHE:-$HOME/.cache/opensecureconf-e2e}
tag=${TAG:-$(sed -n 's/^version = "\(.*\)"/\1/p' "$top/Cargo.toml" | head -1)}
limit=$((30 * 1024 * 1024))
export DOCKER_BUILDKIT=0

say() { echo "[images] $*" >&2; }
size() { docker image inspect --format '{{.Size}}' "$1"; }

"$here/cluster/docker-up.sh"
base=${BASE:-$("$here/images/base.sh")}
binaries=${BINARIES:-}
if [ -z "$binaries" ]; then
  (cd "$top" && cargo build --release --locked -p opensecureconf-node -p opensecureconf-operator)
  binaries=${CARGO_TARGET_DIR:-$top/target}/release
fi

pack() { # image, Dockerfile, binary
  local context=$cache/pack/$3
  rm -rf "$context"; mkdir -p "$context/data/opensecureconf"
  install -m0755 "$binaries/$3" "$context/"
  docker build -q ${ARCH:+--platform "linux/$ARCH"} -t "$1:$tag" --target packed --build-arg "BASE=$base" -f "$top/$2" "$context" >"$cache/pack.log" 2>&1 || { cat "$cache/pack.log" >&2; return 1; }
  local own=$(($(size "$1:$tag") - $(size "$base")))
  say "$1:$tag: $((own / 1024)) KiB on top of its base"
  [ "$own" -le "$limit" ] || { say "that is more than $((limit / 1024)) KiB"; return 1; }
  check "$1:$tag" "$3"
}

# What the Dockerfiles promise, read from the image: who it runs as, no shell, how its health is asked for, and data
# that this user can write.
check() {
  local user box files
  user=$(docker image inspect --format '{{.Config.User}}' "$1")
  [ "$user" = 65532:65532 ] || { say "$1 runs as '$user' instead of 65532:65532"; return 1; }
  [ "$(docker image inspect --format '{{json .Config.Healthcheck.Test}}' "$1")" = "[\"CMD\",\"/usr/local/bin/$2\",\"health\"]" ] ||
    { say "$1 does not ask its own program whether it is healthy"; return 1; }
  box=$(docker create ${ARCH:+--platform "linux/$ARCH"} "$1")
  files=$(docker export "$box" | tar --numeric-owner -tv)
  docker rm "$box" >/dev/null
  ! grep -E ' \.?/?(usr/)?bin/(sh|bash|dash|ash|busybox)( |$)' <<<"$files" >&2 || { say "$1 has a shell"; return 1; }
  [ "$1" != "opensecureconf-node:$tag" ] || grep -qE ' 65532/65532 .* \.?/?var/lib/opensecureconf/$' <<<"$files" ||
    { say "$1: /var/lib/opensecureconf does not belong to its user"; return 1; }
}

pack opensecureconf-node Dockerfile.node osc-node
pack opensecureconf-operator Dockerfile.operator osc-operator
