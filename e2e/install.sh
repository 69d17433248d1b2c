#!/usr/bin/env bash
# install.sh NAME [IMAGE...]   makes the kind cluster NAME with the images and the operator of this checkout, and more images
# of this machine's Docker; prints its kubeconfig. May be repeated: what a new binary concerns is restarted.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/.." && pwd)
cache=${KUBE_CACHE:-$HOME/.cache/opensecureconf-e2e}
version=$(sed -n 's/^version = "\(.*\)"/\1/p' "$top/Cargo.toml" | head -1)
name=$1; shift

kubeconfig=$("$here/cluster/up.sh" "$name")
kubectl=$("$here/cluster/tool.sh" kubectl)
kubectl() { command "$kubectl" --kubeconfig "$kubeconfig" "$@"; }
"$here/cluster/load.sh" "$name" "opensecureconf-node:$version" "opensecureconf-operator:$version" "$@"
kubectl apply --server-side -f "$top/manifests/install.yaml" >&2
kubectl wait --for=condition=Established crd/opensecureconfclusters.opensecureconf.io --timeout=60s >&2
# The same tag may hold another binary than the pods that run.
kubectl -n opensecureconf-system rollout restart deployment/opensecureconf-operator >&2
kubectl -n opensecureconf-system rollout status deployment/opensecureconf-operator --timeout=180s >&2
loaded=$(docker image inspect --format '{{.Id}}' "opensecureconf-node:$version")
if [ "$(cat "$cache/$name.node-image" 2>/dev/null || true)" != "$loaded" ]; then
  kubectl get statefulsets -A -l app.kubernetes.io/managed-by=opensecureconf-operator \
    -o jsonpath='{range .items[*]}{.metadata.namespace} {.metadata.name}{"\n"}{end}' |
    while read -r namespace nodes; do
      kubectl -n "$namespace" rollout restart "statefulset/$nodes" >&2 </dev/null
      kubectl -n "$namespace" rollout status "statefulset/$nodes" --timeout=300s >&2 </dev/null
    done
  echo "$loaded" >"$cache/$name.node-image"
fi
echo "$kubeconfig"
