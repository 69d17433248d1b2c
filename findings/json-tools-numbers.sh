#!/usr/bin/env bash
# Eight of thirteen tools for JSON change a number beside the one that they were asked to change; Miller makes a text of it, and dasel refuses 1e-7.
#
# jq 1.6, Miller 6.6.0, jshon 20131010 (Debian 12's), json_pp of Perl 5.36; the wheel jq 1.13.0, jello 1.6.1 (Python 3.11); gojq 0.12.19, yq 4.50.1, dasel
# 3.11.2, cue 0.14.2, jsonnet 0.22.0 (Go 1.26); json 11.0.0, fx 39.2.0 (JavaScript).
#
# A script reads an object, gives one member another value and writes all of it back, so every other member goes through the tool. An id of 19 digits, as
# databases give them, comes back as another id from five. Of 20 digits Miller makes a text, and dasel and jshon refuse them. dasel refuses
# 1e-7 too, which many writers make of a small number. 1.0 becomes 1 with eight, and is an integer for the next reader. Miller writes a control
# character as it is, which no reader of JSON takes. Three sort the members. cue and jello alone leave all as it was.
#
# Guess before: jq 1.6, jsonnet and perhaps dasel round long integers, and dasel, gojq and jsonnet make 1 of 1.0; the wheel jq and yq keep what they do
# not touch; none refuses a value.
# What follows: ids and fractions that matter are texts in a stored value; a script changes one member in a language whose numbers it knows.
#
# Output seen: the table at the end of this file (- where the value comes back as it meant; none: no JSON comes).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
apt-get -o APT::Sandbox::User=root download --quiet=2 jq libjq1 libonig5 miller jshon libjansson4
for package in *.deb; do dpkg-deb --extract "$package" root; done
python3 -m venv python
python/bin/pip install --quiet --disable-pip-version-check jq==1.13.0 jello==1.6.1
npm install --silent --prefix . json@11.0.0 fx@39.2.0 >/dev/null
for module in github.com/itchyny/gojq/cmd/gojq@v0.12.19 github.com/mikefarah/yq/v4@v4.50.1 github.com/tomwright/dasel/v3/cmd/dasel@v3.11.2 \
  cuelang.org/go/cmd/cue@v0.14.2 github.com/google/go-jsonnet/cmd/jsonnet@v0.22.0; do
  GOBIN=$folder go install "$module" 2>/dev/null
done

cat >tools.py <<'PY'
import glob, json, os, subprocess

class Number(str):
    'A number as it is spelled.'

def read(text):
    return json.loads(text, parse_int=Number, parse_float=Number, object_pairs_hook=list)

environment = dict(os.environ, LD_LIBRARY_PATH=glob.glob('root/usr/lib/*-linux-gnu')[0], HOME=os.getcwd(), XDG_CACHE_HOME=os.path.join(os.getcwd(), 'cache'))
tools = {
    'jq 1.6': ['root/usr/bin/jq', '.port = 5433'],
    'jq (wheel)': ['python/bin/python', '-c', 'import jq, sys; print(jq.compile(".port = 5433").input_text(sys.stdin.read()).text())'],
    'gojq': ['./gojq', '.port = 5433'],
    'yq': ['./yq', '-p', 'json', '-o', 'json', '.port = 5433'],
    'dasel': ['./dasel', '-i', 'json', '--root', 'port = 5433'],
    'cue': ['sh', '-c', 'cat >in.json; ./cue export in.json --out json | sed s/5432/5433/'],
    'jsonnet': ['sh', '-c', 'cat >in.json; ./jsonnet -e \'(import "in.json") + {port: 5433}\''],
    'Miller': ['root/usr/bin/mlr', '--json', 'put', '$port = 5433'],
    'jshon': ['root/usr/bin/jshon', '-n', '5433', '-i', 'port'],
    'json': ['node_modules/.bin/json', '-e', 'this.port = 5433'],
    'fx': ['node_modules/.bin/fx', '.port = 5433, this'],
    'jello': ['python/bin/jello', '-l', '_["port"] = 5433\n_'],
    'json_pp': ['sh', '-c', 'json_pp | sed s/5432/5433/'],
}
values = {
    '1234567890123456789': None, '18446744073709551615': None, '1.0': None, '1e-7': None,
    'control': '"\\u0001"', 'order': '{"b": 1, "a": 2}',
}

def came_back(tool, value):
    run = subprocess.run(tools[tool], input='{"port": 5432, "value": %s}' % value, capture_output=True, text=True, env=environment)
    try:
        found = read(run.stdout)
        members = dict(found[0] if tool == 'Miller' else found)
    except ValueError:
        return 'none'
    assert members['port'] == '5433'
    given, got = read(value), members['value']
    if type(got) is list:
        return '-' if got == given else 'sorted'
    # Another spelling of the same number is no other number; an integer in place of a fraction is.
    same = type(got) is Number and type(given) is Number and float(got) == float(given) and ('.' in got) == ('.' in given)
    same = same and (not given.isdigit() or got == given) or '1e-7' == given and type(got) is Number and float(got) == 1e-7
    return '-' if got == given and type(got) is type(given) or same else got if type(got) is Number else json.dumps(got)

print(f"{'':12}" + ''.join(f'{title:24}' for title in values))
for tool in tools:
    print(f'{tool:12}' + ''.join(f'{came_back(tool, value or title):24}' for title, value in values.items()))
PY
python3 tools.py | sed 's/ *$//' | tee seen
diff - seen <<'SEEN' || { echo "it is otherwise now" >&2; exit 1; }
            1234567890123456789     18446744073709551615    1.0                     1e-7                    control                 order
jq 1.6      1234567890123456800     18446744073709552000    1                       -                       -                       -
jq (wheel)  1234567890123456768     18446744073709551616    1                       -                       -                       -
gojq        -                       -                       -                       -                       -                       sorted
yq          1234567890123456768     18446744073709552000    1                       -                       -                       -
dasel       -                       none                    1                       none                    -                       -
cue         -                       -                       -                       -                       -                       -
jsonnet     1234567890123456768     18446744073709551616    1                       -                       -                       sorted
Miller      -                       "18446744073709551615"  -                       -                       none                    -
jshon       -                       none                    -                       -                       -                       -
json        1234567890123456800     18446744073709552000    1                       -                       -                       -
fx          -                       -                       1                       -                       -                       -
jello       -                       -                       -                       -                       -                       -
json_pp     -                       -                       1                       -                       -                       sorted
SEEN
