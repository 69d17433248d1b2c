#!/usr/bin/env bash
# Two small readers of Kubernetes quantities: one refuses what the metrics API answers, the other makes one byte of 1.5Gi.
#
# lightkube 1.0.1, kubernetes 37.0.2 beside it (Python); kubernetes-resource-parser 0.1.0 (JavaScript).
#
# An API server rewrites the quantities of its own kinds (1.5Gi becomes 1536Mi), but keeps those of custom resources and of annotations as they
# were written; the use of processors comes in nanocores (`n`). lightkube refuses n, u, and E as the sign of an exponent. kubernetes-resource-parser
# takes the digits in front of what it does not know and says nothing: 1.5Gi is one byte, 0.5G none, 1e9 one, 250000000n a quarter of a billion
# cores. The official client for Python reads all.
#
# Guess before: a reader of quantities reads each suffix of their documentation, and refuses what it does not know.
# What follows for an operator: what it shows or writes for others is a whole number with Mi, Gi, m or no unit.
#
# Output seen: the table at the end of this file (bytes or cores).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv python
python/bin/pip install --quiet kubernetes==37.0.2 lightkube==1.0.1
npm install --silent --prefix . kubernetes-resource-parser@0.1.0 >/dev/null
cat >read.js <<'JS'
const { cpuParser, memoryParser } = require('kubernetes-resource-parser')
const [, , ...quantities] = process.argv
console.log(JSON.stringify(quantities.map((one) => String((/[num]$|^[0-9.]+$/.test(one) ? cpuParser : memoryParser)(one)))))
JS
cat >read.py <<'PY'
import json, subprocess
from kubernetes.utils import parse_quantity as official
from lightkube.utils.quantity import parse_quantity as lightkube

quantities = ['250m', '0.5', '250000000n', '500000u', '512Mi', '1.5Gi', '0.5G', '1e9', '1E9', '1E']

def read(parse, quantity):
    try:
        return f'{parse(quantity).normalize():f}'
    except Exception:
        return 'refused'

other = json.loads(subprocess.check_output(['node', 'read.js', *quantities]))
print(f"{'':10} {'kubernetes':20} {'lightkube':20} kubernetes-resource-parser")
for quantity, parsed in zip(quantities, other):
    print(f'{quantity:10} {read(official, quantity):20} {read(lightkube, quantity):20} {parsed}')
PY
python/bin/python read.py | tee seen
diff - seen <<'SEEN' || { echo "it is otherwise now" >&2; exit 1; }
           kubernetes           lightkube            kubernetes-resource-parser
250m       0.25                 0.25                 0.25
0.5        0.5                  0.5                  0.5
250000000n 0.25                 refused              250000000
500000u    0.5                  refused              500000
512Mi      536870912            536870912            536870912
1.5Gi      1610612736           1610612736           1
0.5G       500000000            500000000            0
1e9        1000000000           1000000000           1
1E9        1000000000           refused              1
1E         1000000000000000000  1000000000000000000  1000000000000000000
SEEN
