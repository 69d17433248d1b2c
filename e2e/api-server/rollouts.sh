#!/usr/bin/env bash
# rollouts.sh   how pods are replaced on the API server of KUBECONFIG (run.sh makes it), by the operator and the real controller of
# StatefulSets. No kubelet runs: this script says which pods serve.
#   KUBECTL=PROGRAM   else that of the cache
set -euo pipefail
program=${KUBECTL:-${KUBE_CACHE:-$HOME/.cache/opensecureconf-e2e}/bin/kubectl}
[ -x "$program" ] || { echo "$program is not there: make e2e builds it" >&2; exit 1; }
say() { echo "[rollouts] $SECONDS s: $*" >&2; }
kubectl() { "$program" -n rollouts "$@"; }
fail() {
  echo "[rollouts] failed: $*" >&2
  kubectl get events.events.k8s.io -o custom-columns=T:.type,R:.reason,N:.note >&2
  kubectl get pods -L controller-revision-hash >&2
  kubectl get osc demo -o 'jsonpath={.status.conditions}' >&2
  kubectl get statefulset demo -o 'jsonpath={.spec.updateStrategy}{.status}' >&2
  exit 1
}
until_it() { # WORDS COMMAND...
  local words=$1 tries=0; shift
  until "$@" >/dev/null 2>&1; do
    tries=$((tries + 1)); [ $tries -lt 120 ] || fail "$words"
    sleep 0.5
  done
  say "$words"
}
has_event() { kubectl get events.events.k8s.io -o 'jsonpath={range .items[*]}{.reason}: {.note}{"\n"}{end}' | grep -qF "$1"; }
ready_says() { kubectl get osc demo -o 'jsonpath={.status.conditions[?(@.type=="Ready")].reason}: {.status.conditions[?(@.type=="Ready")].message}' | grep -qF "$1"; }
life() { kubectl get pod "demo-$1" -o 'jsonpath={.metadata.uid}'; }
is() { [ "$(kubectl get "$1" -o "jsonpath=$2")" = "$3" ]; }
serves() { # ORDINAL
  kubectl patch pod "demo-$1" --subresource=status --type=merge -p '{"status":{"phase":"Running","conditions":[
    {"type":"Ready","status":"True"},{"type":"ContainersReady","status":"True"},{"type":"PodScheduled","status":"True"}]}}' >/dev/null
}
lives() { for n in 0 1 2; do life "$n"; echo; done; }
# Pod N is another one, and the pods with the numbers below N are the same.
replaced() { # N, LIVES
  local now; now=$(lives) || return 1
  [ "$(sed -n "$(($1 + 1))p" <<<"$now")" != "$(sed -n "$(($1 + 1))p" <<<"$2")" ] &&
    [ "$(head -n "$1" <<<"$now")" = "$(head -n "$1" <<<"$2")" ]
}
all_replaced() { # WORDS LIVES
  local n
  for n in 2 1 0; do
    until_it "$1: demo-$n is another one" replaced $n "$2"
    sleep 2
    replaced $n "$2" || fail "another pod went while demo-$n did not serve"
    until_it "and serves" serves $n
  done
  until_it "all are current" is statefulset/demo '{.status.updatedReplicas}' 3
}

kubectl create namespace rollouts >/dev/null
for n in 0 1 2; do
  printf 'apiVersion: v1\nkind: PersistentVolume\nmetadata: { name: "disk-%s" }\nspec: { capacity: { storage: 1Gi }, accessModes: [ReadWriteOnce], hostPath: { path: /none } }\n' $n |
    kubectl apply -f - >/dev/null
done
printf 'apiVersion: opensecureconf.io/v1alpha1\nkind: OpenSecureConfCluster\nmetadata: { name: demo }\nspec: {}\n' | kubectl apply -f - >/dev/null
until_it "three pods" kubectl get pod demo-0 demo-1 demo-2
for n in 0 1 2; do serves $n; done
until_it "Kubernetes replaces none of them" is statefulset/demo '{.spec.updateStrategy}' '{"type":"OnDelete"}'
! kubectl rollout status statefulset/demo --timeout=5s 2>/dev/null || fail "kubectl rollout status tells of a rollout"

first=$(lives)
kubectl set env statefulset/demo FOO=bar >/dev/null
until_it "an environment by hand, and its event" has_event 'Corrected: corrected StatefulSet demo: kubectl-set had changed spec.template.spec.containers[node].env[FOO]'
sleep 3
! kubectl get statefulset demo -o yaml | grep -q FOO || fail "it stays"
[ "$(lives)" = "$first" ] || fail "it restarted pods"
is statefulset/demo '{.status.updatedReplicas}' 3 || fail "pods are not of the current revision"

kubectl patch statefulset demo --type=merge -p '{"spec":{"updateStrategy":{"type":"RollingUpdate"}}}' >/dev/null
until_it "another strategy, and its event" has_event 'Corrected: corrected StatefulSet demo: kubectl-patch had changed spec.updateStrategy.type'
until_it "is put back" is statefulset/demo '{.spec.updateStrategy}' '{"type":"OnDelete"}'
[ "$(lives)" = "$first" ] || fail "it restarted pods"

kubectl rollout restart statefulset/demo >/dev/null
all_replaced "kubectl rollout restart" "$first"
second=$(lives)
kubectl patch osc demo --type=merge -p '{"spec":{"restartedAt":"2026-01-31T12:00:00Z"}}' >/dev/null
until_it "the status counts" ready_says 'RollingOut: 1 of 3 nodes run the current pod template'
all_replaced "restartedAt" "$second"

# What Kubernetes says of a rollout stands still where it does not carry it out itself.
[ "$(kubectl get statefulset demo -o 'jsonpath={.status.currentRevision}')" != "$(kubectl get statefulset demo -o 'jsonpath={.status.updateRevision}')" ] ||
  fail "currentRevision follows"

third=$(lives)
kubectl patch osc demo --type=merge -p '{"spec":{"image":"bad/node:1"}}' >/dev/null
until_it "a bad image takes demo-2" replaced 2 "$third"
until_it "it is there again" kubectl get pod demo-2
bad=$(lives)
sleep 3
[ "$(lives)" = "$bad" ] || fail "a bad image took another pod"
kubectl patch osc demo --type=merge -p '{"spec":{"image":"good/node:1"}}' >/dev/null
all_replaced "the next image" "$bad"
say "no pod went beside another"
