#!/usr/bin/env bash
# install.sh CLUSTER   installs the operator of CloudNativePG on the kind cluster, by its own manifests, and brings a PostgreSQL there
# that it can run: image opensecureconf-e2e/postgresql, whose name the ConfigMap e2e-images in cnpg-system has.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cache=${KUBE_CACHE:-$HOME/.cache/opensecureconf-e2e}
cluster=$1
kubectl=$("$here/../../cluster/tool.sh" kubectl)
kubectl() { "$kubectl" --kubeconfig "$cache/$cluster.kubeconfig" "$@"; }
programs=$("$here/../build.sh" cloudnative-pg)
image=opensecureconf-e2e/cloudnative-pg:$("$here/../build.sh" cloudnative-pg --version)
postgresql=$("$here/postgresql.sh")
if ! docker image inspect "$image" >/dev/null 2>&1; then
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  # It looks there for the program that it puts into the pods of each architecture.
  mkdir -p "$work/operator"
  architecture=$(go env GOARCH)
  cp "$programs/manager" "$work/operator/manager_$architecture"
  ln -s "operator/manager_$architecture" "$work/manager"
  chmod 0755 "$work"
  tar -C "$work" --owner=0 --group=0 -c . | docker import --change 'ENTRYPOINT ["/manager"]' --change 'USER 65532:65532' --change 'WORKDIR /' - "$image" >/dev/null
fi
"$here/../../cluster/load.sh" "$cluster" "$image" "$postgresql"
module=$(cd "$here" && go mod download -json github.com/cloudnative-pg/cloudnative-pg | sed -n 's/^\t"Dir": "\(.*\)",$/\1/p')
# Its own limit of a tenth of a core makes it start slowly.
"$kubectl" kustomize "$module/config/default" 2>/dev/null |
  sed "s#controller:latest#docker.io/$image#; s/imagePullPolicy: Always/imagePullPolicy: IfNotPresent/; s/^            cpu: 100m$/            cpu: 1000m/" |
  kubectl apply --server-side --force-conflicts -f - >/dev/null
kubectl -n cnpg-system create configmap e2e-images --from-literal "postgresql=docker.io/$postgresql" --dry-run=client -o yaml | kubectl apply --server-side -f -
kubectl -n cnpg-system rollout status deployment/cnpg-controller-manager --timeout=180s

# The Service of its webhooks leads to them some time after they are ready.
tries=0
until said=$(kubectl -n default create --dry-run=server -f - 2>&1 <<<'{apiVersion: postgresql.cnpg.io/v1, kind: Cluster, metadata: {name: probe}, spec: {instances: 1, storage: {size: 1Gi}}}'); do
  tries=$((tries + 1))
  [ $tries -lt 120 ] || { echo "the webhooks of CloudNativePG do not answer within a minute: $said" >&2; exit 1; }
  sleep 0.5
done
