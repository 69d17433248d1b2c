#!/usr/bin/env bash
# install.sh CLUSTER   brings cert-manager's kinds to the kind cluster, as its module has them, and runs its controllers there.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cache=${KUBE_CACHE:-$HOME/.cache/opensecureconf-e2e}
cluster=$1
kubectl=$("$here/../../cluster/tool.sh" kubectl)
kubectl() { "$kubectl" --kubeconfig "$cache/$cluster.kubeconfig" "$@"; }
programs=$("$here/../build.sh" cert-manager)
image=opensecureconf-e2e/cert-manager:$("$here/../build.sh" cert-manager --version)
if ! docker image inspect "$image" >/dev/null 2>&1; then
  tar -C "$programs" --owner=0 --group=0 -c controller | docker import --change 'ENTRYPOINT ["/controller"]' --change 'USER 65532:65532' - "$image" >/dev/null
fi
"$here/../../cluster/load.sh" "$cluster" "$image"
module=$(cd "$here" && go mod download -json github.com/cert-manager/cert-manager | sed -n 's/^\t"Dir": "\(.*\)",$/\1/p')
for file in "$module"/deploy/crds/*.yaml; do kubectl apply --server-side -f "$file" >/dev/null; done
kubectl wait --for=condition=Established crd/{certificates,certificaterequests,issuers,clusterissuers}.cert-manager.io --timeout=60s >/dev/null
sed "s#IMAGE#docker.io/$image#" "$here/controllers.yaml" | kubectl apply --server-side -f -
kubectl -n cert-manager rollout status deployment/cert-manager --timeout=120s
