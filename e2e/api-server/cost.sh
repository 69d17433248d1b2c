#!/usr/bin/env bash
# cost.sh [CLUSTERS]   counts what clusters (10 without a number) cost the API server of KUBECONFIG (run.sh makes it) while nothing changes:
# first with pods that cannot start, then with pods that serve. Counted by the API server's own log, the Lease apart. Nothing may be
# written meanwhile. Most reconciles of unchanged clusters may take 5 ms at most. Then it tells the memory of the operator, which is to be
# 30 MiB with up to 100 clusters and 120 MiB with up to 1,000.
#   KUBECTL=PROGRAM   else that of the cache or of PATH
#   OSC_COST_ONLY_TELL=1   tells the figures, whatever they are
#   OSC_COST_MEMORY=1      fails where the operator has more memory than that
set -euo pipefail
clusters=${1:-10}
kubectl=${KUBECTL:-$("$(dirname "$0")/../cluster/tool.sh" kubectl)}
"$(dirname "$0")/../cluster/need.sh" jq curl
say() { echo "[cost] $SECONDS s: $*" >&2; }
fail() { echo "[cost] failed: $*" >&2; [ "${OSC_COST_ONLY_TELL:-}" = 1 ] || exit 1; }
kubectl() { "$kubectl" "$@"; }
metric() { curl -fsS "http://$OSC_OPERATOR_ADMIN/metrics" | awk -v name="$1" '$1 == name { print $2 }'; }
# Requests of the operator from a byte of the log on, by kind and verb. A watch is asked for anew every few minutes, however many
# clusters there are. The last line may be half written.
requests_from() { # BYTE
  tail -c "+$(($1 + 1))" "$OSC_AUDIT_LOG" | jq -rR 'fromjson?
    | select(.userAgent == null or .userAgent == "" or (.userAgent | startswith("osc-operator")))
    | select(.objectRef.resource != "leases" and .verb != "watch") | "\(.verb) \(.objectRef.resource)"'
}
logged() { wc -c <"$OSC_AUDIT_LOG"; }
# looks WORDS: at a pod of each of up to 20 clusters something changes that means nothing to the operator, and it looks at the cluster. At
# least half of these reconciles end within 5 ms, in one round of three: something else may run on this machine.
looks() {
  local words=$1 looked=$((clusters < 20 ? clusters : 20)) round i
  local duration=osc_operator_reconcile_duration_seconds
  for round in 1 2 3; do
    local before in_time took; before=$(metric ${duration}_count) in_time=$(metric "${duration}_bucket{le=\"0.005\"}") took=$(metric ${duration}_sum)
    for ((i = 1; i <= looked; i++)); do
      kubectl annotate -n cost --overwrite pod "c$i-0" "cost/looks=$words $round" >/dev/null
      sleep 0.5 # else the next one would be looked at together with it, beside the request for another one
    done
    local tries=0
    until [ $(($(metric ${duration}_count) - before)) -ge "$looked" ]; do
      tries=$((tries + 1)); [ "$tries" -lt 60 ] || { fail "$words: the operator did not look at $looked clusters"; return; }
      sleep 0.5
    done
    local all; all=$(($(metric ${duration}_count) - before)) in_time=$(($(metric "${duration}_bucket{le=\"0.005\"}") - in_time))
    awk -v n="$all" -v t="$in_time" -v s1="$took" -v s2="$(metric ${duration}_sum)" -v w="$words" \
      'BEGIN { printf "[cost] %s: %d reconciles of unchanged clusters, %.1f ms each, %d within 5 ms\n", w, n, 1000 * (s2 - s1) / n, t }' >&2
    [ $((2 * in_time)) -lt "$all" ] || return 0
  done
  fail "$words: most reconciles of an unchanged cluster take longer than 5 ms"
}
# until_quiet MOST: until the operator sends no more than so many requests for each cluster and minute.
until_quiet() {
  local most=$1 begun=$SECONDS from
  while from=$(logged); sleep 20; [ "$(requests_from "$from" | wc -l)" -gt $(((most * clusters + 2) / 3)) ]; do
    [ $((SECONDS - begun)) -lt 1200 ] || { fail "the operator is not quiet after $((SECONDS - begun)) s"; return; }
  done
}
# memory FIELD: of the operator, in KiB, as the kernel counts it (VmRSS now, VmHWM at most).
memory() { awk -v field="$1:" '$1 == field { print $2 }' "/proc/$OSC_OPERATOR_PID/status"; }
versions() {
  kubectl get osc,statefulsets,services,configmaps,serviceaccounts,secrets,networkpolicies,poddisruptionbudgets,pods,pvc -n cost \
    -o jsonpath='{range .items[*]}{.kind}/{.metadata.name} {.metadata.resourceVersion}{"\n"}{end}'
}
# quiet_minute WORDS MOST: with nothing changing, at most so many requests for each cluster.
quiet_minute() {
  local words=$1 most=$2 from count
  versions >"$work/before"
  from=$(logged)
  sleep 60
  # The API server begins another log once one is full.
  [ "$(logged)" -ge "$from" ] || { fail "$words: the log was begun anew meanwhile"; return; }
  requests_from "$from" >"$work/requests"
  count=$(wc -l <"$work/requests")
  say "$words: $count requests in a minute for $clusters clusters"
  sort "$work/requests" | uniq -c | sort -rn | head -5 >&2
  [ "$count" -le $((most * clusters)) ] || fail "$words: more than $most requests for each cluster and minute"
  versions >"$work/after"
  diff "$work/before" "$work/after" >&2 || fail "$words: something was written"
}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

