#!/usr/bin/env bash
# sops gives back other values than it was given: an INI value ends at its first `;` or `#`, a day in YAML becomes a moment, a long integer is rounded.
#
# sops 3.13.3 with age-keygen 1.3.1 (Go 1.26); read by configparser, json of Python 3.11 and sigs.k8s.io/yaml 1.6.0, with which kubectl and Helm read.
#
# A file that goes through `sops encrypt` and `sops decrypt` is written anew from what sops read. In INI it takes `;` and `#` within a value for the
# beginning of a comment, and quotes and backticks for quoting, which configparser does not: of a random password the part before remains, and
# the rest stands in a line of its own as a comment. In YAML 2026-01-01 comes back as 2026-01-01T00:00:00Z; both are texts for kubectl and
# Helm, and they differ. In JSON an integer from 2^63 on is rounded. It says nothing in any of these cases, and its digest (mac) is content, for it
# covers what was read. In YAML it refuses such an integer, and keys that are numbers or truth values.
#
# Guess before: comments, order and quoting may change; what a value is for its reader does not.
# What follows: encrypt with --input-type binary --output-type binary what has to come back as it was; quote days; no secrets in INI.
#
# Output seen: the table at the end of this file.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
GOBIN=$folder go install github.com/getsops/sops/v3/cmd/sops@v3.13.3 2>/dev/null
GOBIN=$folder go install filippo.io/age/cmd/age-keygen@v1.3.1 2>/dev/null
mkdir go
cat >go/go.mod <<'GO'
module finding
go 1.25
require sigs.k8s.io/yaml v1.6.0
GO
cat >go/main.go <<'GO'
package main

import (
	"io"
	"os"

	"sigs.k8s.io/yaml"
)

func main() {
	text, _ := io.ReadAll(os.Stdin)
	json, err := yaml.YAMLToJSON(text)
	if err != nil {
		panic(err)
	}
	os.Stdout.Write(json)
}
GO
(cd go && go mod tidy 2>/dev/null && go build -o ../yaml-to-json .)
./age-keygen -o key 2>/dev/null
cat >through.py <<'PY'
import configparser, json, os, re, subprocess
os.environ['SOPS_AGE_KEY_FILE'] = 'key'
recipient = re.search('age1[a-z0-9]+', open('key').read())[0]

def sops(*arguments):
    run = subprocess.run(['./sops', '--disable-version-check', *arguments], capture_output=True, text=True)
    return run.stdout if run.returncode == 0 else None

def through(name, text, *choices):
    with open(name, 'w') as file:
        file.write(text)
    encrypted = sops('encrypt', *choices, '--age', recipient, name)
    if encrypted is None:
        return None
    with open('encrypted-' + name, 'w') as file:
        file.write(encrypted)
    return sops('decrypt', *choices, 'encrypted-' + name)

def of_ini(text):
    parser = configparser.ConfigParser(interpolation=None)
    parser.read_string(text)
    return parser['one']['value']

def of_json(text):
    return json.loads(text)['value']

def of_yaml(text):
    return json.loads(subprocess.check_output(['./yaml-to-json'], input=text, text=True))['value']

print(f"{'':5} {'written':32} {'read before':32} read after sops")
values = {
    'ini': (of_ini, '[one]\nvalue = {}\n', ['pa;ss', 'pa#ss', 'pa ; ss', '"pass"', '`pass`', 'pa=ss']),
    'yaml': (of_yaml, 'value: {}\n', ['2026-01-01', '"2026-01-01"', '9223372036854775807', '9223372036854775808']),
    'json': (of_json, '{{"value": {}}}', ['9223372036854775807', '9223372036854775808', '123456789012345678901234567890', '"2026-01-01"']),
}
for kind, (read, form, written) in values.items():
    for one in written:
        text = form.format(one)
        back = through('file.' + kind, text)
        print(f"{kind:5} {one:32} {json.dumps(read(text)):32} {'refused' if back is None else json.dumps(read(back))}")
for text in ('1: a\n', 'true: a\n'):
    print(f"yaml  {text.strip():32} {'':32} {'refused' if through('file.yaml', text) is None else 'taken'}")
text = '[one]\nvalue = pa;ss\n'
same = through('file.ini', text, '--input-type', 'binary', '--output-type', 'binary') == text
print('ini as binary:', 'comes back as it was' if same else 'is another')
PY
python3 through.py | sed 's/ *$//' | tee seen
diff - seen <<'SEEN' || { echo "it is otherwise now" >&2; exit 1; }
      written                          read before                      read after sops
ini   pa;ss                            "pa;ss"                          "pa"
ini   pa#ss                            "pa#ss"                          "pa"
ini   pa ; ss                          "pa ; ss"                        "pa"
ini   "pass"                           "\"pass\""                       "pass"
ini   `pass`                           "`pass`"                         "pass"
ini   pa=ss                            "pa=ss"                          "pa=ss"
yaml  2026-01-01                       "2026-01-01"                     "2026-01-01T00:00:00Z"
yaml  "2026-01-01"                     "2026-01-01"                     "2026-01-01"
yaml  9223372036854775807              9223372036854775807              9223372036854775807
yaml  9223372036854775808              9223372036854775808              refused
json  9223372036854775807              9223372036854775807              9223372036854775807
json  9223372036854775808              9223372036854775808              9223372036854776000
json  123456789012345678901234567890   123456789012345678901234567890   1.2345678901234568e+29
json  "2026-01-01"                     "2026-01-01"                     "2026-01-01"
yaml  1: a                                                              refused
yaml  true: a                                                           refused
ini as binary: comes back as it was
SEEN
