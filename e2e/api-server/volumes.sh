#!/usr/bin/env bash
# volumes.sh   volumes that grow, nodes that sleep and a resource that is paused, on the API server of KUBECONFIG (run.sh makes it). No driver
# and no kubelet is there: the script binds volumes, and says in their status that they have grown.
#   KUBECTL=PROGRAM   else that of the cache or of PATH
set -euo pipefail
kubectl=${KUBECTL:-$("$(dirname "$0")/../cluster/tool.sh" kubectl)}
say() { echo "[volumes] $SECONDS s: $*" >&2; }
kubectl() { "$kubectl" -n volumes "$@"; }
fail() { echo "[volumes] failed: $*" >&2; kubectl get osc,sts,pvc,pods -o wide >&2; kubectl get osc demo -o yaml >&2; kubectl get events.events.k8s.io -o custom-columns=R:.reason,N:.note >&2; exit 1; }
until_it() { # WORDS COMMAND...
  local words=$1 tries=0; shift
  until "$@" >/dev/null 2>&1; do
    tries=$((tries + 1)); [ $tries -lt 80 ] || fail "$words"
    sleep 0.5
  done
  say "$words"
}
is() { [ "$(kubectl get "$1" -o "jsonpath=$2")" = "$3" ]; }
condition() { [ "$(kubectl get osc demo -o "jsonpath={.status.conditions[?(@.type=='$1')].$2}")" = "$3" ]; }
tells() { kubectl get osc demo -o "jsonpath={.status.conditions[?(@.type=='Reconciling')].message}" | grep -qF "$1"; }
asks() { [ "$(kubectl get pvc -o 'jsonpath={.items[*].spec.resources.requests.storage}')" = "$1 $1 $1" ]; }
pods() { kubectl get pods -o 'jsonpath={.items[*].metadata.uid}'; }
set_of() { kubectl get sts demo -o "jsonpath={.metadata.uid}"; }
owned() { kubectl get pvc -o 'jsonpath={.items[*].metadata.ownerReferences[*].kind}'; }
change() { kubectl patch osc demo --type merge -p "{\"spec\":$1}" >/dev/null; }
has_grown() { kubectl patch pvc "data-demo-$1" --subresource status --type merge -p "{\"status\":{\"capacity\":{\"storage\":\"$2\"}}}" >/dev/null; }

kubectl create namespace volumes >/dev/null
kubectl apply -f - >/dev/null <<END
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: { name: grows }
provisioner: example.org/nobody
allowVolumeExpansion: true
END
for ordinal in 0 1 2; do
  kubectl apply -f - >/dev/null <<END
apiVersion: v1
kind: PersistentVolume
metadata: { name: volume-$ordinal }
spec:
  accessModes: [ReadWriteOnce]
  capacity: { storage: 1Gi }
  storageClassName: grows
  claimRef: { namespace: volumes, name: data-demo-$ordinal }
  hostPath: { path: /nowhere }
END
done
kubectl apply -f - >/dev/null <<END
apiVersion: opensecureconf.io/v1alpha1
kind: OpenSecureConfCluster
metadata: { name: demo }
spec: { storage: { size: 1Gi, storageClassName: grows, retention: { whenDeleted: Delete, whenScaled: Delete } } }
END
three_bound() { [ "$(kubectl get pvc -o 'jsonpath={.items[*].status.phase}')" = "Bound Bound Bound" ]; }
until_it "three volumes are bound" three_bound
three_pods() { [ "$(pods | wc -w)" = 3 ]; }
until_it "three pods are there" three_pods
belong() { [ "$(owned)" = "StatefulSet StatefulSet StatefulSet" ]; }
until_it "volumes go with their set" belong
heard() { is sts/demo '{.status.observedGeneration}' "$(kubectl get sts demo -o 'jsonpath={.metadata.generation}')"; }
until_it "the controller has heard of its set" heard
before=$(pods) set=$(set_of) revision=$(kubectl get sts demo -o 'jsonpath={.status.updateRevision}')

change '{"storage":{"size":"2Gi"}}'
until_it "each claim asks for more" asks 2Gi
until_it "none has grown" tells "0 of 3 volumes have 2Gi"
has_grown 0 2Gi; has_grown 1 2Gi
until_it "two have grown" tells "2 of 3 volumes have 2Gi"
[ "$(set_of)" = "$set" ] || fail "the set was made anew too early"
has_grown 2 2Gi
is_anew() { local now; now=$(set_of) && [ -n "$now" ] && [ "$now" != "$set" ]; }
until_it "the set is made anew" is_anew
is sts/demo '{.spec.volumeClaimTemplates[0].spec.resources.requests.storage}' 2Gi || fail "it has the earlier size"
until_it "volumes go with the new set" belong
is_adopted() { [ "$(kubectl get pods -o 'jsonpath={.items[*].metadata.ownerReferences[*].uid}')" = "$(set_of) $(set_of) $(set_of)" ]; }
until_it "it has the pods of the other one" is_adopted
until_it "it has taken them up" heard
sleep 3
[ "$(pods)" = "$before" ] || fail "pods were made anew"
is sts/demo '{.status.updateRevision}' "$revision" || fail "another revision: $(kubectl get sts demo -o 'jsonpath={.status.updateRevision}'), it was $revision"
say "no pod was made anew, and the revision is the same"

change '{"storage":{"size":"8Gi"}}'
until_it "a growth that nobody carries out" asks 8Gi
change '{"storage":{"size":"2Gi"}}'
until_it "is taken back to one byte above what is there" asks 2147483649
no_stall() { ! condition Stalled status True; }
until_it "and nothing waits for a person" no_stall
change '{"storage":{"size":"1Gi"}}'
until_it "a volume that would shrink" condition Stalled reason VolumeWouldShrink
change '{"storage":{"size":"2Gi"}}'
until_it "is left as it is" no_stall

change '{"paused":true,"hibernate":true}'
until_it "a paused resource names what waits" condition Stalled reason Paused
[ "$(pods)" = "$before" ] || fail "it does not wait"
change '{"paused":false}'
none() { [ -z "$(pods)" ]; }
until_it "nodes sleep" none
until_it "and the status says so" condition Ready reason Hibernated
[ "$(kubectl get pvc -o name | wc -l)" = 3 ] || fail "a volume is gone"
is sts/demo '{.spec.persistentVolumeClaimRetentionPolicy.whenScaled}' Retain || fail "volumes may go with pods"
change '{"hibernate":false,"replicas":2}'
until_it "all three wake, though two are asked for" three_pods
until_it "and their volumes are kept until they are ready" condition Ready reason Waking
is sts/demo '{.spec.persistentVolumeClaimRetentionPolicy.whenScaled}' Retain || fail "volumes may go with pods"
say "done"
