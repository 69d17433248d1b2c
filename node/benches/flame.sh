#!/usr/bin/env bash
# flame.sh [REV]   draws where a node spends its processor time with reads, creates and batches, as flame graphs:
#                  docs/pictures/flame-{get,create,batch}.svg of this tree, or flame-{get,create,batch}-before.svg of another revision.
# The release build with symbols and frame pointers takes four minutes on two cores. Needs perf, wrk and curl.
set -euo pipefail
top=$(cd "$(dirname "$0")/../.." && pwd)
seconds=${FLAME_SECONDS:-10}
inferno=0.12.6
user_key=correct-horse-battery
"$top/e2e/cluster/need.sh" curl wrk
command -v perf >/dev/null || { echo "[flame] 'perf' is missing; install it (on Debian: apt-get install linux-perf)" >&2; exit 1; }

folder=$(mktemp -d)
node=
clean() {
  [ -z "$node" ] || { kill "$node" && wait "$node"; } 2>/dev/null || true
  git -C "$top" worktree remove --force "$folder/tree" 2>/dev/null || true
  rm -rf "$folder"
  git -C "$top" worktree prune
}
trap clean EXIT
trap 'exit 130' INT TERM

target=${CARGO_TARGET_DIR:-$top/target}
tree=$top suffix=
if [ $# -gt 0 ]; then
  commit=$(git -C "$top" rev-parse --verify --quiet "$1^{commit}") || { echo "[flame] git knows no revision '$1'" >&2; exit 2; }
  git -C "$top" worktree add --quiet --detach "$folder/tree" "$commit"
  tree=$folder/tree suffix=-before
fi

tools=$target/tools
[ -x "$tools/bin/inferno-flamegraph" ] || cargo install --quiet --locked --root "$tools" "inferno@$inferno"
echo "[flame] building the node" >&2
(cd "$tree" && CARGO_TARGET_DIR=$target/flame CARGO_PROFILE_RELEASE_DEBUG=line-tables-only CARGO_PROFILE_RELEASE_STRIP=none \
  RUSTFLAGS="-C force-frame-pointers=yes" cargo build --quiet --release --locked -p opensecureconf-node)

mkdir "$folder/data"
(cd "$folder/data" && exec env -i OSC_HOST_PORT=0 OSC_LOG_LEVEL=INFO "$target/flame/release/osc-node") >"$folder/log" &
node=$!
started() { sed -n 's/.*"event":"node_started".*/&/p' "$folder/log"; }
for _ in $(seq 100); do [ -n "$(started)" ] && break; sleep 0.1; done
url=http://$(started | sed 's/.*"address":"\([^"]*\)".*/\1/')
# The first entry of a key derives it; what is measured comes after.
curl -sf -o "$folder/answer" -H "X-User-Key: $user_key" -H "Content-Type: application/json" \
  -d '{"key": "k", "value": {"host": "db-1.example.org", "port": 5432}}' "$url/configs"

cat >"$folder/get.lua" <<LUA
wrk.headers["X-User-Key"] = "$user_key"
LUA
cat >"$folder/create.lua" <<LUA
local n = 0
wrk.method = "POST"
wrk.headers["X-User-Key"] = "$user_key"
wrk.headers["Content-Type"] = "application/json"
request = function()
  n = n + 1
  return wrk.format(nil, "/configs", nil, '{"key": "c' .. n .. '", "value": {"host": "db-1.example.org", "port": 5432}}')
end
LUA
cat >"$folder/batch.lua" <<LUA
local n = 0
wrk.method = "POST"
wrk.headers["X-User-Key"] = "$user_key"
wrk.headers["Content-Type"] = "application/json"
request = function()
  local rows = {}
  for i = 1, 1000 do
    n = n + 1
    rows[i] = '{"op": "create", "key": "b' .. n .. '", "value": {"host": "db-1.example.org", "port": 5432}}'
  end
  return wrk.format(nil, "/configs/batch", nil, "[" .. table.concat(rows, ",") .. "]")
end
LUA

# draw NAME CONNECTIONS PATH TITLE
draw() {
  wrk -t1 "-c$2" "-d$((seconds + 2))s" -s "$folder/$1.lua" "$url$3" >"$folder/$1.load" &
  local load=$!
  sleep 1
  perf record -q -F 499 --call-graph fp -p "$node" -o "$folder/$1.perf" -- sleep "$seconds" >/dev/null
  wait "$load"
  if grep -q "Non-2xx" "$folder/$1.load"; then
    cat "$folder/$1.load" >&2
    exit 1
  fi
  perf script -i "$folder/$1.perf" 2>/dev/null | "$tools/bin/inferno-collapse-perf" --quiet >"$folder/$1.stacks"
  "$tools/bin/inferno-flamegraph" --quiet --title "$4" --minwidth 0.3 <"$folder/$1.stacks" \
    >"$top/docs/pictures/flame-$1$suffix.svg"
  echo "[flame] $4: $(sed -n 's/^Requests\/sec: *//p' "$folder/$1.load") requests a second, docs/pictures/flame-$1$suffix.svg" >&2
}
draw get 16 /configs/k "GET of one entry, key cached, 16 connections"
draw create 64 /configs "Creates, 64 connections"
# A revision from before batches has none to show.
if [ "$(curl -s -o "$folder/answer" -w '%{http_code}' -H "X-User-Key: $user_key" -H "Content-Type: application/json" -d '[]' "$url/configs/batch")" != 405 ]; then
  draw batch 4 /configs/batch "Batches of 1,000 creates, 4 connections"
fi
