#!/usr/bin/env bash
# Six readers of .env files make different secrets of the same lines, and none of them says so.
#
# python-dotenv 1.2.1, python-decouple 3.8, django-environ 0.12.0, starlette 0.50.0 (Python); dotenv 17.2.3 alone and with
# dotenv-expand 12.0.3 (JavaScript).
#
# A random key holds `$`, `#` or a blank sooner or later. `pa#ss` is "pa" for dotenv, whose unquoted comment needs no blank in front.
# `S3cr$et-key` is "S3cr-key" with dotenv-expand. Single quotes protect `${NAME}` from a shell, but neither from python-dotenv
# nor from dotenv-expand. `$ecret` is the name of a variable for django-environ, which stops, and nothing for dotenv-expand. A blank
# and `#` end the value for two readers and belong to it for three.
#
# Guess before: single quotes keep everything everywhere; `$NAME` without braces is replaced by dotenv-expand only; a comment needs a
# blank in front everywhere. The first and the last were wrong.
# What follows: secrets as files with one key in each, or keys of letters and digits alone.
#
# Output seen: the table at the end of this file.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv python
python/bin/pip install --quiet python-dotenv==1.2.1 python-decouple==3.8 django-environ==0.12.0 starlette==0.50.0
npm install --silent --prefix . dotenv@17.2.3 dotenv-expand@12.0.3 >/dev/null

cat >.env <<'LINES'
DOLLAR=S3cr$et-key
BRACES='S3cr${UNSET}key'
HASH=pa#ss
COMMENT=pa ss # ends
FIRST=$ecret
LINES
cat >readers.js <<'JS'
const lines = require('dotenv').parse(require('fs').readFileSync('.env'))
const expanded = require('dotenv-expand').expand({ parsed: { ...lines }, processEnv: {} }).parsed
console.log(JSON.stringify([lines, expanded]))
JS
cat >readers.py <<'PY'
import json, subprocess
import dotenv, environ
from decouple import RepositoryEnv
from starlette.config import Config

names = ['DOLLAR', 'BRACES', 'HASH', 'COMMENT', 'FIRST']
alone, expanded = json.loads(subprocess.check_output(['node', 'readers.js'], text=True).splitlines()[-1])
environ.Env.read_env('.env', overwrite=True)

def with_environ(name):
    try:
        return environ.Env()(name)
    except environ.ImproperlyConfigured:
        return 'stops'

readers = {
    'python-dotenv': dotenv.dotenv_values('.env').get,
    'decouple': RepositoryEnv('.env').data.get,
    'django-environ': with_environ,
    'starlette': Config('.env').file_values.get,
    'dotenv': alone.get,
    'dotenv-expand': expanded.get,
}
print(' ' * 14, *(f'{name:16}' for name in names))
for reader, read in readers.items():
    print(f'{reader:14}', *(f'{read(name):16}' for name in names))
PY
python/bin/python readers.py | sed 's/ *$//' | tee seen
diff - seen <<'SEEN'
               DOLLAR           BRACES           HASH             COMMENT          FIRST
python-dotenv  S3cr$et-key      S3crkey          pa#ss            pa ss            $ecret
decouple       S3cr$et-key      S3cr${UNSET}key  pa#ss            pa ss # ends     $ecret
django-environ S3cr$et-key      S3cr${UNSET}key  pa#ss            pa ss # ends     stops
starlette      S3cr$et-key      S3cr${UNSET}key  pa#ss            pa ss # ends     $ecret
dotenv         S3cr$et-key      S3cr${UNSET}key  pa               pa ss            $ecret
dotenv-expand  S3cr-key         S3crkey          pa               pa ss
SEEN
