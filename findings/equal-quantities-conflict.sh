#!/usr/bin/env bash
# Two managers that apply the very same manifest conflict over `cpu: 1`, over "0.5" and over 1024Mi: server-side apply compares with what was stored.
#
# k8s.io/apimachinery v0.37.1 (Kubernetes 1.37), its managers of fields, which the API server applies with, behind the fake client of client-go v0.37.1. Go 1.26.
#
# Quantities are stored in one spelling: 1 becomes "1", 0.5 becomes 500m, 1024Mi becomes 1Gi. What is applied is compared as it is written. So the first
# manager may apply its manifest again and again, and the second one, which asks for nothing else, gets "Apply failed with 1 conflict". The stored spelling
# is accepted from both, also where the first one wrote another. Ports, numbers and texts of other fields are no trouble. (kube-apiserver 1.35.4 says the same.)
#
# Guess before: equal values are no conflict; or, if spelling counts, at least the same manifest is equal to itself.
# What follows for a chart, and for two tools on one object (a pipeline beside Argo CD, Helm 4 under two names): write quantities as they are stored,
# which `kubectl get -o yaml` shows, always in quotes.
#
# Output seen: the table at the end of this file (both apply a Deployment with this request, then the second one's answer).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
cat >go.mod <<'MODULE'
module finding

go 1.26

require k8s.io/client-go v0.37.1
MODULE
cat >main.go <<'GO'
package main

import (
	"context"
	"fmt"
	"strings"

	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"
)

const deployment = `{"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "one"}, "spec": {"selector": {"matchLabels": {"app": "one"}},
 "template": {"metadata": {"labels": {"app": "one"}}, "spec": {"containers": [{"name": "main", "image": "main", "ports": [{"containerPort": 80}],
 "resources": {"requests": {%s}}}]}}}}`

func main() {
	fmt.Printf("%-42s %-9s %-9s %s\n", "", "stored", "the first", "the second")
	for _, requests := range [][2]string{
		{`"cpu": 1`, `"cpu": 1`}, {`"cpu": "1"`, `"cpu": "1"`}, {`"cpu": "1"`, `"cpu": 1`}, {`"cpu": 1`, `"cpu": "1"`},
		{`"cpu": "0.5"`, `"cpu": "0.5"`}, {`"cpu": "500m"`, `"cpu": "500m"`}, {`"cpu": "0.5"`, `"cpu": "500m"`},
		{`"memory": "1024Mi"`, `"memory": "1024Mi"`}, {`"memory": "1000M"`, `"memory": "1000M"`}, {`"memory": "1Gi"`, `"memory": "1Gi"`},
	} {
		deployments := fake.NewClientset().AppsV1().Deployments("default")
		apply := func(manager, request string) string {
			_, err := deployments.Patch(context.Background(), "one", types.ApplyPatchType, []byte(fmt.Sprintf(deployment, request)), meta.PatchOptions{FieldManager: manager})
			if err == nil {
				return "applied"
			}
			before, _, _ := strings.Cut(err.Error(), ":")
			return before
		}
		apply("one", requests[0])
		again, other := apply("one", requests[0]), apply("two", requests[1])
		stored, err := deployments.Get(context.Background(), "one", meta.GetOptions{})
		if err != nil {
			panic(err)
		}
		seen := stored.Spec.Template.Spec.Containers[0].Resources.Requests
		text := seen.Cpu().String()
		if seen.Cpu().IsZero() {
			text = seen.Memory().String()
		}
		fmt.Printf("%-42s %-9s %-9s %s\n", requests[0]+", "+requests[1], text, again, other)
	}
}
GO
go mod tidy >/dev/null 2>&1
go run . | tee seen
diff - seen <<'SEEN' || { echo "it is otherwise now" >&2; exit 1; }
                                           stored    the first the second
"cpu": 1, "cpu": 1                         1         applied   Apply failed with 1 conflict
"cpu": "1", "cpu": "1"                     1         applied   applied
"cpu": "1", "cpu": 1                       1         applied   Apply failed with 1 conflict
"cpu": 1, "cpu": "1"                       1         applied   applied
"cpu": "0.5", "cpu": "0.5"                 500m      applied   Apply failed with 1 conflict
"cpu": "500m", "cpu": "500m"               500m      applied   applied
"cpu": "0.5", "cpu": "500m"                500m      applied   applied
"memory": "1024Mi", "memory": "1024Mi"     1Gi       applied   Apply failed with 1 conflict
"memory": "1000M", "memory": "1000M"       1G        applied   Apply failed with 1 conflict
"memory": "1Gi", "memory": "1Gi"           1Gi       applied   applied
SEEN
