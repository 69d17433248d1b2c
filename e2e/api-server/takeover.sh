#!/usr/bin/env bash
# takeover.sh   two operators on the API server of KUBECONFIG (run.sh --without-operator makes it): the second one leads within 20 s after the
# first one is frozen, and works; the first one, once it goes on, ends without a word to any cluster. After an orderly end it takes 3 s.
#   KUBECTL=PROGRAM   else that of the cache or of PATH
set -euo pipefail
kubectl=${KUBECTL:-$("$(dirname "$0")/../cluster/tool.sh" kubectl)}
work=$(mktemp -d)
declare -A operators=()
finish() {
  local outcome=$? name
  for name in "${!operators[@]}"; do kill -CONT "${operators[$name]}" 2>/dev/null || true; kill "${operators[$name]}" 2>/dev/null || true; done
  [ $outcome = 0 ] || tail -n 20 "$work"/*.log >&2
  rm -rf "$work"
}
trap finish EXIT
say() { echo "[takeover] $SECONDS s: $*" >&2; }
fail() { echo "[takeover] failed: $*" >&2; exit 1; }
kubectl() { "$kubectl" "$@"; }
lease() { kubectl get lease opensecureconf-operator -n opensecureconf-system -o "jsonpath={.spec.$1}" 2>/dev/null || true; }
now() { date +%s%N; }
start() { # NAME
  env POD_NAMESPACE=opensecureconf-system POD_NAME="$1" "$OSC_OPERATOR" run --admin-bind 127.0.0.1:0 >"$work/$1.log" 2>&1 &
  operators[$1]=$!
}
# leads NAME SECONDS: it holds the Lease within so many seconds from now; prints after how many.
leads() {
  local begun; begun=$(now)
  until [ "$(lease holderIdentity)" = "$1" ]; do
    [ $((($(now) - begun) / 1000000000)) -lt "$2" ] || fail "$1 does not lead after $2 s"
    sleep 0.1
  done
  awk -v ns=$(($(now) - begun)) 'BEGIN { printf "%.1f\n", ns / 1e9 }'
}
make_cluster() {
  printf 'apiVersion: opensecureconf.io/v1alpha1\nkind: OpenSecureConfCluster\nmetadata: { name: %s, namespace: default }\nspec: {}\n' "$1" | kubectl apply -f - >/dev/null
  local tries=0
  until kubectl get statefulset "$1" >/dev/null 2>&1; do
    tries=$((tries + 1)); [ $tries -lt 100 ] || fail "nobody makes $1"
    sleep 0.1
  done
}

start first
leads first 10 >/dev/null
start second
make_cluster before
[ "$(lease holderIdentity)" = first ] || fail "another one leads"
renewed=$(lease renewTime)

kill -STOP "${operators[first]}"
took=$(leads second 20)
say "frozen: the second operator led after $took s; the Lease had been renewed last at $renewed"
make_cluster meanwhile
say "and it works"
versions() { kubectl get osc,statefulsets,services,configmaps,secrets -o 'jsonpath={range .items[*]}{.kind}/{.metadata.name} {.metadata.generation}{"\n"}{end}'; }
versions >"$work/before"
kill -CONT "${operators[first]}"
outcome=0
wait "${operators[first]}" || outcome=$?
unset 'operators[first]'
[ $outcome != 0 ] || fail "an operator that lost the Lease ends with success"
[ "$(lease holderIdentity)" = second ] || fail "the frozen one took the Lease back"
versions | diff "$work/before" - >&2 || fail "the one that was frozen wrote something"
say "the one that was frozen ended with exit code $outcome"

start third
sleep 3 # it has seen the Lease, and waits for it
kill "${operators[second]}"
took=$(leads third 3)
wait "${operators[second]}" || fail "an orderly end fails"
unset 'operators[second]'
say "orderly end: the third operator led after $took s"
make_cluster after
