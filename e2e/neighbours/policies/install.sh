#!/usr/bin/env bash
# install.sh NAME   has NetworkPolicies enforced on the kind cluster NAME, by kube-network-policies. May be repeated.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
e2e=$(cd "$here/../.." && pwd)
cache=${KUBE_CACHE:-$HOME/.cache/opensecureconf-e2e}
name=$1
export DOCKER_BUILDKIT=0
kubectl=$("$e2e/cluster/tool.sh" kubectl)
kubectl() { "$kubectl" --kubeconfig "$cache/$name.kubeconfig" "$@"; }

if kubectl -n kube-system get daemonset kindnet >/dev/null 2>&1; then
  echo "the network of published node images enforces policies itself" >&2
  exit 0
fi
folder=$("$e2e/neighbours/build.sh" kube-network-policies)
image=opensecureconf-e2e/kube-network-policies:$("$e2e/neighbours/build.sh" kube-network-policies --version)
if ! docker image inspect "$image" >/dev/null 2>&1; then
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  install -m0755 "$folder/cmd" "$work/kube-network-policies"
  printf 'FROM scratch\nCOPY kube-network-policies /kube-network-policies\n' >"$work/Dockerfile"
  docker build -q -t "$image" "$work" >/dev/null 2>&1
fi
"$e2e/cluster/load.sh" "$name" "$image"

# Its image is on every node, and has iptables.
proxy=$(kubectl -n kube-system get daemonset kube-proxy -o jsonpath='{.spec.template.spec.containers[0].image}')
sed "s|IMAGE|$image|; s|PROXY|$proxy|" "$here/kube-network-policies.yaml" | kubectl apply --server-side -f - >&2
kubectl -n kube-system rollout status daemonset/kube-network-policies --timeout=120s >&2
