#!/usr/bin/env bash
# run.sh   makes a cluster, tells the charts' story on it with each Helm and each of its ways to apply, and removes it.
# Prints how long each step took. Builds both Helms where they are missing (some minutes each).
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
cache=${KUBE_CACHE:-$HOME/.cache/opensecureconf-e2e}
version=$(sed -n 's/^version = "\(.*\)"/\1/p' "$top/Cargo.toml" | head -1)
name=osc-charts
helm3=$("$here/helm.sh" 3)
helm4=$("$here/helm.sh" 4)
trap '"$top/e2e/cluster/down.sh" $name' EXIT
KUBECONFIG=$("$top/e2e/cluster/up.sh" $name) || { "$top/e2e/diagnose.sh" $name; exit 1; }
export KUBECONFIG
PATH=$cache/bin:$PATH
"$top/e2e/cluster/load.sh" $name "opensecureconf-node:$version" "opensecureconf-operator:$version"
figures=$(mktemp)
for way in "$helm3" "$helm4 --server-side=false" "$helm4 --server-side=true" "$helm3 $helm4"; do
  # shellcheck disable=SC2086 # a way is several words
  FIGURES=$figures "$here/story.sh" $way || { "$top/e2e/diagnose.sh" $name; exit 1; }
done
echo
echo "| Helm | applies | step | seconds |"
echo "|---|---|---|---|"
cat "$figures"
rm -f "$figures"
