#!/usr/bin/env bash
# kind.sh NAME   makes the kind cluster NAME with the operator and a running sample, and says what to type next.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cache=${KUBE_CACHE:-$HOME/.cache/opensecureconf-e2e}
kubeconfig=$("$here/install.sh" "$1")
kubectl() { "$cache/bin/kubectl" --kubeconfig "$kubeconfig" "$@"; }
kubectl apply -f "$here/../manifests/samples/one-node.yaml"
kubectl wait --for=condition=Ready osc/demo --timeout=120s
kubectl get osc
cat <<TEXT

The cluster is up and stays up. In another terminal:

  export KUBECONFIG=$kubeconfig PATH=$cache/bin:\$PATH
  kubectl get osc,pods,secrets
  kubectl port-forward service/demo 9000 &
  curl -X POST http://127.0.0.1:9000/configs -H "X-API-Key: \$(kubectl get secret demo-api-key -o jsonpath='{.data.api-key}' | base64 -d)" -H 'X-User-Key: correct-horse-battery' -H 'Content-Type: application/json' -d '{"key":"greeting","value":{"text":"hello"}}'
  curl http://127.0.0.1:9000/configs -H "X-API-Key: \$(kubectl get secret demo-api-key -o jsonpath='{.data.api-key}' | base64 -d)" -H 'X-User-Key: correct-horse-battery'

Remove it: make kind-down
TEXT
