#!/usr/bin/env bash
# start.sh ARCHITECTURE FOLDER VERSION   starts the two programs of a folder: a node writes and reads an entry, the operator says its
# version. Programs of another architecture are emulated (Debian's qemu-user-static and cross libraries).
set -euo pipefail
top=$(cd "$(dirname "$0")/.." && pwd -P)
case $1 in arm64) cpu=aarch64 ;; *) cpu=x86_64 ;; esac
run=()
if [ "$cpu" != "$(uname -m)" ]; then
  "$top/e2e/cluster/need.sh" "qemu-$cpu-static" "$cpu-linux-gnu-gcc"
  run=("qemu-$cpu-static" -L "/usr/$cpu-linux-gnu")
  # As a node sets it for itself: it would begin anew with it, and an emulator alone cannot start another program.
  export MIMALLOC_PURGE_DELAY=0
fi
"$top/e2e/cluster/need.sh" curl
work=$(mktemp -d)
trap '[ -z "${node:-}" ] || kill "$node" 2>/dev/null || true; wait; rm -rf "$work"' EXIT
fail() { echo "[release] $1: $2" >&2; tail -5 "$work/log" >&2; exit 1; }

for program in osc-node osc-operator; do
  "${run[@]}" "$2/$program" --version >"$work/log" 2>&1 || fail "$1" "$program does not start"
  grep -q " $3\$" "$work/log" || fail "$1" "$program is of another version"
done

begun=$SECONDS
# Port 0 is a free one, which the log names once the node listens.
OSC_HOST=127.0.0.1 OSC_HOST_PORT=0 OSC_DATABASE_PATH=$work/osc.db OSC_SALT_FILE_PATH=$work/salt "${run[@]}" "$2/osc-node" >"$work/log" 2>&1 &
node=$!
address=
for _ in $(seq 240); do
  address=$(sed -n 's/.*"address":"\([^"]*\)".*"node_started".*/\1/p' "$work/log")
  [ -z "$address" ] || break
  kill -0 "$node" 2>/dev/null || fail "$1" "the node ended"
  sleep 0.25
done
[ -n "$address" ] || fail "$1" "the node does not listen within a minute"
ask() { curl -sS --fail --max-time 60 -H 'X-User-Key: correct-horse-battery' "$@"; }
ask -X PUT "http://$address/configs/greeting?upsert=true" -H 'Content-Type: application/json' -d '{"value":{"text":"hello"}}' >/dev/null || fail "$1" "the node does not write"
ask "http://$address/configs/greeting" | grep -q '"hello"' || fail "$1" "the node does not read what it wrote"
kill "$node"
wait "$node" || fail "$1" "the node does not stop in good order"
node=
echo "[release] $1: a node wrote and read an entry, $((SECONDS - begun)) s" >&2
