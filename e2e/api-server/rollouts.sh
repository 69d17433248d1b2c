#!/usr/bin/env bash
# rollouts.sh   how pods are replaced on the API server of KUBECONFIG (run.sh --without-operator makes it), by the operator and the real
# controller of StatefulSets. No kubelet runs: this script says which pods serve. No node answers: operators wait a second for that.
#   KUBECTL=PROGRAM   else that of the cache or of PATH
set -euo pipefail
program=${KUBECTL:-$("$(dirname "$0")/../cluster/tool.sh" kubectl)}
say() { echo "[rollouts] $SECONDS s: $*" >&2; }
kubectl() { "$program" -n rollouts "$@"; }
fail() {
  echo "[rollouts] failed: $*" >&2
  kubectl get events.events.k8s.io -o custom-columns=T:.type,R:.reason,N:.note >&2
  kubectl get pods -L controller-revision-hash >&2
  kubectl get osc demo -o 'jsonpath={.status.conditions}' >&2
  kubectl get statefulset demo -o 'jsonpath={.spec.updateStrategy}{.status}' >&2
  kubectl get osc -o 'jsonpath={range .items[*]}{.metadata.name}: {.status.pendingRollout}{"\n"}{end}' >&2
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
serves() { pod_serves "demo-$1"; } # ORDINAL
pod_serves() { # POD
  kubectl patch pod "$1" --subresource=status --type=merge -p '{"status":{"phase":"Running","conditions":[
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

operator=
next_operator() { # IMAGE   instead of the one that runs
  if [ -n "$operator" ]; then
    kill "$operator"
    wait "$operator" || fail "an operator ended with an error"
  fi
  POD_NAMESPACE=opensecureconf-system "$OSC_OPERATOR" run --admin-bind "$OSC_OPERATOR_ADMIN" --node-image "$1" --answer-timeout 1s >>"$OSC_OPERATOR_LOG" 2>&1 &
  operator=$!
}
trap 'kill "$operator" 2>/dev/null || true' EXIT

next_operator old/node:1
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

# Until Kubernetes 1.36 it stands still where Kubernetes itself replaces no pods, from 1.37 on it follows: nothing may rest on it.
say "currentRevision is $(kubectl get statefulset demo -o 'jsonpath={.status.currentRevision} of {.status.updateRevision}')"

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

# A new operator takes another node image. Nothing restarts because of that alone: clusters follow each other, or a person lets it in.
uids_of() { kubectl get pod "$1-0" "$1-1" "$1-2" -o 'jsonpath={range .items[*]}{.metadata.uid}{"\n"}{end}'; } # CLUSTER
is_another() { # POD UID
  local now; now=$(kubectl get pod "$1" -o 'jsonpath={.metadata.uid}') && [ -n "$now" ] && [ "$now" != "$2" ]
}
waits_for() { [ "$(kubectl get osc "$1" -o 'jsonpath={.status.pendingRollout.reason}')" = "$2" ]; } # CLUSTER REASON
has_turn() { [ -n "$(kubectl get statefulset "$1" -o 'jsonpath={.metadata.annotations.opensecureconf\.io/rolling-out}')" ]; } # CLUSTER
one_has_a_turn() { has_turn one || has_turn two; }
image_of() { kubectl get statefulset "$1" -o 'jsonpath={.spec.template.spec.containers[0].image}'; } # CLUSTER
rolled_out() { # CLUSTER UNTOUCHED...   pod by pod, while no pod of the others goes
  local cluster=$1 untouched n other; shift
  untouched=$(for other; do uids_of "$other"; done)
  for n in 2 1 0; do
    until_it "$cluster-$n is another one" is_another "$cluster-$n" "$(sed -n "$((n + 1))p" <<<"${before[$cluster]}")"
    [ "$(for other; do uids_of "$other"; done)" = "$untouched" ] || fail "a pod of another cluster went"
    until_it "and serves" pod_serves "$cluster-$n"
  done
  until_it "$cluster is rolled out" is "statefulset/$cluster" '{.status.updatedReplicas}' 3
}
# The end of a turn wakes those that wait: looks by themselves are 30 s apart.
follows() { # CLUSTER
  local since=$SECONDS
  until_it "$1 has its turn" has_turn "$1"
  [ $((SECONDS - since)) -le 5 ] || fail "$1 got its turn $((SECONDS - since)) s after it was free"
}

for cluster in one two hand; do
  for n in 0 1 2; do
    printf 'apiVersion: v1\nkind: PersistentVolume\nmetadata: { name: "%s-%s" }\nspec: { capacity: { storage: 1Gi }, accessModes: [ReadWriteOnce], hostPath: { path: /none } }\n' $cluster $n |
      kubectl apply -f - >/dev/null
  done
  policy=Automatic
  [ $cluster != hand ] || policy=Manual
  printf 'apiVersion: opensecureconf.io/v1alpha1\nkind: OpenSecureConfCluster\nmetadata: { name: %s }\nspec: { upgrade: { policy: %s } }\n' $cluster $policy |
    kubectl apply -f - >/dev/null
  until_it "three pods of $cluster" kubectl get pod $cluster-0 $cluster-1 $cluster-2
  for n in 0 1 2; do pod_serves $cluster-$n; done
  until_it "$cluster has an accepted template" kubectl get configmap $cluster-template
  until_it "$cluster is as it is wanted" is statefulset/$cluster '{.status.updatedReplicas}' 3
done
declare -A before=()
for cluster in demo one two hand; do before[$cluster]=$(uids_of $cluster); done
next_operator new/node:2
until_it "what a person lets in waits for him" waits_for hand Manual
until_it "one cluster has its turn" one_has_a_turn
first=one second=two
has_turn one || { first=two; second=one; }
until_it "$second waits for $first" waits_for $second OtherCluster
rolled_out $first $second hand demo
follows $second
rolled_out $second $first hand demo
for cluster in one two; do
  [ "$(image_of $cluster)" = new/node:2 ] || fail "$cluster has $(image_of $cluster)"
done
[ "$(uids_of hand)" = "${before[hand]}" ] || fail "nobody let it in, and pods of hand went"
[ "$(uids_of demo)" = "${before[demo]}" ] || fail "demo names its image, and its pods went"

kubectl delete configmap hand-template >/dev/null
until_it "the accepted template is there again" kubectl get configmap hand-template
waits_for hand Manual || fail "without the ConfigMap it waits no more"
number=$(kubectl get osc hand -o 'jsonpath={.status.pendingRollout.accept}')
kubectl annotate osc hand "opensecureconf.io/accept-template=$number" >/dev/null
rolled_out hand one two demo
[ -z "$(kubectl get osc hand -o 'jsonpath={.status.pendingRollout}')" ] || fail "something still waits"
until_it "its event" has_event 'RolloutLetIn: let in what waited: spec.containers[node].image: '
say "clusters followed each other, and one waited for a person"

# A namespace is deleted in the middle of a rollout, and a pod stays for long: Kubernetes begins with the pods, and waits for them.
for cluster in one two; do
  kubectl patch osc $cluster --type=merge -p '{"spec":{"upgrade":{"policy":"Manual"}}}' >/dev/null
done
there() { "$program" -n going "$@"; }
"$program" create namespace going >/dev/null
printf 'apiVersion: opensecureconf.io/v1alpha1\nkind: OpenSecureConfCluster\nmetadata: { name: away, namespace: going }\nspec: { replicas: 1 }\n' |
  there apply -f - >/dev/null
until_it "a pod in another namespace" there get pod away-0
there patch pod away-0 --subresource=status --type=merge -p '{"status":{"phase":"Running","conditions":[
  {"type":"Ready","status":"True"},{"type":"ContainersReady","status":"True"},{"type":"PodScheduled","status":"True"}]}}' >/dev/null
