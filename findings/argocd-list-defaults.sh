#!/usr/bin/env bash
# Argo CD with ServerSideApply=true: a custom resource is OutOfSync for ever where the item of a list has a default; without that option it is Synced.
#
# github.com/argoproj/gitops-engine of 2025-11-08, which Argo CD 3.2.1 compares with, asked as it asks it with and without that sync option; the live
# object with the defaults that k8s.io/apiextensions-apiserver v0.34.0 gives. Go 1.26.
#
# A list of a CRD is atomic unless its schema says otherwise: an apply replaces it as a whole. The API server then gives the items their defaults and finds
# nothing changed. Argo CD computes that apply by itself and gives no defaults, so it expects the list as it stands in git. Each sync succeeds and changes
# nothing, and self-heal begins the next one. Defaults in objects, in maps and in lists with keys (list-type map) are merged and make no difference, nor
# does a default in any place without the option, which was made for resources that are too large for the other way.
#
# Guess before: server-side apply is the way that knows the API server's defaults, so it is the one without such differences; a default is one wherever it stands.
# What follows for a CRD: no defaults in the items of a list, the controller fills them in; for its users: the sync option on the definition alone.
#
# Output seen: the table at the end of this file (is it OutOfSync?).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
engine=v0.7.1-0.20251108235403-13d5172d3ee2
printf 'module finding\n\ngo 1.26\n\nrequire github.com/argoproj/gitops-engine %s\n\n' $engine >go.mod
# Its own versions of Kubernetes' modules.
go mod download "github.com/argoproj/gitops-engine@$engine" 2>/dev/null
sed -n '/^replace/,$p' "$(go env GOMODCACHE)/github.com/argoproj/gitops-engine@$engine/go.mod" >>go.mod
cat >main.go <<'GO'
package main

import (
	"encoding/json"
	"fmt"

	"github.com/argoproj/gitops-engine/pkg/diff"
	openapi "github.com/google/gnostic-models/openapiv2"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apiextensions-apiserver/pkg/controller/openapi/builder"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/kube-openapi/pkg/util/proto"
)

const definition = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: stores.example.org}
spec:
  group: example.org
  scope: Namespaced
  names: {plural: stores, singular: store, kind: Store, listKind: StoreList}
  versions:
  - name: v1
    served: true
    storage: true
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec:
            type: object
            properties:
              replicas: {type: integer, default: 3}
              tls: &one {type: object, required: [name], properties: {name: {type: string}, port: {type: integer, default: 9000}}}
              pools: {type: object, additionalProperties: *one}
              members: {type: array, x-kubernetes-list-type: map, x-kubernetes-list-map-keys: [name], items: *one}
              clients: {type: array, items: *one}
`

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

func object(text string) *unstructured.Unstructured {
	all := map[string]any{}
	if err := yaml.Unmarshal([]byte(text), &all); err != nil {
		panic(err)
	}
	return &unstructured.Unstructured{Object: all}
}

func main() {
	crd := &v1.CustomResourceDefinition{}
	if err := yaml.Unmarshal([]byte(definition), crd); err != nil {
		panic(err)
	}
	// What the API server publishes about it, which Argo CD reads.
	published := must(json.Marshal(must(builder.BuildOpenAPIV2(crd, "v1", builder.Options{V2: true}))))
	parser := must(managedfields.NewGVKParser(must(proto.NewOpenAPIData(must(openapi.ParseDocument(published)))), false))
	props := &apiextensions.JSONSchemaProps{}
	if err := v1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(crd.Spec.Versions[0].Schema.OpenAPIV3Schema, props, nil); err != nil {
		panic(err)
	}
	structural := must(schema.NewStructural(props))

	fmt.Printf("%-36s %-8s %s\n", "", "without", "ServerSideApply=true")
	for _, spec := range []string{
		"{}", "{tls: {name: a}}", "{pools: {one: {name: a}}}", "{members: [{name: a}]}", "{clients: [{name: a}]}", "{clients: [{name: a, port: 9000}]}",
	} {
		git := object("{apiVersion: example.org/v1, kind: Store, metadata: {name: one, namespace: default}, spec: " + spec + "}")
		applied := git.DeepCopy()
		defaulting.Default(applied.Object, structural)
		annotated := applied.DeepCopy()
		annotated.SetAnnotations(map[string]string{"kubectl.kubernetes.io/last-applied-configuration": string(must(json.Marshal(git)))})
		without := must(diff.Diff(git, annotated))
		with := must(diff.Diff(git, applied, diff.WithStructuredMergeDiff(true), diff.WithGVKParser(parser), diff.WithManager("argocd-controller")))
		fmt.Printf("%-36s %-8v %v\n", spec, without.Modified, with.Modified)
	}
}
GO
go mod tidy >/dev/null 2>&1
go run . | tee seen
diff - seen <<'SEEN' || { echo "it is otherwise now" >&2; exit 1; }
                                     without  ServerSideApply=true
{}                                   false    false
{tls: {name: a}}                     false    false
{pools: {one: {name: a}}}            false    false
{members: [{name: a}]}               false    false
{clients: [{name: a}]}               false    true
{clients: [{name: a, port: 9000}]}   false    false
SEEN
