#!/usr/bin/env bash
# diagnose.sh NAME   keeps logs, events and resources of the kind cluster NAME in a new folder, and names it.
# For failures before the stories, which keep their own. Whatever cannot be had is left out.
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
name=$1
tool() { "$here/cluster/tool.sh" "$1" 2>/dev/null; }
kind=$(tool kind) || exit 0
"$kind" get clusters 2>/dev/null | grep -qx "$name" || exit 0

folder=$here/../.e2e/$name-$(date +%s)
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
"$kind" export logs --name "$name" "$folder/nodes" >/dev/null 2>&1
if kubectl=$(tool kubectl); then
  "$kind" get kubeconfig --name "$name" >"$folder/kubeconfig" 2>/dev/null
  kubectl() { timeout 60 "$kubectl" --kubeconfig "$folder/kubeconfig" "$@" 2>&1; }
  kubectl get events -A --sort-by=.lastTimestamp >"$folder/events.txt"
  kubectl get nodes,pods,pv,pvc -A -o wide >"$folder/overview.txt"
  kubectl describe pods -A >"$folder/pods.txt"
  # Secrets are left out: their content stays where it is.
  kubectl get osc,deployments,statefulsets,services,configmaps -A -o yaml >"$folder/resources.yaml"
  kubectl logs -A -l app.kubernetes.io/name=opensecureconf-operator --prefix --tail=-1 >"$folder/operator.log"
  rm -f "$folder/kubeconfig"
fi
echo "logs, events and resources of cluster '$name': $folder" >&2
