#!/usr/bin/env bash
# A field of a CRD with format: duration takes 1.5d, its rules read that as five days, and a controller in Go cannot read the list in which it stands.
#
# k8s.io/apiextensions-apiserver v0.37.1 (Kubernetes 1.37), its validation of a custom resource as the API server calls it; metav1.Duration of
# k8s.io/apimachinery v0.37.1. Go 1.26.
#
# The format belongs to a grammar of its own: a number, a unit from ns to weeks, in words too, wherever they stand in the text. What is in front of the last
# digits before a unit does not count: of 1.5d it sees 5d, of 1.5 hours 5 h, though 1.5h is one hour and a half. CEL gets that value, so the rule
# self <= duration('48h') refuses 1.5d as too long. metav1.Duration, the type that such a field has in Go, knows neither days nor weeks nor blanks nor
# ISO 8601. One object of one user, stored without a word, ends the decoding of every list in which it stands, and so the controller's watch of its kind.
#
# Guess before: the format is Go's time.ParseDuration, so what the API server takes is what a controller reads; perhaps days beside it.
# What follows for a CRD: a pattern in place of the format, or whole numbers with the unit in the field's name (syncIntervalSeconds).
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
	k8s.io/apiextensions-apiserver v0.37.1
	k8s.io/apimachinery v0.37.1
)
MODULE
cat >main.go <<'GO'
package main

import (
	"context"
	"encoding/json"
	"fmt"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
)

func main() {
	props := &apiextensions.JSONSchemaProps{Type: "string", Format: "duration", XValidations: apiextensions.ValidationRules{
		{Rule: "self < duration('0s')", MessageExpression: "string(self)"},
	}}
	structural, err := schema.NewStructural(props)
	if err != nil {
		panic(err)
	}
	format, _, err := validation.NewSchemaValidator(props)
	if err != nil {
		panic(err)
	}
	rule := cel.NewValidator(structural, true, celconfig.PerCallLimit)
	path := field.NewPath("spec")
	fmt.Printf("%-12s %-8s %-9s %s\n", "", "stored", "in rules", "metav1.Duration, in a list of two objects")
	for _, text := range []string{"1h30m", "1.5h", "1.5 hours", "1d", "1.5d", "2 weeks", "1h 30m", "PT1H", "90", "1 month"} {
		stored, seen := "yes", "-"
		if len(validation.ValidateCustomResource(path, text, format)) > 0 {
			stored = "refused"
		} else if errors, _ := rule.Validate(context.Background(), path, structural, text, nil, celconfig.RuntimeCELCostBudget); len(errors) == 1 {
			seen = errors[0].Detail
		}
		var list []struct{ Every meta.Duration }
		objects, _ := json.Marshal([]map[string]string{{"every": "1h"}, {"every": text}})
		read := "read"
		if err := json.Unmarshal(objects, &list); err != nil {
			read = err.Error()
		}
		fmt.Printf("%-12s %-8s %-9s %s\n", text, stored, seen, read)
	}
}
GO
go mod tidy >/dev/null 2>&1
go run . | tee seen
diff - seen <<'SEEN' || { echo "it is otherwise now" >&2; exit 1; }
             stored   in rules  metav1.Duration, in a list of two objects
1h30m        yes      5400s     read
1.5h         yes      5400s     read
1.5 hours    yes      18000s    time: unknown unit " hours" in duration "1.5 hours"
1d           yes      86400s    time: unknown unit "d" in duration "1d"
1.5d         yes      432000s   time: unknown unit "d" in duration "1.5d"
2 weeks      yes      1209600s  time: unknown unit " weeks" in duration "2 weeks"
1h 30m       yes      5400s     time: unknown unit "h " in duration "1h 30m"
PT1H         yes      3600s     time: invalid duration "PT1H"
90           refused  -         time: missing unit in duration "90"
1 month      refused  -         time: unknown unit " month" in duration "1 month"
SEEN
