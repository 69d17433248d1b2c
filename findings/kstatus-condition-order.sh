#!/usr/bin/env bash
# For kstatus, by which Flux, Helm 4 and kpt wait, a resource that is Stalled and Reconciling has failed or is under way by the order of its conditions.
#
# sigs.k8s.io/cli-utils v0.37.2 and github.com/fluxcd/cli-utils v1.2.2 (Helm 4.3.1's), their pkg/kstatus. k8s.io/apimachinery v0.36.2, Go 1.26.
#
# Both conditions are kstatus' own: Stalled means that a person has to act, Reconciling that the controller is at work. An operator that says both, as one does
# that tries again every minute, is judged by the one that stands first. That order is no one's choice: meta.SetStatusCondition, which most operators in Go use,
# appends what is new and leaves the rest where it is, so it is the order in which the conditions first appeared in the life of that object. Of two
# resources with the same trouble `helm install --wait` gives up on one at once, and waits for its whole timeout on the other. Ready is asked after these
# two, and its own observedGeneration is not looked at. A resource with other conditions alone is Current, whatever they say.
#
# Guess before: Stalled wins, as the graver one; a Ready from before the last change of the spec does not count.
# What follows for an operator: never both at once, and a Ready that is Unknown or False from the first moment until it has looked at the spec.
#
# Output seen: the table at the end of this file (the same for both packages).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
cat >go.mod <<'MODULE'
module finding

go 1.26.0

require (
	github.com/fluxcd/cli-utils v1.2.2
	k8s.io/apimachinery v0.36.2
	sigs.k8s.io/cli-utils v0.37.2
)
MODULE
cat >main.go <<'GO'
package main

import (
	"fmt"
	"strings"

	flux "github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	sigs "sigs.k8s.io/cli-utils/pkg/kstatus/status"
)

// Each step is a condition as an operator in Go sets it, the next time it looks at the object.
func after(steps ...string) string {
	var conditions []metav1.Condition
	for _, step := range steps {
		name, value, _ := strings.Cut(step, "=")
		meta.SetStatusCondition(&conditions, metav1.Condition{Type: name, Status: metav1.ConditionStatus(value), Reason: "Seen", ObservedGeneration: 1})
	}
	var list []any
	for _, one := range conditions {
		plain, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&one)
		if err != nil {
			panic(err)
		}
		list = append(list, plain)
	}
	object := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "example.org/v1", "kind": "Store",
		"metadata": map[string]any{"name": "one", "generation": int64(2)},
		"status":   map[string]any{"observedGeneration": int64(2), "conditions": list}}}
	one, err := sigs.Compute(object)
	if err != nil {
		panic(err)
	}
	other, err := flux.Compute(object)
	if err != nil {
		panic(err)
	}
	if string(one.Status) != string(other.Status) {
		return fmt.Sprint(one.Status, " and ", other.Status)
	}
	return string(one.Status)
}

func main() {
	for _, steps := range [][]string{
		{"Reconciling=True", "Stalled=True"},
		{"Stalled=True", "Reconciling=True"},
		{"Stalled=False", "Reconciling=True", "Stalled=True"},
		{"Ready=False", "Reconciling=True", "Stalled=True"},
		{"Ready=False", "Stalled=True", "Reconciling=True"},
		{"Stalled=True", "Ready=False"},
		{"Ready=False", "Stalled=True"},
		{"Ready=False"},
		{"Ready=True"},
		{"Ready=True", "Stalled=True"},
		{"Available=False", "Failed=True"},
	} {
		fmt.Printf("%-46s %s\n", strings.Join(steps, ", "), after(steps...))
	}
}
GO
go mod tidy >/dev/null 2>&1
go run . | tee seen
diff - seen <<'SEEN' || { echo "it is otherwise now" >&2; exit 1; }
Reconciling=True, Stalled=True                 InProgress
Stalled=True, Reconciling=True                 Failed
Stalled=False, Reconciling=True, Stalled=True  Failed
Ready=False, Reconciling=True, Stalled=True    InProgress
Ready=False, Stalled=True, Reconciling=True    Failed
Stalled=True, Ready=False                      Failed
Ready=False, Stalled=True                      Failed
Ready=False                                    InProgress
Ready=True                                     Current
Ready=True, Stalled=True                       Failed
Available=False, Failed=True                   Current
SEEN
