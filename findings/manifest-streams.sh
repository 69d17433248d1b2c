#!/usr/bin/env bash
# kustomize keeps the first of several JSON objects that jq wrote in a row; kubectl, Helm, Flux and kustomize lose what stands behind the line `...`.
#
# k8s.io/apimachinery v0.36.3, with which kubectl and controllers read; sigs.k8s.io/kustomize/api v0.21.1; helm.sh/helm/v3 v3.22.0 (SplitManifests), whose
# pieces are read as kubectl reads; github.com/fluxcd/pkg/ssa v0.78.0 (ReadObjects). Go 1.26. As comparison PyYAML 6.0.3 (load_all).
#
# `jq '.items[]'` over what `kubectl get -o json` gives is a stream that kubectl applies. As a resource of a kustomization its first object is applied,
# the others are not, and a prune takes them from the cluster. The line `...` ends a document in YAML 1.2, and another one may follow without `---`; files
# whose end a linter wants marked, put together with cat, are like that. The four split at `---` alone, and read each piece up to its first end, without a
# word. PyYAML, which wants a `---` there, refuses it. They refuse what stands behind `---` on its line, which is YAML too and which Helm takes. None of
# them reads what calls itself YAML 1.2.
#
# Guess before: kubectl alone loses what follows `...`; the streams of JSON are read by all or refused.
# What follows: a List, or `---` between all objects: jq '{apiVersion: "v1", kind: "List", items: [.items[]]}'; and a count of what is built.
#
# Output seen: the table at the end of this file (each stream has the objects a and b).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv python
python/bin/pip install --quiet --disable-pip-version-check PyYAML==6.0.3
cat >go.mod <<'MODULE'
module finding

go 1.26

require (
	github.com/fluxcd/pkg/ssa v0.78.0
	helm.sh/helm/v3 v3.22.0
	k8s.io/apimachinery v0.36.3
	sigs.k8s.io/kustomize/api v0.21.1
	sigs.k8s.io/kustomize/kyaml v0.21.1
)
MODULE
cat >main.go <<'GO'
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sort"
	"strings"

	flux "github.com/fluxcd/pkg/ssa/utils"
	"helm.sh/helm/v3/pkg/releaseutil"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

func kubectl(text string) (names []string, err error) {
	decoder := yaml.NewYAMLOrJSONDecoder(strings.NewReader(text), 4096)
	for {
		object := unstructured.Unstructured{}
		if err = decoder.Decode(&object.Object); errors.Is(err, io.EOF) {
			return names, nil
		} else if err != nil {
			return nil, err
		}
		names = append(names, object.GetName())
	}
}

func helm(text string) (names []string, err error) {
	for _, piece := range releaseutil.SplitManifests(text) {
		more, err := kubectl(piece)
		if err != nil {
			return nil, err
		}
		names = append(names, more...)
	}
	return names, nil
}

func withFlux(text string) (names []string, err error) {
	objects, err := flux.ReadObjects(strings.NewReader(text))
	for _, one := range objects {
		names = append(names, one.GetName())
	}
	return names, err
}

func kustomize(text string) ([]string, error) {
	disk := filesys.MakeFsInMemory()
	if err := errors.Join(disk.WriteFile("/one/kustomization.yaml", []byte("resources: [all.yaml]\n")), disk.WriteFile("/one/all.yaml", []byte(text))); err != nil {
		return nil, err
	}
	built, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(disk, "/one")
	if err != nil {
		return nil, err
	}
	all, err := built.AsYaml()
	if err != nil {
		return nil, err
	}
	return kubectl(string(all))
}

func main() {
	for _, file := range os.Args[1:] {
		text, err := os.ReadFile(file)
		if err != nil {
			panic(err)
		}
		fmt.Print(file)
		for _, read := range []func(string) ([]string, error){kubectl, kustomize, helm, withFlux} {
			names, err := read(string(text))
			sort.Strings(names)
			seen := strings.Join(names, " ")
			if err != nil {
				seen = "refused"
			}
			fmt.Print("\t", seen)
		}
		fmt.Println()
	}
}
GO
go mod tidy >/dev/null 2>&1
go build -o readers .
cat >load.py <<'PY'
import sys, yaml
try:
    print(*(one['metadata']['name'] for one in yaml.safe_load_all(open(sys.argv[1]))))
except yaml.YAMLError:
    print('refused')
PY
object() { printf 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s}\n' "$1"; }
json() { printf '{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "%s"}}\n' "$1"; }
mkdir streams
cd streams
{ object a; echo '---'; object b; } >'---'
{ object a; echo '--- # b'; object b; } >'--- with a comment'
{ json a; echo '---'; json b; } >'JSON --- JSON'
{ json a; json b; } >'JSON JSON'
{ object a; echo '...'; object b; } >'...'
{ object a; echo '...'; echo '---'; object b; } >'... ---'
{ object a; echo '--- {apiVersion: v1, kind: ConfigMap, metadata: {name: b}}'; } >'--- and {} behind it'
{ printf '%%YAML 1.2\n---\n'; object a; echo '---'; object b; } >'%YAML 1.2'
names=('---' '--- with a comment' 'JSON --- JSON' 'JSON JSON' '...' '... ---' '--- and {} behind it' '%YAML 1.2')
{
  printf '\tkubectl\tkustomize\tHelm\tFlux\tPyYAML\n'
  ../readers "${names[@]}" | while IFS= read -r line; do
    printf '%s\t%s\n' "$line" "$(../python/bin/python ../load.py "${line%%$'\t'*}")"
  done
} | awk -F'\t' '{printf "%-21s %-8s %-10s %-8s %-8s %s\n", $1, $2, $3, $4, $5, $6}' | tee ../seen
diff - ../seen <<'SEEN' || { echo "it is otherwise now" >&2; exit 1; }
                      kubectl  kustomize  Helm     Flux     PyYAML
---                   a b      a b        a b      a b      a b
--- with a comment    a b      a b        a b      a b      a b
JSON --- JSON         a b      a b        a b      a b      a b
JSON JSON             a b      a          a b      a b      refused
...                   a        a          a        a        refused
... ---               a b      a b        a b      a b      a b
--- and {} behind it  refused  refused    a b      refused  a b
%YAML 1.2             refused  refused    refused  refused  a b
SEEN
