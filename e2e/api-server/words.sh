#!/usr/bin/env bash
# words.sh   what the operator says on the API server of KUBECONFIG (run.sh makes it): whose change it puts back, who refuses pods, and
# nothing at all while a namespace is being deleted.
#   KUBECTL=PROGRAM   else that of the cache or of PATH
set -euo pipefail
kubectl=${KUBECTL:-$("$(dirname "$0")/../cluster/tool.sh" kubectl)}
say() { echo "[words] $SECONDS s: $*" >&2; }
fail() { echo "[words] failed: $*" >&2; kubectl get events.events.k8s.io -A -o custom-columns=R:.reason,N:.note >&2; exit 1; }
kubectl() { "$kubectl" "$@"; }
until_it() { # WORDS COMMAND...
  local words=$1 tries=0; shift
  until "$@" >/dev/null 2>&1; do
    tries=$((tries + 1)); [ $tries -lt 60 ] || fail "$words"
    sleep 0.5
  done
  say "$words"
}
# Output is read as a whole first: what a command that failed does not say is not absent.
has_event() { local text; text=$(kubectl get events.events.k8s.io -n "$1" -o 'jsonpath={range .items[*]}{.reason}: {.note}{"\n"}{end}') && grep -qF "$2" <<<"$text"; }
is() { [ "$(kubectl get "$1" -n words -o "jsonpath=$2")" = "$3" ]; }
make_cluster() {
  printf 'apiVersion: opensecureconf.io/v1alpha1\nkind: OpenSecureConfCluster\nmetadata: { name: demo, namespace: %s }\nspec: {}\n' "$1" | kubectl apply -f - >/dev/null
}

# As on any cluster with volumes: claims have a class, and wait for their pods.
kubectl apply -f - >/dev/null <<'END'
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: { name: standard, annotations: { storageclass.kubernetes.io/is-default-class: "true" } }
provisioner: example.com/none
volumeBindingMode: WaitForFirstConsumer
END
kubectl create namespace words >/dev/null
make_cluster words
until_it "the set is there" kubectl get statefulset demo -n words
sleep 3

kubectl scale statefulset demo -n words --replicas 1 >/dev/null
until_it "scaled by hand, and put back" is statefulset/demo '{.spec.replicas}' 3
until_it "the event names field and client" has_event words 'Corrected: corrected StatefulSet demo: kubectl had changed spec.replicas'
kubectl set image statefulset/demo node=somebody/elses:1 -n words >/dev/null
until_it "another image, and its event" has_event words 'Corrected: corrected StatefulSet demo: kubectl-set had changed spec.template.spec.containers[node].image'
kubectl patch service demo -n words --type=json -p '[{"op":"replace","path":"/spec/ports/0/port","value":9444}]' >/dev/null
until_it "a Service's port, and its event" has_event words 'Corrected: corrected Service demo: kubectl-patch had changed spec.ports['
kubectl patch configmap demo-nodes -n words --type=merge -p '{"data":{"nodes":"nobody"}}' >/dev/null
until_it "the peer list, and its event" has_event words 'Corrected: corrected ConfigMap demo-nodes: kubectl-patch had changed data.nodes'
kubectl delete service demo -n words >/dev/null
until_it "a deleted Service is back" kubectl get service demo -n words

# What the user asks for is nobody's mistake.
before=$(kubectl get events.events.k8s.io -n words -o name | wc -l)
kubectl patch osc demo -n words --type=merge -p '{"spec":{"service":{"annotations":{"a":"b"}},"image":"own/node:2"}}' >/dev/null
until_it "an annotation that is asked for" is service/demo '{.metadata.annotations.a}' b
kubectl patch osc demo -n words --type=json -p '[{"op":"remove","path":"/spec/service/annotations/a"}]' >/dev/null
until_it "and one that is not wanted any more" is service/demo '{.metadata.annotations.a}' ''
[ "$(kubectl get events.events.k8s.io -n words -o 'jsonpath={range .items[?(@.reason=="Corrected")]}x{end}')" = xxxx ] || fail "something else was corrected"
say "$before events before, no other correction"

kubectl create namespace few >/dev/null
kubectl create quota few -n few --hard pods=0 >/dev/null
quota_holds() { [ "$(kubectl get quota few -n few -o 'jsonpath={.status.hard.pods}')" = 0 ]; }
until_it "the quota is in force" quota_holds
make_cluster few
tells() { said=$(kubectl get osc demo -n "$1" -o 'jsonpath={.status.conditions[?(@.type=="Ready")].message}') && [[ $said == *"$2"* ]]; }
until_it "the quota's words" tells few 'FailedCreate: exceeded quota: few, requested: pods=1, used: pods=0, limited: pods=0'
[[ $said != *'logs of pod'* ]] || fail "sends somebody to logs of pods that are not there: $said"
[[ $said != *StorageClass* ]] || fail "blames the volumes: $said"

lines=$(wc -l <"$OSC_OPERATOR_LOG")
kubectl delete namespace words few --timeout=60s >/dev/null
sleep 3
if tail -n "+$((lines + 1))" "$OSC_OPERATOR_LOG" | grep -E '"level":"(WARN|ERROR)"' >&2; then fail "not quiet while a namespace is deleted"; fi
say "quiet while namespaces are deleted"
