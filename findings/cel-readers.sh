#!/usr/bin/env bash
# @bufbuild/cel gives the day one too high in the hour after midnight of a named zone, and two of five readers of CEL refuse `self.replicas / 2` where cel-go takes it.
#
# cel-go 0.29.2 (of Kubernetes 1.37, asked alone; Go 1.26); cel-python 0.5.0, common-expression-language 0.10.0 (Python 3.11, the latter in Rust); @bufbuild/cel 0.6.1,
# @marcbachmann/cel-js 8.0.0, cel-js 0.8.2 (Node.js 20).
#
# Rules of an admission policy, or of a CRD, that are tried on the JSON of a resource before they reach a cluster. What JSON.parse reads are fractions in CEL: the
# two in JavaScript that keep CEL's types refuse /, % and * beside an integer, and cel-js makes 2.5 of 3 / 2 + 1; comparisons work, so most rules do. At 23:30 UTC
# it is half past midnight of the next day in Rome, and for @bufbuild/cel the day after that, of the month and of the week; the hour is right, and so is all
# with +01:00. For it a member that is null is not there (has()). common-expression-language counts the bytes of a text, knows no zones, and lets an item without the
# field fail an exists() that another item fulfils. cel-python does not compare an integer with a fraction, and has "2.0" for 2.0, where the others have "2".
# cel-js fails wherever one side of || does.
#
# Guess before: cel-js has no integers and few functions; the others say what cel-go says, except where one calls what only Kubernetes has.
# What follows: rules are tried against an API server (a dry run), or with cel-go and integers read as such; a rule asks has() before it reads, compares equal types,
# and asks for days of UTC, with no zone.
#
# Output seen: the table at the end of this file (- where it is as cel-go has it).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv python
python/bin/pip install --quiet --disable-pip-version-check cel-python==0.5.0 common-expression-language==0.10.0
npm install --silent --prefix . @bufbuild/cel@0.6.1 @marcbachmann/cel-js@8.0.0 cel-js@0.8.2 >/dev/null
cat >go.mod <<'MODULE'
module finding

go 1.26

require github.com/google/cel-go v0.29.2
MODULE
cat >resource.json <<'JSON'
{"name": "Köln", "note": null, "replicas": 3, "load": 2.5, "share": 2.0, "ports": [80, 443], "hosts": [{"name": "a"}, {"name": "b", "port": 443}],
 "noon": "2026-12-01T12:00:00Z", "night": "2026-12-01T23:30:00Z", "every": "1h30m"}
JSON
cat >rules <<'RULES'
self.replicas > 1
self.replicas in [1, 3, 5]
self.replicas / 2 + 1
self.replicas % 2
self.ports.map(p, p * 2)[1] == 886
self.replicas > self.load
string(self.share)
has(self.note)
self.note == null
size(self.name)
self.name.matches("(?i)^k")
self.hosts.exists(h, h.port == 443)
self.hosts.exists(h, has(h.port) && h.port == 443)
self.port == 443 || self.replicas == 3
self.replicas == 3 || self.port == 443
duration(self.every) == duration("90m")
string(duration(self.every))
timestamp(self.night).getHours("Europe/Rome")
timestamp(self.noon).getDate("Europe/Rome")
timestamp(self.night).getDate("Europe/Rome")
timestamp(self.night).getDayOfWeek("Europe/Rome")
timestamp(self.night).getDate("+01:00")
timestamp(self.night).getDate()
RULES
# Each program prints lines of: library, number of the rule, its answer.
cat >main.go <<'GO'
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"github.com/google/cel-go/cel"
)

// Integers where the JSON has no fraction, as an API server has them where the schema says so.
func typed(value any) any {
	switch one := value.(type) {
	case json.Number:
		if whole, err := one.Int64(); err == nil {
			return whole
		}
		fraction, _ := one.Float64()
		return fraction
	case map[string]any:
		for name := range one {
			one[name] = typed(one[name])
		}
	case []any:
		for place := range one {
			one[place] = typed(one[place])
		}
	}
	return value
}

