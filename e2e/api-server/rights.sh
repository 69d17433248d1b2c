#!/usr/bin/env bash
# rights.sh   tells of operators with few rights, on the API server of KUBECONFIG (run.sh --without-operator makes it): what the chart
# grants is enough, what is missing stops one namespace, two operators do not fight, and the admission policy refuses what it is for.
#   HELM=PROGRAM, KUBECTL=PROGRAM   else those of the cache or of PATH
# rights.sh --there   tells nothing; fails where they are not there yet
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
helm=${HELM:-$("$top/e2e/cluster/tool.sh" helm)}
kubectl=${KUBECTL:-$("$top/e2e/cluster/tool.sh" kubectl)}
[ "${1:-}" != --there ] || exit 0
"$top/e2e/cluster/need.sh" jq curl
work=$(mktemp -d)
declare -A operators=() ports=()
finish() {
  local outcome=$? name
  for name in "${!operators[@]}"; do kill "${operators[$name]}" 2>/dev/null || true; done
  if [ $outcome != 0 ]; then
    for log in "$work"/*.log; do [ ! -e "$log" ] || { echo "--- $log" >&2; tail -n 30 "$log" >&2; }; done
    kubectl get osc,events -A -o wide >&2 || true
  else
    rm -rf "$work"
  fi
}
trap finish EXIT
begun=$SECONDS
say() { echo "[rights] $((SECONDS - begun)) s: $*" >&2; }
fail() { echo "[rights] failed: $*" >&2; exit 1; }
kubectl() { "$kubectl" "$@"; }
# until_it WORDS COMMAND...: it succeeds within 100 seconds; what is looked at again each minute comes in time.
until_it() {
  local words=$1 tries=0; shift
  until "$@" >/dev/null 2>&1; do
    tries=$((tries + 1))
    [ $tries -lt 200 ] || fail "$words"
    sleep 0.5
  done
  say "$words"
}
refused() { # WORDS TEXT COMMAND...
  local words=$1 text=$2; shift 2
  ! "$@" >"$work/refused" 2>&1 || fail "not refused: $words"
  grep -q "$text" "$work/refused" || { cat "$work/refused" >&2; fail "refused in other words: $words"; }
  say "refused: $words"
}
free_port() {
  local port
  while port=$((20000 + RANDOM % 12000)); (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do :; done
  echo "$port"
}
server=$("$kubectl" config view --raw -o 'jsonpath={.clusters[0].cluster.server}')
authority=$("$kubectl" config view --raw -o 'jsonpath={.clusters[0].cluster.certificate-authority}')

# install RELEASE NAMESPACE HELM-ARGUMENTS...: what the chart renders, by an administrator.
install() {
  local release=$1 namespace=$2; shift 2
  "$helm" template "$release" "$top/helm/opensecureconf-operator" --no-hooks --namespace "$namespace" --kube-version 1.36.0 "$@" >"$work/$release.yaml"
  kubectl apply --server-side --force-conflicts -f "$work/$release.yaml" >/dev/null
}
# run RELEASE NAMESPACE: the operator as its own service account, with the arguments of its Deployment.
run() {
  local release=$1 namespace=$2 name args
  name=$(kubectl -n "$namespace" get deployment -l "app.kubernetes.io/instance=$release" -o 'jsonpath={.items[0].metadata.name}')
  mapfile -t args < <(kubectl -n "$namespace" get deployment "$name" -o 'jsonpath={range .spec.template.spec.containers[0].args[*]}{@}{"\n"}{end}')
  ports[$release]=$(free_port)
  cat >"$work/$release.kubeconfig" <<END
apiVersion: v1
kind: Config
current-context: it
clusters: [{ name: it, cluster: { server: "$server", certificate-authority: "$authority" } }]
users: [{ name: it, user: { token: "$(kubectl -n "$namespace" create token "$name")" } }]
contexts: [{ name: it, context: { cluster: it, user: it } }]
END
  KUBECONFIG=$work/$release.kubeconfig POD_NAMESPACE=$namespace POD_NAME=$release-0 \
    "$OSC_OPERATOR" "${args[@]}" --admin-bind "127.0.0.1:${ports[$release]}" >>"$work/$release.log" 2>&1 &
  operators[$release]=$!
}
stop() { kill "${operators[$1]}"; wait "${operators[$1]}" 2>/dev/null || true; unset "operators[$1]"; }
page() { curl -fsS "http://127.0.0.1:${ports[$1]}/$2"; }
# Output is read as a whole first: what a pipe's end closes early, or a command that failed, is neither there nor absent.
metric() { local text; text=$(page "$1" metrics) && grep -qF "$2" <<<"$text"; }
lacks_metric() { local text; text=$(page "$1" metrics) && ! grep -qF "$2" <<<"$text"; }
has_event() { local text; text=$(kubectl -n "$1" get events.events.k8s.io) && grep -q "$2" <<<"$text"; }
is_ready() { [ "$(page "$1" readyz)" = ok ]; }
cluster() { # NAMESPACE NAME, as a person
  printf 'apiVersion: opensecureconf.io/v1alpha1\nkind: OpenSecureConfCluster\nmetadata: { name: %s, namespace: %s }\nspec: { replicas: 1, %s }\n' "$2" "$1" "${3:-}" >"$work/$2.yaml"
  kubectl --as "$person" apply -f "$work/$2.yaml"
}
condition() { kubectl -n "$1" get osc "$2" -o "jsonpath={.status.conditions[?(@.type==\"$3\")].$4}"; }
says() { local text; text=$(condition "$1" "$2" "$3" message) && grep -qF "$4" <<<"$text"; }
has_nodes() { kubectl -n "$1" get statefulset "$2" && [ -n "$(condition "$1" "$2" MonitoringReady reason)" ]; }
is_gone() { local there; there=$(kubectl -n "$1" get "$2" --ignore-not-found -o name) && [ -z "$there" ]; }

person=developer
for namespace in opensecureconf-system team-a team-b; do
  kubectl create namespace "$namespace" >/dev/null 2>&1 || true
done

say "the roles of people"
install first opensecureconf-system
for role in view edit admin; do
  kubectl -n team-a create rolebinding "$role" --clusterrole "$role" --user "a-$role" >/dev/null
done
kubectl -n team-b create rolebinding edit --clusterrole edit --user "$person" >/dev/null
kubectl -n team-a create rolebinding people --clusterrole edit --user "$person" >/dev/null
may() { [ "$(kubectl --as "$1" -n team-a auth can-i "$2" opensecureconfclusters.opensecureconf.io "${@:3}" 2>/dev/null)" = yes ]; }
until_it "an editor may make clusters" may a-edit create
until_it "an administrator may delete them" may a-admin delete
until_it "a viewer may list them" may a-view list
may a-view get --subresource=status || fail "a viewer may not see states"
may a-edit patch --subresource=scale || fail "an editor may not scale"
! may a-view create || fail "a viewer may make clusters"
! may a-edit patch --subresource=status || fail "an editor may write states"
! may nobody list || fail "nobody in particular may list clusters"

say "all namespaces, by the ClusterRole"
run first opensecureconf-system
cluster team-a everywhere >/dev/null
until_it "a cluster has nodes" has_nodes team-a everywhere
until_it "its events are told" has_event team-a 'created StatefulSet everywhere'
cluster team-a classless "storage: { storageClassName: none-such }" >/dev/null
until_it "a storage class that does not exist is said not to" says team-a classless Ready "StorageClass 'none-such', which does not exist"
! grep -E 'rights_missing|forbidden' "$work/first.log" || fail "what the ClusterRole grants is not enough"
stop first

say "two namespaces, by Roles"
kubectl delete clusterrole,clusterrolebinding first-opensecureconf-operator >/dev/null
install first opensecureconf-system --set 'watchNamespaces={team-a,team-b}'
bindings=$(kubectl get clusterrolebinding -o yaml)
! grep -q first-opensecureconf-operator <<<"$bindings" || fail "a ClusterRole is bound to it"
kubectl -n team-b delete rolebinding first-opensecureconf-operator-clusters >/dev/null
run first opensecureconf-system
cluster team-a here >/dev/null
cluster team-b there >/dev/null
until_it "a namespace with rights has nodes" has_nodes team-a here
until_it "one without is told by a metric" metric first 'osc_operator_missing_rights{namespace="team-b",need="required"} 1'
is_gone team-b statefulset/there || fail "nodes without rights"
is_ready first || fail "the operator is not ready"
kubectl -n team-b create rolebinding first-opensecureconf-operator-clusters --role first-opensecureconf-operator-clusters \
  --serviceaccount opensecureconf-system:first-opensecureconf-operator >/dev/null
until_it "rights that come later are noticed" has_nodes team-b there
until_it "and the metric ends" lacks_metric first 'missing_rights{namespace="team-b",need="required"}'

say "a release by an administrator of its namespaces, as docs/install.md says"
for namespace in platform team-c team-d; do kubectl create namespace "$namespace" >/dev/null; done
few() { "$helm" install few "$top/helm/opensecureconf-operator" --namespace platform --kube-as-user namespaced --kube-as-group system:authenticated "$@"; }
few_rights=(--set 'watchNamespaces={team-c,team-d}' --set crds.install=false)
for namespace in platform team-c; do
  kubectl -n "$namespace" create rolebinding namespaced --clusterrole cluster-admin --user namespaced >/dev/null
done
refused "with the definition" 'customresourcedefinitions.apiextensions.k8s.io .* is forbidden: User "namespaced"' few
refused "for a namespace of another administrator" 'is forbidden: User "namespaced" .* in the namespace "team-d"' few "${few_rights[@]}"
"$helm" uninstall few --namespace platform >/dev/null 2>&1 || true
kubectl -n team-d create rolebinding namespaced --clusterrole cluster-admin --user namespaced >/dev/null
few "${few_rights[@]}" >/dev/null || fail "an administrator of the namespaces may not install"
run few platform
for namespace in team-c team-d; do
  kubectl -n "$namespace" create rolebinding people --clusterrole edit --user "$person" >/dev/null
  cluster "$namespace" fewer >/dev/null
  until_it "a cluster in $namespace has nodes" has_nodes "$namespace" fewer
done
! grep -E 'rights_missing|forbidden' "$work/few.log" || fail "what the Roles grant is not enough"
stop few
"$helm" uninstall few --namespace platform --kube-as-user namespaced >/dev/null || fail "an administrator of the namespaces may not uninstall"

# without NAMESPACE KINDS: the Role of a namespace without these kinds, separated by spaces.
without() {
  kubectl -n "$1" get role first-opensecureconf-operator-clusters -o json |
    jq --arg kinds "$2" '($kinds | split(" ")) as $without | .rules |= map(.resources -= $without | select(.resources != []))' |
    kubectl replace -f - >/dev/null
}
restore() { kubectl apply --server-side --force-conflicts -f "$work/first.yaml" >/dev/null; }

until_it "a storage class that may not be looked at is named" says team-a classless Ready "waits for StorageClass 'none-such'"

say "one kind of right after the other"
# Asked anew for each cluster that is made, because the answer before lacks something.
without team-b "secrets"
stop first; run first opensecureconf-system
cluster team-b no-secrets >/dev/null
until_it "no right to Secrets: said" says team-b no-secrets Stalled "get, list, watch, create, patch secrets"
[ "$(condition team-b no-secrets Stalled reason)" = RightsMissing ] || fail "another reason"
until_it "no right to Secrets: an event" has_event team-b 'RightsMissing.*no-secrets'
cluster team-a untouched >/dev/null
until_it "another namespace goes on" has_nodes team-a untouched
is_ready first || fail "the operator is not ready"
restore
until_it "rights that come back: nodes" has_nodes team-b no-secrets

without team-b "servicemonitors certificates events"
stop first; run first opensecureconf-system
cluster team-b plain >/dev/null
until_it "no optional right: nodes all the same" has_nodes team-b plain
until_it "no optional right: a metric" metric first 'osc_operator_missing_rights{namespace="team-b",need="optional"} 4'
says team-b plain MonitoringReady 'cannot list resource "servicemonitors"' || fail "MonitoringReady does not say so: $(condition team-b plain MonitoringReady message)"
grep -q optional_rights_missing "$work/first.log" || fail "the log does not say so"
restore

say "where nobody may ask for his own rights, refusals decide"
kubectl get clusterrolebinding system:basic-user -o yaml >"$work/basic-user.yaml"
kubectl delete clusterrolebinding system:basic-user >/dev/null
without team-b "networkpolicies"
stop first; run first opensecureconf-system
cluster team-b refused >/dev/null
until_it "a refused call is quoted" says team-b refused Stalled 'resource "networkpolicies" in API group "networking.k8s.io" in the namespace "team-b"'
restore
until_it "rights that come back: nodes" has_nodes team-b refused
kubectl apply -f "$work/basic-user.yaml" >/dev/null 2>&1 || true

say "two releases in one namespace, which see the same cluster"
install second opensecureconf-system --set crds.install=false --set 'watchNamespaces={team-a}'
run second opensecureconf-system
until_it "the second leads" metric second 'osc_operator_leader 1'
until_it "and so does the first" metric first 'osc_operator_leader 1'
until_it "the second says whose the cluster is" metric second 'osc_operator_foreign_clusters{name="here",namespace="team-a"} 1'
until_it "and tells it by an event" has_event team-a 'ForeignOperator.*here'
account=system:serviceaccount:opensecureconf-system:second-opensecureconf-operator
may_update() { kubectl -n opensecureconf-system auth can-i update "leases.coordination.k8s.io/$1" --as "$account" >/dev/null 2>&1; }
may_update second-opensecureconf-operator || fail "the second may not keep its own Lease"
! may_update first-opensecureconf-operator || fail "the second may write the Lease of the first"
versions() { kubectl -n team-a get statefulset/here secret/here-salt service/here configmap/here-nodes osc/here -o 'jsonpath={.items[*].metadata.resourceVersion}'; }
before=$(versions)
sleep 10
[ "$(versions)" = "$before" ] || fail "the two fight: $before, then $(versions)"
say "nothing was written in 10 s"
owner() { kubectl -n team-a get secret "$1-salt" -o 'jsonpath={.metadata.annotations.opensecureconf\.io/operator}'; }
kubectl -n team-a annotate secret here-salt opensecureconf.io/operator=opensecureconf-system/second-opensecureconf-operator --overwrite >/dev/null
until_it "handed over by a command: the first stands back" metric first 'osc_operator_foreign_clusters{name="here",namespace="team-a"} 1'
stop first
"$helm" template first "$top/helm/opensecureconf-operator" --no-hooks --namespace opensecureconf-system --kube-version 1.36.0 \
  --set 'crds.install=false,watchNamespaces={team-a,team-b}' | kubectl delete -f - >/dev/null
until_it "the Lease goes with its release" is_gone opensecureconf-system lease/first-opensecureconf-operator
taken() { [ "$(owner untouched)" = opensecureconf-system/second-opensecureconf-operator ]; }
until_it "the second takes over what the first left" taken
stop second

say "an operator whose Lease no installation brings, as with Argo CD 3, which leaves Leases out"
install third opensecureconf-system --set 'crds.install=false,watchNamespaces={team-a}'
kubectl -n opensecureconf-system delete lease third-opensecureconf-operator >/dev/null
run third opensecureconf-system
until_it "it makes the Lease itself" metric third 'osc_operator_leader 1'
! is_gone opensecureconf-system lease/third-opensecureconf-operator || fail "no Lease"
stop third
kubectl -n opensecureconf-system delete serviceaccount third-opensecureconf-operator >/dev/null
until_it "Kubernetes removes that Lease with the operator's service account" is_gone opensecureconf-system lease/third-opensecureconf-operator

say "the admission policy"
install policy opensecureconf-system --set 'crds.install=false,admissionPolicy.enabled=true,admissionPolicy.images={registry.example/osc-node,mirror.example/team/}' \
  --show-only templates/admission-policy.yaml
try() { cluster team-a "tried" "$1"; }
container() { echo "podTemplate: { sidecars: [{ name: a, image: mirror.example/team/a:1, $1 }] }"; }
probe='{apiVersion: opensecureconf.io/v1alpha1, kind: OpenSecureConfCluster, metadata: {name: probe, namespace: team-a}, spec: {image: "other.example/x:1"}}'
in_force() { ! kubectl --as "$person" apply --dry-run=server -f - <<<"$probe" >"$work/probe" 2>&1 && grep -qF 'other.example/x:1' "$work/probe"; }
until_it "it is in force" in_force
refused "a privileged sidecar" "more rights than a node has" try "$(container 'securityContext: { privileged: true }')"
refused "an escalation" "more rights than a node has" try "$(container 'securityContext: { allowPrivilegeEscalation: true }')"
refused "a capability" "more rights than a node has" try "$(container 'securityContext: { capabilities: { add: [NET_ADMIN] } }')"
refused "an unmasked proc" "more rights than a node has" try "$(container 'securityContext: { procMount: Unmasked }')"
refused "a privileged init container" "more rights than a node has" try "podTemplate: { initContainers: [{ name: a, image: mirror.example/team/a:1, securityContext: { privileged: true } }] }"
refused "a host path" "hostPath reads or writes files of the machine" try "podTemplate: { volumes: [{ name: v, hostPath: { path: / } }] }"
refused "a port of the machine" "hostPort" try "$(container 'ports: [{ containerPort: 1, hostPort: 1 }]')"
refused "an image of the nodes" "other.example/osc-node:1" try "image: other.example/osc-node:1"
refused "an image of a sidecar" "other.example/a:1" try "podTemplate: { sidecars: [{ name: a, image: other.example/a:1 }] }"
refused "an image as a volume" "other.example/v:1" try "podTemplate: { volumes: [{ name: v, image: { reference: other.example/v:1 } }] }"
refused "a repository that only begins alike" "registry.example/osc-node-evil:1" try "image: registry.example/osc-node-evil:1"
refused "a registry whose port hides behind a tag" "registry.example/osc-node:5000/evil" try "image: registry.example/osc-node:5000/evil"
try "image: registry.example/osc-node:1.2" >/dev/null || fail "an allowed tag"
try "image: registry.example/osc-node@sha256:$(printf 'a%.0s' {1..64})" >/dev/null || fail "an allowed digest"
try "$(container 'securityContext: { privileged: false, capabilities: { drop: [ALL] } }, ports: [{ containerPort: 1 }]')" >/dev/null || fail "a sidecar as it should be"
try "" >/dev/null || fail "a cluster that asks for nothing"
refused "a change of a cluster that was fine" "hostPath reads or writes" try "podTemplate: { volumes: [{ name: v, hostPath: { path: / } }] }"
say "all of it"
