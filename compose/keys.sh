#!/usr/bin/env bash
# Makes the keys that compose.yaml mounts into the nodes, once; what is there already stays.
set -euo pipefail
folder=$(cd "$(dirname "$0")" && pwd)/secrets
# Only this folder's owner gets at the files. In a node they are read by user 65532, who is not the owner where this is not
# run as root: so the files themselves are readable.
(umask 077 && mkdir -p "$folder")
for name in api-key cluster-key; do
  file=$folder/$name
  [ -e "$file" ] && continue
  (umask 077 && od -An -N32 -tx1 /dev/urandom | tr -d ' \n' >"$file.new")
  if [ "$(id -u)" = 0 ]; then
    chown 65532 "$file.new"
    chmod 0400 "$file.new"
  else
    chmod 0444 "$file.new"
  fi
  mv "$file.new" "$file"
  echo "made $file"
done
