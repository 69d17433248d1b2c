#!/usr/bin/env bash
# compare.sh REV [ROW...]   measures rows of `make bench` (read and create unless others are named) with this tree and with another
# revision by turns, and prints how they compare. That revision is built in a temporary folder (about 6 minutes on two cores), of which
# nothing stays.
set -euo pipefail
top=$(cd "$(dirname "$0")/../.." && pwd)
rev=${1:?which revision? make bench-compare REV=main}
shift
[ $# -gt 0 ] || set -- read create
commit=$(git -C "$top" rev-parse --verify --quiet "$rev^{commit}") || { echo "[compare] git knows no revision '$rev'" >&2; exit 2; }

folder=$(mktemp -d)
clean() {
  git -C "$top" worktree remove --force "$folder/tree" 2>/dev/null || true
  rm -rf "$folder"
  git -C "$top" worktree prune
}
trap clean EXIT
trap 'exit 130' INT TERM

# build TREE TARGET   builds the benchmark of a tree, and says where it is
build() {
  (cd "$1" && CARGO_TARGET_DIR=$2 cargo bench --locked -p opensecureconf-node --bench limits --no-run --message-format=json) |
    sed -n 's/.*"name":"limits".*"executable":"\([^"]*\)".*/\1/p' | tail -1
}

git -C "$top" worktree add --quiet --detach "$folder/tree" "$commit"
# Where its benchmark writes what it measured.
mkdir -p "$folder/tree/target" "$top/target"
echo "[compare] building ${commit:0:12}" >&2
theirs=$(build "$folder/tree" "$folder/target")
echo "[compare] building this tree" >&2
ours=$(build "$top" "${CARGO_TARGET_DIR:-$top/target}")
for program in "$theirs" "$ours"; do
  [ -x "$program" ] || { echo "[compare] a benchmark was not built" >&2; exit 1; }
done
timeout "${COMPARE_SECONDS:-3600}" "$ours" --compare "$folder/tree" "$theirs" "$@"
