#!/usr/bin/env bash
# run.sh [NAME...]   installs neighbours on a kind cluster and tells their stories (e2e/tests/neighbours/NAME.rs), one neighbour
# after the other; all that have an install.sh without NAME. NAME/needs lists what build.sh builds for it, where it needs that.
# An install.sh that ends with 3 has said why this cluster cannot have it; with ONLY_BUILT that is left out, too.
#   CLUSTER=NAME            a kind cluster with images and operator of this checkout, which stays; else one of its own, removed on exit
#   ONLY_BUILT=true         only those whose programs are in the cache; prints which are left out
#   NEIGHBOURS_SECONDS=N    each begins within so many seconds after the cluster is there, else it is left out
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
e2e=$(cd "$here/.." && pwd)
cache=${KUBE_CACHE:-$HOME/.cache/opensecureconf-e2e}
say() { echo "[neighbours] $*" >&2; }

names=("$@")
[ ${#names[@]} -gt 0 ] || mapfile -t names < <(cd "$here" && for script in */install.sh; do dirname "$script"; done)
failed=() told=()
for name in "${names[@]}"; do
  [ -e "$here/$name/install.sh" ] || { say "no neighbour is called $name: $(cd "$here" && echo */install.sh | sed 's#/install.sh##g')"; exit 2; }
  needs=()
  [ ! -e "$here/$name/needs" ] || read -ra needs <"$here/$name/needs"
  lacks=
  for module in "${needs[@]}"; do
    if "$here/build.sh" "$module" --there 2>/dev/null; then continue; fi
    if ${ONLY_BUILT:-false}; then lacks="$module is not built here yet"; break; fi
    "$here/build.sh" "$module" >/dev/null || { lacks="$module cannot be built here"; failed+=("$name"); break; }
  done
  if [ -z "$lacks" ]; then told+=("$name"); else say "left out: $name ($lacks)"; fi
done
[ ${#told[@]} -gt 0 ] || exit ${#failed[@]}

cluster=${CLUSTER:-osc-neighbours}
client=$("$e2e/images/client.sh")
if [ -n "${CLUSTER:-}" ]; then
  KUBECONFIG=$cache/$cluster.kubeconfig
  [ -e "$KUBECONFIG" ] || { say "there is no cluster $cluster: make kind"; exit 1; }
  "$e2e/cluster/load.sh" "$cluster" "$client"
else
  trap '"$e2e/cluster/down.sh" "$cluster"' EXIT
  KUBECONFIG=$("$e2e/install.sh" "$cluster" "$client") || { "$e2e/diagnose.sh" "$cluster"; exit 1; }
fi
export KUBECONFIG PATH=$cache/bin:$PATH
begun=$SECONDS
for name in "${told[@]}"; do
  if [ $((SECONDS - begun)) -ge "${NEIGHBOURS_SECONDS:-86400}" ]; then
    say "left out: $name ($((SECONDS - begun)) s are over)"
    continue
  fi
  since=$SECONDS
  installs=0
  "$here/$name/install.sh" "$cluster" >&2 || installs=$?
  if [ "$installs" = 3 ] && ${ONLY_BUILT:-false}; then
    say "left out: $name"
    continue
  elif [ "$installs" != 0 ]; then
    say "$name: not installed after $((SECONDS - since)) s"
    failed+=("$name")
    [ -n "${CLUSTER:-}" ] || "$e2e/diagnose.sh" "$cluster"
    continue
  fi
  installed=$((SECONDS - since))
  # The whole workspace, although only this package has stories: its dependencies are then those that `make test` has built.
  (cd "$e2e/.." && cargo test --workspace --locked --test neighbours -- --nocapture --test-threads=2 "${name//-/_}::") || failed+=("$name")
  say "$name: installed in $installed s, told in $((SECONDS - since - installed)) s"
done
[ ${#failed[@]} = 0 ] || { say "failed: ${failed[*]}"; exit 1; }
