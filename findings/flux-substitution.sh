#!/usr/bin/env bash
# Flux's postBuild changes texts that name none of its variables: ${1} becomes nothing, each $$ becomes $, and a quoted "${HASH}" becomes a number.
#
# github.com/fluxcd/pkg/kustomize v1.41.0 with github.com/fluxcd/pkg/envsubst v1.8.0, asked as the kustomize-controller asks it. Go 1.26.
#
# One variable in a Kustomization's postBuild lets all its manifests through this. ${1}, a group of a regular expression in relabelings, and ${datasource} of
# a dashboard are emptied without a word. pa$$word loses a sign, and $$(HOST), by which Kubernetes keeps the kubelet from replacing $(HOST), is what the
# kubelet replaces. ${X:+y} and ${X:?y} are the reverse of a shell's: they are y where X is missing. ${X-y} and ${list[0]} of a script in a ConfigMap end
# the whole Kustomization with "missing closing brace". Quotes around a variable are taken away before it is replaced, so a secret of 12e4 is 120000,
# and a text of several lines loses its line breaks. Fetched from a Secret by substituteFrom they are the same.
#
# Guess before: only names that are variables are replaced, 1 is no name, $${X} is the only escape, operators do as in a shell, and what is quoted stays a text.
# What follows: the annotation kustomize.toolkit.fluxcd.io/substitute: disabled on dashboards, rules, relabelings and scripts; whole secrets in Secrets, not in variables.
#
# Output seen: the table at the end of this file (the variables are HOST=db, HASH=12e4 and LINES=one, two; - where the text stays as it is).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
cat >go.mod <<'MODULE'
module finding

go 1.26

require (
	github.com/fluxcd/pkg/envsubst v1.8.0
	github.com/fluxcd/pkg/kustomize v1.41.0
)
MODULE
cat >main.go <<'GO'
package main

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/fluxcd/pkg/kustomize"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/kustomize/api/provider"
)

func main() {
	variables := map[string]any{"HOST": "db", "HASH": "12e4", "LINES": "one\ntwo"}
	with := unstructured.Unstructured{Object: map[string]any{"apiVersion": "kustomize.toolkit.fluxcd.io/v1", "kind": "Kustomization",
		"metadata": map[string]any{"name": "one", "namespace": "default"},
		"spec":     map[string]any{"postBuild": map[string]any{"substitute": variables}}}}
	for _, text := range []string{
		"${HOST}", "$${HOST}", "$HOST", "${1}:9000", "$1:9000", "${datasource}", "pa$$word", "$$(HOST)", "${HOST:+there}", "${OTHER:+there}", "${OTHER:?missing}",
		"${OTHER-off}", "${list[0]}", "${HASH}", "${LINES}",
	} {
		// As in: key: "TEXT"
		manifest, err := json.Marshal(map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": "one"}, "data": map[string]any{"key": text}})
		if err != nil {
			panic(err)
		}
		resource, err := provider.NewDefaultDepProvider().GetResourceFactory().FromBytes(manifest)
		if err != nil {
			panic(err)
		}
		became := "-"
		if changed, err := kustomize.SubstituteVariables(context.Background(), nil, with, resource); err != nil {
			became = err.Error()
		} else if object, err := changed.Map(); err != nil {
			panic(err)
		} else if value := object["data"].(map[string]any)["key"]; value != text {
			words, err := json.Marshal(value)
			if err != nil {
				panic(err)
			}
			became = string(words)
		}
		fmt.Printf("%-18s %s\n", text, became)
	}
}
GO
go mod tidy >/dev/null 2>&1
go run . | tee seen
diff - seen <<'SEEN' || { echo "it is otherwise now" >&2; exit 1; }
${HOST}            "db"
$${HOST}           "${HOST}"
$HOST              -
${1}:9000          ":9000"
$1:9000            -
${datasource}      null
pa$$word           "pa$word"
$$(HOST)           "$(HOST)"
${HOST:+there}     "db"
${OTHER:+there}    "there"
${OTHER:?missing}  "missing"
${OTHER-off}       envsubst error: variable substitution failed: missing closing brace
${list[0]}         envsubst error: variable substitution failed: missing closing brace
${HASH}            120000
${LINES}           "onetwo"
SEEN
