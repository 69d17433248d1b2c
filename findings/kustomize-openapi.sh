#!/usr/bin/env bash
# kustomize: a schema of one's own (openapi:), given so that patches merge the lists of a custom resource, takes merging away from Deployments and all else.
#
# sigs.k8s.io/kustomize/api v0.21.2, which the command runs. Go 1.26.
#
# Without a schema a patch replaces the lists of a custom resource. The field openapi is the cure, and puts that schema in the place of the one that is built
# in: from then on a patch of one container, in the same kustomization, replaces the list of containers, and the others are gone without a word. The keys that
# a CRD has for this (x-kubernetes-list-map-keys, by which the API server merges) count for nothing. It wants x-kubernetes-patch-merge-key and
# x-kubernetes-patch-strategy, for which the schema of a CRD has no place.
#
# Guess before: the schema is added to what kustomize knows, and the keys of the API server's merging are those of kustomize's.
# What follows: JSON patches for lists of custom resources; or a schema that is the built-in one (`kustomize openapi fetch`) with the merge keys written in.
#
# Output seen: the table at the end of this file (what the list is after a patch that changes its second item).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
cat >go.mod <<'MODULE'
module finding

go 1.26

require (
	sigs.k8s.io/kustomize/api v0.21.2
	sigs.k8s.io/kustomize/kyaml v0.21.2
)
MODULE
cat >main.go <<'GO'
package main

import (
	"fmt"
	"os"

	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

func main() {
	built, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), os.Args[1])
	if err != nil {
		panic(err)
	}
	text, err := built.AsYaml()
	if err != nil {
		panic(err)
	}
	fmt.Print(string(text))
}
GO
go mod tidy >/dev/null 2>&1
go build -o kustomize .

mkdir one
cat >one/resources.yaml <<'YAML'
{apiVersion: example.org/v1, kind: Store, metadata: {name: one}, spec: {members: [{name: a, image: a}, {name: b, image: b}]}}
---
{apiVersion: apps/v1, kind: Deployment, metadata: {name: one}, spec: {template: {spec: {containers: [{name: a, image: a}, {name: b, image: b}]}}}}
YAML
cat >one/store.yaml <<'YAML'
{apiVersion: example.org/v1, kind: Store, metadata: {name: one}, spec: {members: [{name: b, image: other}]}}
YAML
cat >one/deployment.yaml <<'YAML'
{apiVersion: apps/v1, kind: Deployment, metadata: {name: one}, spec: {template: {spec: {containers: [{name: b, image: other}]}}}}
YAML
schema() { # the list's extensions
  cat >one/schema.json <<JSON
{"definitions": {"org.example.v1.Store": {"type": "object", "x-kubernetes-group-version-kind": [{"group": "example.org", "kind": "Store", "version": "v1"}],
 "properties": {"apiVersion": {"type": "string"}, "kind": {"type": "string"}, "metadata": {"type": "object"}, "spec": {"type": "object", "properties": {
 "members": {"type": "array", $1 "items": {"type": "object", "properties": {"name": {"type": "string"}, "image": {"type": "string"}}}}}}}}}}
JSON
}
show() { # TEXT: the names in both lists, of a process of its own
  ./kustomize one | awk -v text="$1" '/^kind:/ {kind = $2} /^ *-? name: ./ && !/^  name:/ {names[kind] = names[kind] " " $NF}
    END {printf "%-30s Store:%-6s Deployment:%s\n", text, names["Store"], names["Deployment"]}'
}
{
  printf 'resources: [resources.yaml]\npatches: [{path: store.yaml}, {path: deployment.yaml}]\n' >one/kustomization.yaml
  show "no schema"
  echo 'openapi: {path: schema.json}' >>one/kustomization.yaml
  schema '"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],'
  show "x-kubernetes-list-map-keys"
  schema '"x-kubernetes-patch-strategy": "merge", "x-kubernetes-patch-merge-key": "name",'
  show "x-kubernetes-patch-merge-key"
} | tee seen
diff - seen <<'SEEN' || { echo "it is otherwise now" >&2; exit 1; }
no schema                      Store: b     Deployment: b a
x-kubernetes-list-map-keys     Store: b     Deployment: b
x-kubernetes-patch-merge-key   Store: b a   Deployment: b
SEEN
