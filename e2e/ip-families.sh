#!/usr/bin/env bash
# ip-families.sh   tells the story of Services on a cluster of both IP families, then on one of IPv6 alone, each of its own.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
[ -e /proc/net/if_inet6 ] || { echo "this machine has no IPv6" >&2; exit 1; }
name=osc-families
trap '"$here/cluster/down.sh" $name' EXIT
client=$("$here/images/client.sh")
for IP_FAMILY in dual ipv6; do
  export IP_FAMILY
  KUBECONFIG=$("$here/install.sh" $name "$client") || { "$here/diagnose.sh" $name; exit 1; }
  export KUBECONFIG
  (cd "$here/.." && cargo test --workspace --locked --test stories -- --nocapture --test-threads=1 platforms::services)
  "$here/cluster/down.sh" $name
done
