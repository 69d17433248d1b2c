#!/usr/bin/env bash
# run.sh COMMAND...   runs a command beside an API server (go.mod says which version) and the operator of this checkout, without
# any kubelet: the cluster's controllers and the operator work, no pod ever starts. KUBECONFIG leads there. All of it ends
# with the command.
# OSC_AUDIT_LOG is the API server's log of requests, OSC_OPERATOR_LOG the operator's, OSC_OPERATOR_ADMIN where it shows its metrics,
# OSC_OPERATOR_PID its process, which a command may end to start another one.
# CONTROLLER_REQUESTS=N lets the controllers send so many requests a second, instead of the 20 that are their default.
# run.sh --without-operator COMMAND...   the same for a command that starts operators itself: the program is OSC_OPERATOR.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
"$top/e2e/cluster/need.sh" curl openssl
bin=$("$here/build.sh")
operator=${CARGO_TARGET_DIR:-$top/target}/release/osc-operator
[ -x "$operator" ] || { echo "$operator is not there: cargo build --release" >&2; exit 1; }
with_operator=true
if [ "${1:-}" = --without-operator ]; then with_operator=false; shift; fi
work=$(mktemp -d)
started=()
finish() {
  local outcome=$?
  for ((i = ${#started[@]} - 1; i >= 0; i--)); do kill "${started[i]}" 2>/dev/null || true; wait "${started[i]}" 2>/dev/null || true; done
  if [ $outcome = 0 ]; then
    rm -rf "$work"
  else
    for log in "$work"/*.log; do echo "--- $(basename "$log")" >&2; tail -n 20 "$log" >&2; done
    echo "[api server] logs: $work" >&2
  fi
}
trap finish EXIT
trap 'exit 130' INT TERM # bash waits for a command in front before it looks at a signal, so the command below stands behind
start() { # name, command...
  local name=$1; shift
  "$@" >"$work/$name.log" 2>&1 &
  started+=($!)
}
free_port() {
  local port
  while port=$((20000 + RANDOM % 12000)); (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do :; done
  echo "$port"
}
until_it() { # what, command...
  local what=$1 tries=0; shift
  until "$@" >/dev/null 2>&1; do
    tries=$((tries + 1))
    [ $tries -lt 240 ] || { echo "[api server] $what: not within a minute" >&2; return 1; }
    sleep 0.25
  done
}

store=$(free_port) server=$(free_port)
start etcd "$bin/etcd" --data-dir "$work/etcd" --listen-client-urls "http://127.0.0.1:$store" --advertise-client-urls "http://127.0.0.1:$store" \
  --listen-peer-urls "unix://$work/peer:0" --unsafe-no-fsync

openssl genrsa -out "$work/accounts.key" 2048 2>/dev/null
token=$(openssl rand -hex 16)
(umask 077; echo "$token,admin,1,system:masters" >"$work/tokens.csv")
# What is asked of it, a line for each request.
printf 'apiVersion: audit.k8s.io/v1\nkind: Policy\nomitStages: [RequestReceived, ResponseStarted]\nrules: [{ level: Metadata }]\n' >"$work/audit.yaml"
export OSC_AUDIT_LOG=$work/audit.json
# Nobody reaches it by its Service, and from 1.37 on it keeps no loopback address there.
start kube-apiserver "$bin/kube-apiserver" --audit-policy-file "$work/audit.yaml" --audit-log-path "$OSC_AUDIT_LOG" --etcd-servers "http://127.0.0.1:$store" --cert-dir "$work" --bind-address 127.0.0.1 --secure-port "$server" \
  --advertise-address 127.0.0.1 --endpoint-reconciler-type none --service-cluster-ip-range 10.96.0.0/24 --authorization-mode RBAC --token-auth-file "$work/tokens.csv" \
  --service-account-issuer https://kubernetes.default.svc --service-account-key-file "$work/accounts.key" --service-account-signing-key-file "$work/accounts.key"

export KUBECONFIG=$work/kubeconfig
cat >"$KUBECONFIG" <<END
apiVersion: v1
kind: Config
current-context: it
clusters: [{ name: it, cluster: { server: "https://127.0.0.1:$server", certificate-authority: "$work/apiserver.crt" } }]
users: [{ name: it, user: { token: "$token" } }]
contexts: [{ name: it, context: { cluster: it, user: it } }]
END
ask() { curl -fsS --cacert "$work/apiserver.crt" -H "Authorization: Bearer $token" "$@"; }
url=https://127.0.0.1:$server
until_it "the API server is ready" ask "$url/readyz"
echo "[api server] Kubernetes $(ask "$url/version" | sed -n 's/.*"gitVersion": "\(.*\)".*/\1/p')" >&2
start kube-controller-manager "$bin/kube-controller-manager" --kubeconfig "$KUBECONFIG" --leader-elect=false --secure-port 0 \
  --service-account-private-key-file "$work/accounts.key" ${CONTROLLER_REQUESTS:+--kube-api-qps "$CONTROLLER_REQUESTS" --kube-api-burst "$CONTROLLER_REQUESTS"}

apply() { # path, file
  ask -X PATCH -H 'Content-Type: application/apply-patch+yaml' --data-binary "@$2" "$url/$1?fieldManager=tests" >/dev/null
}
definition=opensecureconfclusters.opensecureconf.io
apply "apis/apiextensions.k8s.io/v1/customresourcedefinitions/$definition" "$top/crds/$definition.yaml"
until_it "the resource is served" ask "$url/apis/opensecureconf.io/v1alpha1/opensecureconfclusters"
printf 'apiVersion: v1\nkind: Namespace\nmetadata: { name: opensecureconf-system }\n' >"$work/namespace.yaml"
apply api/v1/namespaces/opensecureconf-system "$work/namespace.yaml"
export OSC_OPERATOR=$operator
OSC_OPERATOR_ADMIN=127.0.0.1:$(free_port) OSC_OPERATOR_LOG=$work/operator.log
export OSC_OPERATOR_ADMIN OSC_OPERATOR_LOG
if $with_operator; then
  start operator env POD_NAMESPACE=opensecureconf-system "$operator" run --admin-bind "$OSC_OPERATOR_ADMIN"
  export OSC_OPERATOR_PID=${started[-1]}
fi

"$@" &
started+=($!)
wait $!
