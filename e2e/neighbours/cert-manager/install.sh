#!/usr/bin/env bash
# install.sh CLUSTER   brings cert-manager's kinds to the kind cluster, as its module has them.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cache=${KUBE_CACHE:-$HOME/.cache/opensecureconf-e2e}
module=$(cd "$here" && go mod download -json github.com/cert-manager/cert-manager | sed -n 's/^\t"Dir": "\(.*\)",$/\1/p')
kubectl() { command "$cache/bin/kubectl" --kubeconfig "$cache/$1.kubeconfig" "${@:2}"; }
for kind in certificates certificaterequests issuers clusterissuers; do
  kubectl "$1" apply --server-side -f "$module/deploy/crds/cert-manager.io_$kind.yaml"
  kubectl "$1" wait --for=condition=Established "crd/$kind.cert-manager.io" --timeout=60s
done