away_is() { [ "$(there get "$1" -o "jsonpath=$2")" = "$3" ]; }
until_it "which is as it is wanted" away_is statefulset/away '{.status.updatedReplicas}' 1
until_it "and has an accepted template" there get configmap away-template
before[away]=$(there get pod away-0 -o 'jsonpath={.metadata.uid}')
next_operator new/node:3
away_is_another() { [ "$(there get pod away-0 -o 'jsonpath={.metadata.uid}')" != "${before[away]}" ]; }
until_it "it has its turn" away_is_another
until_it "its next pod" there get pod away-0
until_it "one waits for a person" waits_for one Manual
kubectl patch osc one --type=merge -p '{"spec":{"upgrade":{"policy":"Automatic"}}}' >/dev/null
until_it "one waits for it" waits_for one OtherCluster
there patch pod away-0 --type=merge -p '{"metadata":{"finalizers":["example.com/stays"]}}' >/dev/null
"$program" delete namespace going --wait=false >/dev/null
goes() { [ -n "$(there get pod away-0 -o 'jsonpath={.metadata.deletionTimestamp}')" ]; }
until_it "Kubernetes has deleted its pod" goes
follows one
there get osc away >/dev/null || fail "the cluster went before its pod"
there patch pod away-0 --type=merge -p '{"metadata":{"finalizers":null}}' >/dev/null
is_gone() { ! "$program" get namespace going; }
until_it "the namespace goes" is_gone
say "nobody waits for a cluster whose namespace goes"
