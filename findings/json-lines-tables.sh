#!/usr/bin/env bash
# DataFusion makes 2 of the number 2.5 where a member of a log in JSON lines was an integer in the first thousand, and like polars and petl leaves out members that come later.
#
# pandas 3.1.1, alone, with engine='pyarrow' and with dtype=False, polars 2.1.0, pyarrow 26.0.1, duckdb 2.0.1, datafusion 55.0.0, agate 1.14.2 (with which
# csvkit reads), petl 1.7.30, sqlite-utils 4.2.1 (Python 3.11), each with the call that its documentation begins with.
#
# An audit log, an export or a list of changes is one JSON object a line, and these make a table of it. They judge each member by what they saw of it first:
# petl by the first line, polars by 100, DataFusion by 1000, duckdb by some 20,000. A member that begins with a later line, as a new version's or a rare error's does,
# is no column for three of them, without a word; a test with a short log passes. A fraction after a thousand integers loses its fraction with DataFusion,
# and only there; polars refuses it. pandas makes the number 421 of the text "00421", keeps it with dtype=False, and rounds a long integer
# beside a null in each of its forms; an integer of 20 digits it refuses, where four round it. duckdb gives a text with its quotes where the member was a
# number before. For pyarrow no line may be longer than a megabyte, and a text that looks like a day is a moment. agate makes None of an object.
#
# Guess before: pandas and agate make numbers of texts, duckdb makes days, polars leaves out a late member; all others keep what they take, and
# pyarrow and DataFusion refuse what changes its kind.
# What follows for a writer of such a log: the same members in each line, null where there is nothing, each of one kind, ids as texts with a letter in front.
# For its reader: a schema of one's own, or json.loads for each line.
#
# Output seen: the table at the end of this file (- where the value of the last line comes back as it was; gone: no such member).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv python
python/bin/pip install --quiet --disable-pip-version-check pandas==3.1.1 polars==2.1.0 pyarrow==26.0.1 duckdb==2.0.1 datafusion==55.0.0 agate==1.14.2 \
  petl==1.7.30 sqlite-utils==4.2.1

cat >tables.py <<'PY'
import json, subprocess, sys, warnings
import agate, duckdb, pandas, petl, polars, pyarrow.json
from datafusion import SessionContext

warnings.simplefilter('ignore')

def with_sqlite_utils(path):
    tool = [sys.executable, '-m', 'sqlite_utils']
    subprocess.run(tool + ['insert', path + '.db', 'log', path, '--nl', '--alter'], check=True, capture_output=True)
    return json.loads(subprocess.check_output(tool + ['rows', path + '.db', 'log'], text=True))

def with_duckdb(path):
    answer = duckdb.sql(f"from read_json('{path}')")
    return [dict(zip(answer.columns, row)) for row in answer.fetchall()]

def with_agate(path):
    table = agate.Table.from_json(path, newline=True)
    return [dict(zip(table.column_names, row.values())) for row in table.rows]

def with_datafusion(path):
    return [row for batch in SessionContext().read_json(path, file_extension='.jsonl').collect() for row in batch.to_pylist()]

readers = {
    'pandas': lambda path: pandas.read_json(path, lines=True).to_dict('records'),
    '  dtype=False': lambda path: pandas.read_json(path, lines=True, dtype=False).to_dict('records'),
    '  pyarrow': lambda path: pandas.read_json(path, lines=True, engine='pyarrow').to_dict('records'),
    'pyarrow': lambda path: pyarrow.json.read_json(path).to_pylist(),
    'polars': lambda path: polars.read_ndjson(path).to_dicts(),
    'datafusion': with_datafusion,
    'duckdb': with_duckdb,
    'agate': with_agate,
    'petl': lambda path: list(petl.dicts(petl.fromjson(path, lines=True))),
    'sqlite-utils': with_sqlite_utils,
}
logs = {
    'digits': [{'value': '00421'}],
    'day': [{'value': '2026-01-01'}],
    'beside null': [{'value': None}, {'value': 1234567890123456789}],
    '20 digits': [{'value': 18446744073709551616}],
    'late': [{'name': 'a'}] * 1500 + [{'name': 'a', 'value': 'late'}],
    'fraction': [{'value': 1}] * 1500 + [{'value': 2.5}],
    'late text': [{'value': 1}] * 1500 + [{'value': 'abc'}],
    'object': [{'value': 1}, {'value': {'a': 1}}],
    '2 MiB': [{'value': 'x' * (2 << 20)}],
}

def came_back(reader, title):
    path = title.replace(' ', '-') + '.jsonl'
    with open(path, 'w') as file:
        file.writelines(json.dumps(line) + '\n' for line in logs[title])
    try:
        rows = readers[reader](path)
    except Exception:
        return 'refused'
    assert len(rows) == len(logs[title])
    wanted, row = logs[title][-1]['value'], rows[-1]
    got = row.get('value', 'gone')
    # Decimal is agate's kind for each number.
    same = got == wanted and (type(got) is type(wanted) or type(got).__name__ == 'Decimal')
    return '-' if same else f'{got:.10g}' if type(got) is float else str(got)

print(f"{'':15}" + ''.join(f'{title:21}' for title in logs))
for reader in readers:
    print(f'{reader:15}' + ''.join(f'{came_back(reader, title):21}' for title in logs))
PY
python/bin/python tables.py | sed 's/ *$//' | tee seen
diff - seen <<'SEEN' || { echo "it is otherwise now" >&2; exit 1; }
               digits               day                  beside null          20 digits            late                 fraction             late text            object               2 MiB
pandas         421                  -                    1.23456789e+18       refused              -                    -                    -                    -                    -
  dtype=False  -                    -                    1.23456789e+18       refused              -                    -                    -                    -                    -
  pyarrow      -                    2026-01-01 00:00:00  1.23456789e+18       1.844674407e+19      -                    -                    refused              refused              refused
pyarrow        -                    2026-01-01 00:00:00  -                    1.844674407e+19      -                    -                    refused              refused              refused
polars         -                    -                    -                    -                    gone                 refused              refused              refused              -
datafusion     -                    -                    -                    1.844674407e+19      gone                 2                    refused              refused              -
duckdb         -                    2026-01-01           -                    1.844674407e+19      -                    -                    "abc"                {"a":1}              -
agate          421                  2026-01-01           -                    -                    -                    -                    -                    None                 -
petl           -                    -                    -                    -                    gone                 -                    -                    -                    -
sqlite-utils   -                    -                    -                    refused              -                    -                    -                    {"a": 1}             -
SEEN
