#!/usr/bin/env bash
# kind.sh NAME   makes the kind cluster NAME with the operator and a running sample, and says what to type next.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cache=${KUBE_CACHE:-$HOME/.cache/opensecureconf-e2e}
kubeconfig=$("$here/install.sh" "$1") || { "$here/diagnose.sh" "$1"; exit 1; }
kubectl=$("$here/cluster/tool.sh" kubectl)
kubectl() { command "$kubectl" --kubeconfig "$kubeconfig" "$@"; }
kubectl apply -f "$here/../manifests/samples/one-node.yaml"
kubectl wait --for=condition=Ready osc/demo --timeout=120s || { "$here/diagnose.sh" "$1"; exit 1; }
kubectl get osc
key="-H \"X-API-Key: \$(kubectl get secret demo-api-key -o jsonpath='{.data.api-key}' | base64 -d)\" -H 'X-User-Key: correct-horse-battery'"
cat <<TEXT

The cluster is up and stays up. In another terminal:

  export KUBECONFIG=$kubeconfig PATH=$cache/bin:\$PATH
  kubectl get osc,pods,secrets
  kubectl port-forward service/demo 9000 9443 &
  curl -X PUT 'http://127.0.0.1:9000/configs/greeting?upsert=true' $key -H 'Content-Type: application/json' -d '{"value":{"text":"hello"}}'
  curl http://127.0.0.1:9000/configs $key
  kubectl get configmap demo-ca -o jsonpath='{.data.ca\.crt}' > ca.crt; curl --cacert ca.crt https://127.0.0.1:9443/configs $key

Remove it: make kind-down
TEXT
