#!/usr/bin/env bash
# install.sh NAME   nothing to install: ends with 3 where volumes of the kind cluster NAME are folders without a size, and says why.
set -euo pipefail
cache=${KUBE_CACHE:-$HOME/.cache/opensecureconf-e2e}
kubectl=$("$(dirname "$0")/../../cluster/tool.sh" kubectl)
said=$("$kubectl" --kubeconfig "$cache/$1.kubeconfig" -n kube-system logs --selector app=nodeagent --tail=-1)
if grep -q ': folder$' <<<"$said" || ! grep -q ': file-system$' <<<"$said"; then
  echo "volumes of this cluster have no file systems of their own: $(grep -m1 'no file systems' <<<"$said" || echo 'not made by e2e/cluster/nodeagent')" >&2
  exit 3
fi
