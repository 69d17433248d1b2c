#!/usr/bin/env bash
# A CRD whose spec defaults to {} is refused where a rule of spec reads a field that has a default itself.
#
# k8s.io/apiextensions-apiserver v0.36.3 (Kubernetes 1.36), its validation of a CustomResourceDefinition as the API server calls it. Go 1.26.
#
# A user who sends spec: {} gets replicas: 3 before the rule looks. The default of spec itself is judged as it is written, without the defaults
# inside it: "no such key: replicas" ends the apply of the whole definition, and so does a required field that has a default. Written out, the
# same default is accepted.
#
# Guess before: a default is filled in with the defaults inside it before rules look at it, as an object that a user sends is.
# What follows: the default of an object with rules or required fields names each field that these read, kept equal to the field's own by a test.
#
# Output seen: the table at the end of this file.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
cat >go.mod <<'MODULE'
module finding

go 1.26

require (
	k8s.io/apiextensions-apiserver v0.36.3
	k8s.io/apimachinery v0.36.3
)
MODULE
cat >main.go <<'GO'
package main

import (
	"context"
	"fmt"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/install"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/validation"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
)

const definition = `{"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": "stores.example.org"},
 "spec": {"group": "example.org", "scope": "Namespaced", "names": {"plural": "stores", "singular": "store", "kind": "Store", "listKind": "StoreList"},
  "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": %s}}}}]},
 "status": {"storedVersions": ["v1"]}}`

func main() {
	scheme := runtime.NewScheme()
	install.Install(scheme)
	decoder := serializer.NewCodecFactory(scheme).UniversalDecoder()
	for _, spec := range [][2]string{
		{"default {}, rule of spec", `{"type": "object", "default": {}, "properties": {"replicas": {"type": "integer", "default": 3}},
			"x-kubernetes-validations": [{"rule": "self.replicas > 0"}]}`},
		{"default {replicas: 3}, rule of spec", `{"type": "object", "default": {"replicas": 3}, "properties": {"replicas": {"type": "integer", "default": 3}},
			"x-kubernetes-validations": [{"rule": "self.replicas > 0"}]}`},
		{"no default, rule of spec", `{"type": "object", "properties": {"replicas": {"type": "integer", "default": 3}},
			"x-kubernetes-validations": [{"rule": "self.replicas > 0"}]}`},
		{"default {}, guarded rule of spec", `{"type": "object", "default": {}, "properties": {"replicas": {"type": "integer", "default": 3}},
			"x-kubernetes-validations": [{"rule": "!has(self.replicas) || self.replicas > 0"}]}`},
		{"default {}, rule of replicas", `{"type": "object", "default": {}, "properties": {"replicas": {"type": "integer", "default": 3,
			"x-kubernetes-validations": [{"rule": "self > 0"}]}}}`},
		{"default {}, replicas required", `{"type": "object", "default": {}, "required": ["replicas"], "properties": {"replicas": {"type": "integer", "default": 3}}}`},
	} {
		object, _, err := decoder.Decode([]byte(fmt.Sprintf(definition, spec[1])), nil, nil)
		if err != nil {
			panic(err)
		}
		errors := validation.ValidateCustomResourceDefinition(context.Background(), object.(*apiextensions.CustomResourceDefinition))
		if len(errors) == 0 {
			fmt.Println(spec[0]+":", "accepted")
		}
		for _, one := range errors {
			fmt.Println(spec[0]+":", one.ErrorBody())
		}
	}
}
GO
go mod tidy >/dev/null 2>&1
go run . | tee seen
diff - seen <<'SEEN' || { echo "it is otherwise now" >&2; exit 1; }
default {}, rule of spec: Invalid value: "object": no such key: replicas evaluating rule: self.replicas > 0
default {replicas: 3}, rule of spec: accepted
no default, rule of spec: accepted
default {}, guarded rule of spec: accepted
default {}, rule of replicas: accepted
default {}, replicas required: Required value
SEEN
