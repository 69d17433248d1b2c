#!/usr/bin/env bash
# load.sh NAME IMAGE...   brings images of this machine's Docker into every node of the kind cluster NAME.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
kind=$("$here/tool.sh" kind)
name=$1; shift
archive=$(mktemp)
trap 'rm -f "$archive"' EXIT
docker save "$@" -o "$archive"
for node in $("$kind" get nodes --name "$name"); do
  docker exec -i "$node" ctr -n k8s.io images import --all-platforms --no-unpack - <"$archive" >/dev/null
done
