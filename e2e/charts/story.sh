#!/usr/bin/env bash
# story.sh HELM [--server-side=true|false]   tells the charts' story on the cluster of KUBECONFIG: install, wait, test, upgrade,
#                                            roll back, remove, install again under another name, as a subchart, after a manifest.
# story.sh HELM3 HELM4                       the story of a release that one Helm makes and the other takes over.
# FIGURES=FILE   where a table's row of each step goes
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
helm_dir=$top/helm
helm=$1
program=$helm
method=()
successor=
case ${2:-} in
  --server-side=*) method=("$2") ;;
  ?*) successor=$2 ;;
esac
number() { "$1" version --template '{{.Version}}'; }
what=$(number "$helm")
case "${method[*]}" in *=true) applies=server ;; *) applies=client ;; esac
[ -z "$successor" ] || what="$what, then $(number "$successor")"
own=opensecureconf-system
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

say() { echo "[charts] $what, $applies: $*" >&2; }
fail() { say "$*"; exit 1; }
# step WORDS COMMAND...: runs it, and notes how long it took.
step() {
  local words=$1 begun=$SECONDS; shift
  "$@" >"$work/log" 2>&1 || { cat "$work/log" >&2; fail "failed: $words"; }
  echo "| $what | $applies | $words | $((SECONDS - begun)) |" >>"${FIGURES:-/dev/null}"
  say "$words: $((SECONDS - begun)) s"
}
# refused WORDS TEXT COMMAND...: it must fail, in words that hold TEXT.
refused() {
  local words=$1 text=$2; shift 2
  ! "$@" >"$work/log" 2>&1 || fail "succeeded: $words"
  grep -q "$text" "$work/log" || { cat "$work/log" >&2; fail "other words than '$text': $words"; }
  say "$words: refused"
}
# never_ready WORDS NAMESPACE NAME HELM4 WAIT [FLAG...]: installing this cluster fails because it is not ready, and for no other cause: Helm 4
# says HELM4 of the resource; with Helm 3 the Job fails, whose log says WAIT. Its own wait is longer than that of the Job.
never_ready() {
  local words=$1 namespace=$2 name=$3 resource=$4 wait=$5; shift 5
  local command=("$program" install "$name" "$cluster" -n "$namespace" "${method[@]}" "${wait_flags[@]}" --set spec.replicas=1 "$@")
  if [ ${#ready_values[@]} = 0 ]; then
    refused "$words" "resource OpenSecureConfCluster/$namespace/$name not ready. status: InProgress, message: $resource" "${command[@]}" --timeout 20s
  else
    refused "$words" "job $name-ready failed: BackoffLimitExceeded" "${command[@]}" --timeout 2m "${ready_values[@]}" --set waitForReady.timeout=10s
    kubectl -n "$namespace" logs "job/$name-ready" >"$work/log"
    grep -q "cluster $name is not ready after 10s: $wait" "$work/log" || { cat "$work/log" >&2; fail "the Job waited for something else: $words"; }
  fi
}
# test_fails WORDS NAMESPACE POD TEXT RELEASE: the release's test fails, and the log of its pod says why.
test_fails() {
  local words=$1 namespace=$2 pod=$3 text=$4 release=$5
  refused "$words" "$pod" "$program" test "$release" -n "$namespace" --timeout 3m
  kubectl -n "$namespace" logs "pod/$pod" >"$work/log" 2>&1
  grep -q "$text" "$work/log" || { cat "$work/log" >&2; fail "the test waited for something else: $words"; }
}
install() { "$program" install "$@" "${method[@]}" --timeout 4m; }
upgrade() { "$program" upgrade "$@" "${method[@]}" --timeout 4m; }
rollback() { "$program" rollback "$@" "${method[@]}" --timeout 4m; }
osc() { kubectl -n team get opensecureconfclusters.opensecureconf.io "${2:-config}" -o "jsonpath=$1"; }
# The first moment after Helm said that all is well.
operator_is_ready() {
  [ "$(kubectl -n $own get deployment "$1" -o jsonpath='{.status.readyReplicas}/{.status.updatedReplicas}/{.spec.replicas}')" = "$2/$2/$2" ] ||
    fail "Helm came back before the operator's pods were ready"
}
cluster_is_ready() {
  [ "$(osc '{.status.observedGeneration}')" = "$(osc '{.metadata.generation}')" ] || fail "Helm came back before the operator had looked"
  [ "$(osc '{.status.conditions[?(@.type=="Ready")].status}')" = True ] || fail "Helm came back before the nodes were ready"
}
# What may never change: volume, salt, keys, by their uids; and the pod, unless the release of the cluster was removed.
treasure() { kubectl -n team get pvc/data-config-0 secret/config-salt secret/config-api-key secret/config-cluster-key -o jsonpath='{.items[*].metadata.uid}'; }
pod() { kubectl -n team get pod config-0 -o jsonpath='{.metadata.uid}'; }
short_name() { kubectl get crd opensecureconfclusters.opensecureconf.io -o jsonpath='{.spec.names.shortNames}'; }

wait_flags=(--wait)
ready_values=()
case $(number "$program") in
  # Its wait takes every custom resource for ready.
  v3*) ready_values=(--set waitForReady.enabled=true --set waitForReady.timeout=3m) ;;
esac
# What Helm 4, and the Job, say of a cluster that no operator has looked at.
unseen=("OpenSecureConfCluster generation is 1, but latest observed generation is -1" "its operator has not looked at the newest spec yet")
operator=$helm_dir/opensecureconf-operator
cluster=$helm_dir/opensecureconf-cluster

# An earlier release of the chart: its definition lacks the short name.
cp -r "$operator" "$work/earlier"
sed -i '/^    shortNames:$/,/^    - osc$/d' "$work/earlier/templates/crd.yaml"
sed -i 's/^version: .*/version: 0.0.9/' "$work/earlier/Chart.yaml"

# The strictest level of PodSecurity, for whatever both charts make: operator, nodes, tests and hooks.
for namespace in $own team; do
  kubectl create namespace "$namespace" >/dev/null
  kubectl label namespace "$namespace" pod-security.kubernetes.io/enforce=restricted >/dev/null
done
step "operator: install" install opensecureconf-operator "$work/earlier" -n $own --create-namespace "${wait_flags[@]}"
operator_is_ready opensecureconf-operator 2
[ -z "$(short_name)" ] || fail "the earlier chart has the short name"
step "operator: test" "$program" test opensecureconf-operator -n $own

step "cluster: install" install config "$cluster" -n team "${wait_flags[@]}" "${ready_values[@]}" --set spec.replicas=1
cluster_is_ready
kept=$(treasure); runs=$(pod)
step "cluster: test" "$program" test config -n team
never_ready "a cluster whose image does not exist" team broken "waiting for 1 nodes to serve, 0 do" "0 of 1 nodes serve" --set spec.image=nothing:1
"$program" uninstall broken -n team >/dev/null 2>&1

label='spec.monitoring.serviceMonitor.labels'
step "cluster: upgrade" upgrade config "$cluster" -n team "${wait_flags[@]}" "${ready_values[@]}" --set spec.replicas=1 --set $label.a=b,spec.podDisruptionBudget.enabled=false
cluster_is_ready
[ "$(osc "{.$label.a}")" = b ] || fail "the label is not there"
step "cluster: upgrade that empties a map" upgrade config "$cluster" -n team "${wait_flags[@]}" "${ready_values[@]}" --set spec.replicas=1 --set-json "$label={}"
cluster_is_ready
[ -z "$(osc "{.$label.a}")" ] || fail "the label is still there"
[ "$(osc '{.spec.podDisruptionBudget.enabled}')" = true ] || fail "the budget is still off"
step "cluster: roll back" rollback config 2 -n team "${wait_flags[@]}"
cluster_is_ready
[ "$(osc "{.$label.a}")" = b ] || fail "the label did not come back"

if [ -n "$successor" ]; then
  program=$successor
  ready_values=()
  # As it comes: auto, which goes on with the way of the release; then the other way.
  step "cluster: upgrade by the other Helm" upgrade config "$cluster" -n team --wait --set spec.replicas=1,$label.a=c
  cluster_is_ready
  method=(--server-side=true)
  step "cluster: upgrade, server-side" upgrade config "$cluster" -n team --wait --set spec.replicas=1 --set-json "$label={}"
  cluster_is_ready
  [ -z "$(osc "{.$label.a}")" ] || fail "the label is still there"
fi

step "operator: upgrade, with its definition" upgrade opensecureconf-operator "$operator" -n $own "${wait_flags[@]}" --set commonLabels.rank=1
operator_is_ready opensecureconf-operator 2
[ "$(short_name)" = '["osc"]' ] || fail "the definition was not upgraded: $(short_name)"
step "operator: roll back" rollback opensecureconf-operator 1 -n $own "${wait_flags[@]}"
operator_is_ready opensecureconf-operator 2
[ -z "$(short_name)" ] || fail "the definition was not rolled back"
step "operator: upgrade again" upgrade opensecureconf-operator "$operator" -n $own "${wait_flags[@]}"
[ "$(pod)" = "$runs" ] || fail "a node was restarted"
# Helm 3 and each way of Helm 4 have words of their own for it.
refused "operator: upgrade to an image that does not exist" "not ready\|deadline exceeded" \
  "$program" upgrade opensecureconf-operator "$operator" -n $own "${method[@]}" "${wait_flags[@]}" --timeout 30s --set image.repository=nothing
[ "$(kubectl -n $own get deployment opensecureconf-operator -o jsonpath='{.status.readyReplicas}')" = 2 ] || fail "the operator's pods that worked are gone"
step "operator: roll back what never was ready" rollback opensecureconf-operator 4 -n $own "${wait_flags[@]}"
operator_is_ready opensecureconf-operator 2

kubectl -n $own scale deployment/opensecureconf-operator --replicas=0 >/dev/null
kubectl -n $own wait --for=delete pod -l app.kubernetes.io/name=opensecureconf-operator --timeout=120s >/dev/null 2>&1 || fail "the operator's pods go on"
test_fails "operator: test without its pods" $own opensecureconf-operator-test "operator in $own is not ready after 60s" opensecureconf-operator
step "operator: uninstall" "$program" uninstall opensecureconf-operator -n $own --wait
[ -z "$(kubectl -n $own get leases -o name)" ] || fail "the Lease is still there"
[ "$(short_name)" = '["osc"]' ] || fail "the definition is gone"
[ "$(pod) $(treasure)" = "$runs $kept" ] || fail "the cluster is not what it was"
never_ready "a cluster that no operator looks at" team unwatched "${unseen[@]}"
test_fails "cluster: test without an operator" team unwatched-test "${unseen[1]}" unwatched
"$program" uninstall unwatched -n team >/dev/null 2>&1
refused "another name" "take-ownership\|invalid ownership\|exists and cannot be imported" install second "$operator" -n $own
step "operator: install under another name" install second "$operator" -n $own "${wait_flags[@]}" --take-ownership
operator_is_ready second-opensecureconf-operator 2
step "operator: test under another name" "$program" test second -n $own
[ "$(pod) $(treasure)" = "$runs $kept" ] || fail "the cluster is not what it was"

step "cluster: uninstall" "$program" uninstall config -n team --wait
kubectl -n team wait --for=delete pod/config-0 --timeout=120s >/dev/null 2>&1 || fail "the node goes on"
[ "$(treasure)" = "$kept" ] || fail "volume, salt or keys are not what they were"
step "cluster: install again" install config "$cluster" -n team "${wait_flags[@]}" "${ready_values[@]}" --set spec.replicas=1
cluster_is_ready
[ "$(treasure)" = "$kept" ] || fail "volume, salt or keys are not what they were"

# Fewer rights: Roles in one namespace, and no ClusterRole. What runs goes on, and new clusters come to be.
runs=$(pod)
step "operator: upgrade to the rights of one namespace" upgrade second "$operator" -n $own "${wait_flags[@]}" --set 'watchNamespaces={team}'
operator_is_ready second-opensecureconf-operator 2
[ -z "$(kubectl get clusterrolebindings -l app.kubernetes.io/instance=second -o name)" ] || fail "a ClusterRole is bound to the operator"
step "cluster: install with these rights" install few "$cluster" -n team "${wait_flags[@]}" "${ready_values[@]}" --set spec.replicas=1
[ "$(osc '{.status.conditions[?(@.type=="Ready")].status}' few)" = True ] || fail "Helm came back before the node was ready"
step "cluster: upgrade with these rights" upgrade config "$cluster" -n team "${wait_flags[@]}" "${ready_values[@]}" --set spec.replicas=1 --set $label.a=d
cluster_is_ready
[ "$(pod) $(treasure)" = "$runs $kept" ] || fail "the cluster is not what it was"
kubectl create namespace elsewhere >/dev/null
never_ready "a cluster where the operator has no rights" elsewhere few "${unseen[@]}"
test_fails "cluster: test where the operator has no rights" elsewhere few-test "${unseen[1]}" few
[ -z "$(kubectl -n elsewhere get statefulsets,secrets -l app.kubernetes.io/managed-by=opensecureconf-operator -o name)" ] || fail "something was made there"
"$program" uninstall few -n elsewhere >/dev/null 2>&1
"$program" uninstall few -n team --wait >/dev/null
logs=$(kubectl -n $own logs -l app.kubernetes.io/instance=second --tail=-1)
! grep -E '"rights_missing"|forbidden' <<<"$logs" || fail "what the Roles grant is not enough"

"$program" uninstall config -n team --wait >/dev/null
"$program" uninstall second -n $own --wait >/dev/null

# A chart of another project with both. The definition has to be known before a cluster is asked for: two steps.
mkdir -p "$work/platform/charts"
cp -r "$operator" "$cluster" "$work/platform/charts/"
chart_version=$(sed -n 's/^version: *//p' "$operator/Chart.yaml" | tr -d "\"'")
cat >"$work/platform/Chart.yaml" <<CHART
apiVersion: v2
name: platform
version: 1.0.0
dependencies:
- {name: opensecureconf-operator, version: $chart_version, alias: secrets, condition: secrets.enabled}
- {name: opensecureconf-cluster, version: $chart_version, alias: store, condition: store.enabled}
CHART
step "subchart: install the operator" install platform "$work/platform" -n team "${wait_flags[@]}" --take-ownership \
  --set global.any=1,store.enabled=false
step "subchart: upgrade with a cluster" upgrade platform "$work/platform" -n team "${wait_flags[@]}" \
  --set global.any=1,store.name=config,store.spec.replicas=1 "${ready_values[@]/waitForReady/store.waitForReady}"
cluster_is_ready
[ "$(treasure)" = "$kept" ] || fail "volume, salt or keys are not what they were"
step "subchart: uninstall" "$program" uninstall platform -n team --wait

# By manifest first. The chart takes over as docs/install.md says, and can upgrade the definition afterwards.
by_manifest() {
  kubectl apply --server-side -f "$top/manifests/install.yaml" && kubectl -n $own rollout status deployment/opensecureconf-operator --timeout=180s
}
remove_manifest() {
  kubectl delete namespace $own --timeout=120s &&
    kubectl delete clusterrole,clusterrolebinding opensecureconf-operator &&
    kubectl delete clusterrole opensecureconf-operator-view opensecureconf-operator-edit
}
let_go() {
  printf 'apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: opensecureconfclusters.opensecureconf.io}\n' |
    kubectl apply --server-side -f -
}
kubectl delete crd opensecureconfclusters.opensecureconf.io --timeout=60s >/dev/null
kubectl delete namespace $own --timeout=120s >/dev/null
step "operator: install by manifest" by_manifest
step "operator: remove what the manifest made" remove_manifest
[ "$(short_name)" = '["osc"]' ] || fail "the definition is gone"
step "operator: take over from the manifest" install opensecureconf-operator "$operator" -n $own --create-namespace "${wait_flags[@]}" --take-ownership
operator_is_ready opensecureconf-operator 2
case "${method[*]}" in *=true) step "definition: kubectl lets go of it" let_go ;; esac
step "operator: upgrade what was taken over" upgrade opensecureconf-operator "$work/earlier" -n $own "${wait_flags[@]}"
operator_is_ready opensecureconf-operator 2
[ -z "$(short_name)" ] || fail "the definition was not upgraded: $(short_name)"
"$program" uninstall opensecureconf-operator -n $own --wait >/dev/null

# The next story begins with nothing.
kubectl delete crd opensecureconfclusters.opensecureconf.io --timeout=60s >/dev/null
kubectl delete namespace team elsewhere $own --timeout=120s >/dev/null
