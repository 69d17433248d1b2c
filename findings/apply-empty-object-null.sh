#!/usr/bin/env bash
# Server-side apply of an empty object writes null where the manager's own fields were all that the object held.
#
# sigs.k8s.io/structured-merge-diff/v6 v6.4.2, which kube-apiserver merges with, asked as it asks it. Go 1.26.
#
# A chart or a GitOps tool applies annotations: {team: a}, later annotations: {}. The object becomes null, not {}. So does spec where it held nothing
# else, for which an API server (1.36.3) answers 422, "spec: Required value", to a `spec: {}` that it takes from `kubectl create`. Atomic lists and maps stay.
#
# Guess before: an empty object in what is applied is an empty object in what is stored.
# What follows for a custom resource: a default on each object of its schema, for null is replaced by it; for a chart: no empty objects.
#
# Output seen: the table at the end of this file.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
cat >go.mod <<'MODULE'
module finding

go 1.26

require sigs.k8s.io/structured-merge-diff/v6 v6.4.2
MODULE
cat >main.go <<'GO'
package main

import (
	"fmt"

	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
	"sigs.k8s.io/structured-merge-diff/v6/merge"
	"sigs.k8s.io/structured-merge-diff/v6/typed"
	"sigs.k8s.io/structured-merge-diff/v6/value"
)

const schema = `types:
- name: object
  map:
    fields:
    - {name: spec, type: {namedType: spec}}
- name: spec
  map:
    fields:
    - {name: replicas, type: {scalar: numeric}}
    - {name: annotations, type: {map: {elementType: {scalar: string}}}}
    - {name: finalizers, type: {list: {elementType: {scalar: string}, elementRelationship: associative}}}
    - {name: arguments, type: {list: {elementType: {scalar: string}, elementRelationship: atomic}}}
    - {name: selector, type: {map: {elementType: {scalar: string}, elementRelationship: atomic}}}
`

type oneVersion struct{}

func (oneVersion) Convert(object *typed.TypedValue, _ fieldpath.APIVersion) (*typed.TypedValue, error) {
	return object, nil
}
func (oneVersion) IsMissingVersionError(error) bool { return false }

func apply(applied ...[2]string) string {
	parser, err := typed.NewParser(schema)
	if err != nil {
		panic(err)
	}
	updater := (&merge.UpdaterBuilder{Converter: oneVersion{}}).BuildUpdater()
	live, err := parser.Type("object").FromYAML("{}")
	if err != nil {
		panic(err)
	}
	managers := fieldpath.ManagedFields{}
	for _, one := range applied {
		config, err := parser.Type("object").FromYAML(typed.YAMLObject(one[1]))
		if err != nil {
			panic(err)
		}
		var merged *typed.TypedValue
		merged, managers, err = updater.Apply(live, config, "v1", managers, one[0], false)
		if err != nil {
			panic(err)
		}
		if merged != nil {
			live = merged
		}
	}
	text, err := value.ToJSON(live.AsValue())
	if err != nil {
		panic(err)
	}
	return string(text)
}

func main() {
	for _, steps := range [][][2]string{
		{{"chart", `{spec: {annotations: {}}}`}},
		{{"chart", `{spec: {annotations: {team: a}}}`}, {"chart", `{spec: {annotations: {}}}`}},
		{{"chart", `{spec: {annotations: {team: a}}}`}, {"other", `{spec: {annotations: {cost: b}}}`}, {"chart", `{spec: {annotations: {}}}`}},
		{{"chart", `{spec: {replicas: 3}}`}, {"chart", `{spec: {}}`}},
		{{"chart", `{spec: {replicas: 3}}`}, {"chart", `{}`}},
		{{"chart", `{spec: {finalizers: [a]}}`}, {"chart", `{spec: {finalizers: []}}`}},
		{{"chart", `{spec: {arguments: [a]}}`}, {"chart", `{spec: {arguments: []}}`}},
		{{"chart", `{spec: {selector: {team: a}}}`}, {"chart", `{spec: {selector: {}}}`}},
	} {
		for _, one := range steps {
			fmt.Printf("%s %s, ", one[0], one[1])
		}
		fmt.Println("gives", apply(steps...))
	}
}
GO
go mod tidy >/dev/null 2>&1
go run . | tee seen
diff - seen <<'SEEN' || { echo "it is otherwise now" >&2; exit 1; }
chart {spec: {annotations: {}}}, gives {"spec":{"annotations":{}}}
chart {spec: {annotations: {team: a}}}, chart {spec: {annotations: {}}}, gives {"spec":{"annotations":null}}
chart {spec: {annotations: {team: a}}}, other {spec: {annotations: {cost: b}}}, chart {spec: {annotations: {}}}, gives {"spec":{"annotations":{"cost":"b"}}}
chart {spec: {replicas: 3}}, chart {spec: {}}, gives {"spec":null}
chart {spec: {replicas: 3}}, chart {}, gives null
chart {spec: {finalizers: [a]}}, chart {spec: {finalizers: []}}, gives null
chart {spec: {arguments: [a]}}, chart {spec: {arguments: []}}, gives {"spec":{"arguments":[]}}
chart {spec: {selector: {team: a}}}, chart {spec: {selector: {}}}, gives {"spec":{"selector":{}}}
SEEN