kubectl create namespace cost >/dev/null
# In parts, so that neither the operator nor the controllers have more before them than they do meanwhile.
for ((made = 0; made < clusters; made += part)); do
  part=$((clusters - made < 100 ? clusters - made : 100))
  for ((i = made + 1; i <= made + part; i++)); do
    printf 'apiVersion: opensecureconf.io/v1alpha1\nkind: OpenSecureConfCluster\nmetadata: { name: c%d, namespace: cost }\nspec: {}\n---\n' "$i"
  done | kubectl create -f - >/dev/null
  begun=$SECONDS
  until [ "$(kubectl get pods -n cost -o name | wc -l)" = $((3 * (made + part))) ]; do
    [ $((SECONDS - begun)) -lt 600 ] || { fail "no pods for clusters $((made + 1)) to $((made + part))"; exit 1; }
    sleep 2
  done
done
say "$((3 * clusters)) pods, and no node for them"
sleep 20 # what was waited for at first every second is waited for every half a minute later
until_quiet 4
quiet_minute "pods that cannot start" 4
looks "pods that cannot start"
say "the operator has $(memory VmRSS) KiB resident, and had $(memory VmHWM) KiB at most"

# Many by one process each: to start one takes longer than what it does.
kubectl get pods -n cost -o name | xargs -n 200 "$kubectl" patch -n cost --subresource=status --type=merge \
  -p '{"status":{"phase":"Running","conditions":[{"type":"Ready","status":"True","lastTransitionTime":"2026-01-01T00:00:00Z"}]}}' >/dev/null
say "all pods serve"
until_quiet 2
quiet_minute "pods that serve" 2
looks "pods that serve"
say "$(kubectl get osc -n cost --no-headers | sed -n 1p)"
resident=$(memory VmRSS)
allowed=$((clusters <= 100 ? 30 : 120))
say "with $clusters clusters the operator has $((resident / 1024)) MiB resident, where $allowed MiB are the aim, and had $(($(memory VmHWM) / 1024)) MiB at most"
[ "${OSC_COST_MEMORY:-}" != 1 ] || [ "$clusters" -gt 1000 ] || [ "$resident" -le $((allowed * 1024)) ] || fail "the operator takes $resident KiB with $clusters clusters"