func main() {
	file, err := os.Open("resource.json")
	if err != nil {
		panic(err)
	}
	decoder := json.NewDecoder(file)
	decoder.UseNumber()
	var resource any
	if err := decoder.Decode(&resource); err != nil {
		panic(err)
	}
	rules, err := os.ReadFile("rules")
	if err != nil {
		panic(err)
	}
	environment, err := cel.NewEnv(cel.Variable("self", cel.DynType), cel.CrossTypeNumericComparisons(true))
	if err != nil {
		panic(err)
	}
	resource = typed(resource)
	for number, rule := range strings.Split(strings.TrimSpace(string(rules)), "\n") {
		answer := "error"
		tree, issues := environment.Compile(rule)
		if issues.Err() == nil {
			if program, err := environment.Program(tree); err == nil {
				if value, _, err := program.Eval(map[string]any{"self": resource}); err == nil {
					answer = fmt.Sprint(value.Value())
				}
			}
		}
		fmt.Println("cel-go", number, answer)
	}
}
GO
cat >read.mjs <<'JS'
import { readFileSync } from 'fs'
import { run } from '@bufbuild/cel'
import { evaluate as typed } from '@marcbachmann/cel-js'
import { evaluate as small } from 'cel-js'
const self = JSON.parse(readFileSync('resource.json', 'utf8'))
const libraries = { '@bufbuild': (rule) => run(rule, { self }), '@marcbachmann': (rule) => typed(rule, { self }), 'cel-js': (rule) => small(rule, { self }) }
for (const [name, evaluate] of Object.entries(libraries)) {
  readFileSync('rules', 'utf8').trim().split('\n').forEach((rule, number) => {
    let answer
    try {
      const value = evaluate(rule)
      answer = value !== null && typeof value === 'object' ? 'error' : String(value) // @bufbuild/cel returns its errors
    } catch {
      answer = 'error'
    }
    console.log(name, number, answer)
  })
}
JS
cat >read.py <<'PY'
import json
import cel, celpy

resource = json.load(open('resource.json'))

def with_celpy(rule):
    environment = celpy.Environment()
    return environment.program(environment.compile(rule)).evaluate({'self': celpy.json_to_cel(resource)})

for name, evaluate in (('cel-python', with_celpy), ('common-expr.', lambda rule: cel.evaluate(rule, {'self': resource}))):
    for number, rule in enumerate(open('rules')):
        try:
            answer = evaluate(rule.strip())
            answer = str(answer).lower() if str(answer) in ('True', 'False') else str(answer)
        except Exception:
            answer = 'error'
        print(name, number, answer)
PY
cat >table.py <<'PY'
import sys

rules = [line.strip() for line in open('rules')]
libraries = ['cel-go', 'cel-python', 'common-expr.', '@bufbuild', '@marcbachmann', 'cel-js']
answers = {}
for line in sys.stdin:
    library, number, answer = line.rstrip('\n').split(' ', 2)
    answers[library, int(number)] = answer
print(f'{"":51}' + ' '.join(f'{library:13}' for library in libraries).rstrip())
for number, rule in enumerate(rules):
    usual = answers['cel-go', number]
    row = [usual] + ['-' if answers[library, number] == usual else answers[library, number] for library in libraries[1:]]
    print(f'{rule:51}' + ' '.join(f'{answer:13}' for answer in row).rstrip())
PY
go mod tidy >/dev/null 2>&1
{
  go run .
  python/bin/python read.py
  TZ=UTC node read.mjs
} >answered
python3 table.py <answered | tee seen
diff - seen <<'SEEN' || { echo "it is otherwise now" >&2; exit 1; }
                                                   cel-go        cel-python    common-expr.  @bufbuild     @marcbachmann cel-js
self.replicas > 1                                  true          -             -             -             -             -
self.replicas in [1, 3, 5]                         true          -             -             -             -             -
self.replicas / 2 + 1                              2             -             -             error         error         2.5
self.replicas % 2                                  1             -             -             error         error         -
self.ports.map(p, p * 2)[1] == 886                 true          -             -             error         error         -
self.replicas > self.load                          true          error         -             -             -             -
string(self.share)                                 2             2.0           -             -             -             error
has(self.note)                                     true          -             -             false         -             -
self.note == null                                  true          -             -             -             -             -
size(self.name)                                    4             -             5             -             -             -
self.name.matches("(?i)^k")                        true          -             -             -             error         error
self.hosts.exists(h, h.port == 443)                true          -             error         -             -             error
self.hosts.exists(h, has(h.port) && h.port == 443) true          -             -             -             -             -
self.port == 443 || self.replicas == 3             true          -             -             -             -             error
self.replicas == 3 || self.port == 443             true          -             -             -             -             error
duration(self.every) == duration("90m")            true          -             -             -             -             error
string(duration(self.every))                       5400s         -             1h30m0s       -             error         error
timestamp(self.night).getHours("Europe/Rome")      0             -             error         -             -             error
timestamp(self.noon).getDate("Europe/Rome")        1             -             error         -             -             error
timestamp(self.night).getDate("Europe/Rome")       2             -             error         3             -             error
timestamp(self.night).getDayOfWeek("Europe/Rome")  3             -             error         4             -             error
timestamp(self.night).getDate("+01:00")            2             -             error         -             error         error
timestamp(self.night).getDate()                    1             -             -             -             -             error
SEEN
