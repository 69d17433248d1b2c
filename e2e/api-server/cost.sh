#!/usr/bin/env bash
# cost.sh [CLUSTERS]   counts what clusters cost the API server of KUBECONFIG (run.sh makes it) while nothing changes: first with pods that
# cannot start, then with pods that serve. Counted by the API server's own log, the Lease apart. Nothing may be written meanwhile.
#   KUBECTL=PROGRAM   else that of the cache
#   OSC_COST_ONLY_TELL=1   tells the figures, whatever they are
set -euo pipefail
clusters=${1:-10}
kubectl=${KUBECTL:-${KUBE_CACHE:-$HOME/.cache/opensecureconf-e2e}/bin/kubectl}
[ -x "$kubectl" ] || { echo "$kubectl is not there: make e2e builds it" >&2; exit 1; }
for program in jq curl; do command -v "$program" >/dev/null || { echo "$program is not there" >&2; exit 1; }; done
say() { echo "[cost] $SECONDS s: $*" >&2; }
fail() { echo "[cost] failed: $*" >&2; [ "${OSC_COST_ONLY_TELL:-}" = 1 ] || exit 1; }
kubectl() { "$kubectl" "$@"; }
metric() { curl -fsS "http://$OSC_OPERATOR_ADMIN/metrics" | awk -v name="$1" '$1 == name { print $2 }'; }
# Requests of the operator, by kind and verb. A watch is asked for anew every few minutes, however many clusters there are.
requests() {
  jq -r 'select(.userAgent == null or .userAgent == "" or (.userAgent | startswith("osc-operator")))
    | select(.objectRef.resource != "leases" and .verb != "watch") | "\(.verb) \(.objectRef.resource)"' "$OSC_AUDIT_LOG"
}
versions() {
  kubectl get osc,statefulsets,services,configmaps,serviceaccounts,secrets,networkpolicies,poddisruptionbudgets,pods,pvc -n cost \
    -o jsonpath='{range .items[*]}{.kind}/{.metadata.name} {.metadata.resourceVersion}{"\n"}{end}'
}
# quiet_minute WORDS MOST: with nothing changing, at most so many requests for each cluster.
quiet_minute() {
  local words=$1 most=$2 before after count
  versions >"$work/before"
  requests >"$work/requests"
  before=$(wc -l <"$work/requests")
  local looks busy; looks=$(metric osc_operator_reconcile_duration_seconds_count) busy=$(metric osc_operator_reconcile_duration_seconds_sum)
  sleep 60
  requests >"$work/requests"
  after=$(wc -l <"$work/requests")
  count=$((after - before))
  say "$words: $count requests in a minute for $clusters clusters"
  tail -n "+$((before + 1))" "$work/requests" | sort | uniq -c | sort -rn | head -5 >&2
  awk -v n1="$looks" -v t1="$busy" -v n2="$(metric osc_operator_reconcile_duration_seconds_count)" -v t2="$(metric osc_operator_reconcile_duration_seconds_sum)" \
    'BEGIN { if (n2 > n1) printf "[cost] %d reconciles, %.1f ms each\n", n2 - n1, 1000 * (t2 - t1) / (n2 - n1) }' >&2
  [ "$count" -le $((most * clusters)) ] || fail "$words: more than $most requests for each cluster and minute"
  versions >"$work/after"
  diff "$work/before" "$work/after" >&2 || fail "$words: something was written"
}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

kubectl create namespace cost >/dev/null
for ((i = 1; i <= clusters; i++)); do
  printf 'apiVersion: opensecureconf.io/v1alpha1\nkind: OpenSecureConfCluster\nmetadata: { name: c%d, namespace: cost }\nspec: {}\n---\n' "$i"
done | kubectl apply -f - >/dev/null
tries=0
until [ "$(kubectl get pods -n cost -o name | wc -l)" = $((3 * clusters)) ]; do
  tries=$((tries + 1)); [ $tries -lt 120 ] || { fail "no pods"; exit 1; }
  sleep 1
done
say "$((3 * clusters)) pods, and no node for them"
sleep 40 # what was waited for at first every second is waited for every half a minute now
quiet_minute "pods that cannot start" 4

for pod in $(kubectl get pods -n cost -o name); do
  kubectl patch "$pod" -n cost --subresource=status --type=merge \
    -p '{"status":{"phase":"Running","conditions":[{"type":"Ready","status":"True","lastTransitionTime":"2026-01-01T00:00:00Z"}]}}' >/dev/null
done
say "all pods serve"
sleep 20
quiet_minute "pods that serve" 2
say "$(kubectl get osc -n cost --no-headers | head -1)"
