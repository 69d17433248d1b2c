#!/usr/bin/env bash
# Four of five writers of YAML leave texts without quotes that Kubernetes reads as numbers or truth values, PyYAML the most of them.
#
# PyYAML 6.0.3, ruamel.yaml 0.19.1, ryaml 0.5.1 (Python), yaml 2.9.1, js-yaml 5.5.0 (JavaScript); read by Helm 4.3.1, with the library
# that kubectl and controllers read with.
#
# Kubernetes reads a mixture of YAML 1.1, 1.2 and its own. A writer quotes what it would itself misread. PyYAML follows 1.1, where a number
# with an exponent has a dot, 08 is a text and so is `y` (by its own choice): the beginning of a hash, 12e4, becomes 120000, and the
# month 08 is 8. Writers of 1.2 leave no and y alone, two of them 1_000. In a ConfigMap, where values are strings, that is an error; as a value
# of a chart, or in a custom resource that keeps unknown fields, it is another value. js-yaml alone, which quotes for both, is right in all.
#
# Guess before: PyYAML is safe, as both speak 1.1; the writers of 1.2 fail at `no`, and at nothing else.
# What follows: manifests that a program makes are JSON, which is YAML too.
#
# Output seen: the table at the end of this file (- where the text comes back as it was).
set -euo pipefail
helm=$("$(dirname "$0")/../e2e/charts/helm.sh" 4)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv python
python/bin/pip install --quiet PyYAML==6.0.3 ruamel.yaml==0.19.1 ryaml==0.5.1
npm install --silent --prefix . yaml@2.9.1 js-yaml@5.5.0 >/dev/null
mkdir -p chart/templates
printf 'apiVersion: v2\nname: chart\nversion: 0.1.0\n' >chart/Chart.yaml
echo 'read: {{ .Values.texts | toJson }}' >chart/templates/read.yaml
cat >write.js <<'JS'
const document = JSON.parse(process.argv[3])
process.stdout.write(process.argv[2] === 'yaml' ? require('yaml').stringify(document) : require('js-yaml').dump(document))
JS
cat >write.py <<'PY'
import io, json, subprocess, sys
import ruamel.yaml, ryaml, yaml

def with_ruamel(document):
    text = io.StringIO()
    ruamel.yaml.YAML().dump(document, text)
    return text.getvalue()

def with_node(name):
    return lambda document: subprocess.check_output(['node', 'write.js', name, json.dumps(document)], text=True)

texts = ['12e4', '08', '0o17', '-.5', '0123456789012345678901', 'y', 'no', '1_000', '0b11', '12:30:45']
writers = {'PyYAML': yaml.safe_dump, 'ruamel.yaml': with_ruamel, 'ryaml': ryaml.dumps, 'yaml': with_node('yaml'), 'js-yaml': with_node('js-yaml')}
columns = []
for write in writers.values():
    with open('values.yaml', 'w') as values:
        values.write(write({'texts': texts}))
    rendered = subprocess.check_output([sys.argv[1], 'template', 'chart', '-f', 'values.yaml'], text=True)
    read = json.loads(rendered[rendered.index('read: ') + 6:])
    columns.append(['-' if one == text else json.dumps(one) for text, one in zip(texts, read)])
print(f"{'':23}", *(f'{name:22}' for name in writers))
for text, row in zip(texts, zip(*columns)):
    print(f'{text:23}', *(f'{one:22}' for one in row))
PY
python/bin/python write.py "$helm" | sed 's/ *$//' | tee seen
diff - seen <<'SEEN' || { echo "it is otherwise now" >&2; exit 1; }
                        PyYAML                 ruamel.yaml            ryaml                  yaml                   js-yaml
12e4                    120000                 -                      -                      -                      -
08                      8                      -                      -                      -                      -
0o17                    15                     -                      -                      -                      -
-.5                     -0.5                   -                      -                      -                      -
0123456789012345678901  123456789012345680000  -                      -                      -                      -
y                       true                   true                   true                   true                   -
no                      -                      false                  false                  false                  -
1_000                   -                      -                      1000                   1000                   -
0b11                    -                      -                      -                      3                      -
12:30:45                -                      -                      -                      -                      -
SEEN
