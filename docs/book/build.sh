#!/usr/bin/env bash
# build.sh   makes the book of all pages, and prints where it begins. The pages are copied as they lie in the repository, with the
# files that they link to, so that links lead to the same places. Installs mdBook where it is missing (some minutes).
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
book=${CARGO_TARGET_DIR:-$top/target}/book
command -v mdbook >/dev/null || cargo install --locked mdbook@0.5.4 --no-default-features --features search
cd "$top"
rm -rf "$book"; mkdir -p "$book/src"
cp "$here/book.toml" "$book/"
cp "$here/SUMMARY.md" "$book/src/"
mapfile -t pages < <(grep -o '](.*)' "$here/SUMMARY.md" | tr -d ']()')
cp --parents "${pages[@]}" "$book/src/"
for page in "${pages[@]}"; do
  # Pictures stand in HTML, too. What leads out of the repository, or into the page itself, is no file of it.
  { grep -oE '\]\([^)#]+' "$page" | cut -c3-; grep -oE 'src="[^"]+' "$page" | cut -c6-; } | while read -r link; do
    case $link in *:*|*.md) continue ;; esac
    file=$(realpath --relative-to . "$(dirname "$page")/$link")
    cp -r --parents "$file" "$book/src/"
  done || true
done
mdbook build "$book" >&2
echo "$book/html/index.html"
