#!/usr/bin/env bash
# profile.sh [ROW...]   draws flame graphs of the node's processor time in rows of `make bench` (read, create and batch unless others
# are named) as docs/pictures/profile-ROW.svg. The wider a bar, the more time a function and what it calls take. The build keeps symbols
# and frame pointers, in a folder of its own (about 6 minutes on two cores), so the times of these rows are no figures of the bench.
set -euo pipefail
top=$(cd "$(dirname "$0")/../.." && pwd)
[ $# -gt 0 ] || set -- read create batch
target=${CARGO_TARGET_DIR:-$top/target}
tools=$target/tools
pictures=$top/docs/pictures

[ -x "$tools/bin/inferno-flamegraph" ] ||
  cargo install --quiet --locked --root "$tools" inferno@0.12.8
echo "[profile] building" >&2
bench=$(cd "$top" && RUSTFLAGS="-C force-frame-pointers=yes" CARGO_PROFILE_BENCH_DEBUG=line-tables-only CARGO_PROFILE_BENCH_STRIP=none \
  CARGO_PROFILE_RELEASE_DEBUG=line-tables-only CARGO_PROFILE_RELEASE_STRIP=none \
  CARGO_TARGET_DIR=$target/profile cargo bench --locked -p opensecureconf-node --bench limits --no-run --message-format=json |
  sed -n 's/.*"name":"limits".*"executable":"\([^"]*\)".*/\1/p' | tail -1)
[ -x "$bench" ] || { echo "[profile] the benchmark was not built" >&2; exit 1; }

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
for row in "$@"; do
  status=0
  (cd "$top" && perf record --quiet --freq 499 --call-graph fp --output "$folder/$row.data" -- "$bench" "$row") >&2 || status=$?
  # A missed bar, 1, is no failure here.
  [ "$status" -le 1 ] || { echo "[profile] row '$row' could not be measured" >&2; exit 1; }
  # The load and the bare handlers run beside the node: only its processes are drawn.
  nodes=$(perf script --input "$folder/$row.data" --show-task-events --fields comm,pid,event 2>/dev/null |
    sed -n 's/.*PERF_RECORD_COMM exec: osc-node:\([0-9]*\)\/.*/\1/p' | sort -u | paste -sd'|')
  [ -n "$nodes" ] || { echo "[profile] row '$row' starts no node" >&2; exit 1; }
  perf script --input "$folder/$row.data" --fields comm,pid,tid,time,event,ip,sym,dso 2>/dev/null |
    "$tools/bin/inferno-collapse-perf" --pid --quiet |
    grep -E "^[^;]*-($nodes);" |
    sed -E "s/^([^;]*)-[0-9]+;/\1;/" >"$folder/$row.folded"
  "$tools/bin/inferno-flamegraph" --quiet --title "Processor time of a node: $row" --subtitle "$(git -C "$top" log -1 --format='%h, %as')" \
    --minwidth 0.2 --hash <"$folder/$row.folded" >"$folder/$row.svg"
  mv "$folder/$row.svg" "$pictures/profile-$row.svg"
  echo "[profile] docs/pictures/profile-$row.svg" >&2
done
