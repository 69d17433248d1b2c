#!/usr/bin/env bash
# An answer that was compressed piece by piece ends after its first piece with httpx, httpx2 and primp, without a word; libcurl refuses it.
#
# httpx 0.28.1, httpx2 2.16.2, primp 2.0.1, requests 2.34.2 with urllib3 2.8.0, aiohttp 3.14.5, pycurl 7.49.0, curl_cffi 0.17.0 (Python);
# undici 7.30.2, axios 1.21.1 (JavaScript).
#
# A gzip stream is one member or several, one behind the other: what `cat a.gz b.gz` makes, bgzip and backups that are appended to, and
# servers that compress each piece by itself. httpx hands out the first member, and its length and Content-Length raise no question. Lines of a log
# or of an export end early, and a file that was fetched is a shorter one that looks whole. JSON fails to parse, which is the better case. The
# other readers here give all.
#
# Guess before: httpx stops after the first member, perhaps aiohttp as well; all others read on.
# What follows for a server: one member for each answer. For a client of httpx that fetches exports: a count or a digest beside them.
#
# Output seen: the table at the end of this file (two members, one line in each).
set -euo pipefail
folder=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server"; rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv python
python/bin/pip install --quiet --disable-pip-version-check httpx==0.28.1 httpx2==2.16.2 primp==2.0.1 requests==2.34.2 urllib3==2.8.0 \
  aiohttp==3.14.5 pycurl==7.49.0 curl_cffi==0.17.0
npm install --silent --force --prefix . undici@7.30.2 axios@1.21.1 >/dev/null

cat >server.py <<'PY'
import gzip, http.server
body = gzip.compress(b'first\n') + gzip.compress(b'second\n')

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header('Content-Type', 'text/plain')
        self.send_header('Content-Encoding', 'gzip')
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass

server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)
print(server.server_port, flush=True)
server.serve_forever()
PY
python/bin/python server.py >port &
server=$!
for _ in $(seq 100); do [ -s port ] && break; sleep 0.1; done

cat >client.py <<'PY'
import asyncio, io, sys
import aiohttp, curl_cffi, httpx, httpx2, primp, pycurl, requests
url = f'http://127.0.0.1:{sys.argv[1]}/'

def with_aiohttp():
    async def ask():
        async with aiohttp.ClientSession() as session, session.get(url) as answer:
            return await answer.text()
    return asyncio.run(ask())

def with_pycurl():
    body, curl = io.BytesIO(), pycurl.Curl()
    curl.setopt(curl.URL, url)
    curl.setopt(curl.ACCEPT_ENCODING, 'gzip')
    curl.setopt(curl.WRITEDATA, body)
    curl.perform()
    return body.getvalue().decode()

clients = {
    'requests': lambda: requests.get(url).text,
    'aiohttp': with_aiohttp,
    'httpx': lambda: httpx.get(url).text,
    'httpx2': lambda: httpx2.get(url).text,
    'primp': lambda: primp.get(url).text,
    'pycurl': with_pycurl,
    'curl_cffi': lambda: curl_cffi.get(url).text,
}
for name, ask in clients.items():
    try:
        print(f'{name:10}', *ask().split())
    except Exception as error:
        print(f'{name:10}', type(error).__name__)
PY
cat >client.mjs <<'JS'
import axios from 'axios'
import { fetch } from 'undici'
const url = `http://127.0.0.1:${process.argv[2]}/`
console.log('undici    ', ...(await (await fetch(url)).text()).trim().split('\n'))
console.log('axios     ', ...(await axios(url)).data.trim().split('\n'))
JS
{
  python/bin/python client.py "$(cat port)"
  node client.mjs "$(cat port)"
} | tee seen
diff - seen <<'SEEN' || { echo "it is otherwise now" >&2; exit 1; }
requests   first second
aiohttp    first second
httpx      first
httpx2     first
primp      first
pycurl     error
curl_cffi  RequestException
undici     first second
axios      first second
SEEN
