#!/usr/bin/env bash
# install.sh NAME   makes the kind cluster NAME with the images and the operator of this checkout; prints its kubeconfig.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/.." && pwd)
cache=${KUBE_CACHE:-$HOME/.cache/opensecureconf-e2e}
version=$(sed -n 's/^version = "\(.*\)"/\1/p' "$top/Cargo.toml" | head -1)

kubeconfig=$("$here/cluster/up.sh" "$1")
kubectl() { "$cache/bin/kubectl" --kubeconfig "$kubeconfig" "$@"; }
client=$("$here/images/client.sh")
"$here/cluster/load.sh" "$1" "opensecureconf-node:$version" "opensecureconf-operator:$version" "$client"
kubectl apply --server-side -f "$top/manifests/install.yaml" >&2
kubectl wait --for=condition=Established crd/opensecureconfclusters.opensecureconf.io --timeout=60s >&2
# The same tag may hold another binary than the pod that runs.
kubectl -n opensecureconf-system rollout restart deployment/opensecureconf-operator >&2
kubectl -n opensecureconf-system rollout status deployment/opensecureconf-operator --timeout=180s >&2
echo "$kubeconfig"
