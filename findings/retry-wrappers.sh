#!/usr/bin/env bash
# aiohttp-retry sends a refused POST again at once, whatever Retry-After asks for, and gives up on 429; its six peers do neither.
#
# aiohttp-retry 2.9.1, urllib3 2.8.0 (under requests 2.34.2), httpx-retries 0.6.0 (Python); got 14.6.6, ky 1.14.3, axios-retry 4.5.0, undici 7.30.2
# (JavaScript), each as it comes, with the number of tries as its only setting where one is needed.
#
# A server that is short of something answers 503 or 429 with Retry-After. aiohttp-retry repeats each status from 500 on, of any method, after
# its own 0.2 s, and takes 429 for an answer. So it presses hardest when it is asked to wait, and a POST that was carried out before its answer
# was lost on the way is carried out twice. The others leave POST alone and wait; but three of them send a body that was too large
# (413) a second time, 500 is for good with two, and 507 (no space) is only repeated by two.
#
# Guess before: Retry-After holds for all seven, none repeats a POST, none repeats a 413.
# What follows for a server: a POST needs a key that makes it safe to repeat (or an answer 409 that says so), and no Retry-After with 413.
#
# Output seen: the table at the end of this file (once: no second request; waits: one after the two seconds of Retry-After; again: sooner).
set -euo pipefail
folder=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server"; rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv python
python/bin/pip install --quiet requests==2.34.2 urllib3==2.8.0 httpx==0.28.1 httpx-retries==0.6.0 aiohttp==3.14.5 aiohttp-retry==2.9.1
npm install --silent --prefix . got@14.6.6 ky@1.14.3 axios@1.21.1 axios-retry@4.5.0 undici@7.30.2 >/dev/null

# /CASE/STATUS/RETRY-AFTER: the first request of a case gets the status, later ones 200. /: when the requests of each case came.
cat >server.js <<'JS'
const came = {}
const server = require('http').createServer((request, answer) => {
  request.resume().on('end', () => {
    if (request.url === '/') return answer.end(JSON.stringify(came))
    const times = (came[request.url] ??= [])
    times.push(Date.now())
    const [, , status, after] = request.url.split('/')
    if (times.length > 1) return answer.end()
    answer.writeHead(Number(status), after === 'none' ? {} : { 'retry-after': after }).end()
  })
})
server.listen(0, '127.0.0.1', () => console.log(server.address().port))
JS
cat >wrappers.mjs <<'JS'
import axios from 'axios'
import axiosRetry from 'axios-retry'
import got from 'got'
import ky from 'ky'
import undici from 'undici'
const wrapped = axios.create()
axiosRetry(wrapped)
const agent = new undici.RetryAgent(new undici.Agent())
const wrappers = {
  got: (method, url) => got(url, { method }),
  ky: (method, url) => ky(url, { method }),
  'axios-retry': (method, url) => wrapped.request({ method, url }),
  undici: (method, url) => undici.request(url, { method, dispatcher: agent }),
}
const [base, ...cases] = process.argv.slice(2)
for (const [name, ask] of Object.entries(wrappers)) {
  for (const [method, path] of cases.map((one) => one.split(' '))) await ask(method, `${base}/${name}-${method}/${path}`).catch(() => {})
}
process.exit()
JS
cat >wrappers.py <<'PY'
import asyncio, json, subprocess, sys
import aiohttp_retry, httpx, httpx_retries, requests
from urllib3.util import Retry

base = f'http://127.0.0.1:{sys.argv[1]}'
cases = {'GET 503 after 2': 'GET 503/2', 'POST 503 after 2': 'POST 503/2', 'GET 429 after 2': 'GET 429/2', 'GET 413 after 2': 'GET 413/2',
         'GET 503': 'GET 503/none', 'GET 500': 'GET 500/none', 'GET 507': 'GET 507/none'}

def with_urllib3(method, url):
    with requests.Session() as session:
        session.mount('http://', requests.adapters.HTTPAdapter(max_retries=Retry(3)))
        session.request(method, url)

def with_httpx_retries(method, url):
    with httpx.Client(transport=httpx_retries.RetryTransport()) as client:
        client.request(method, url)

def with_aiohttp_retry(method, url):
    async def ask():
        async with aiohttp_retry.RetryClient() as client, client.request(method, url):
            pass
    asyncio.run(ask())

names = ['urllib3', 'httpx-retries', 'aiohttp-retry', 'got', 'ky', 'axios-retry', 'undici']
for name, ask in zip(names, [with_urllib3, with_httpx_retries, with_aiohttp_retry]):
    for case in cases.values():
        method, path = case.split()
        ask(method, f'{base}/{name}-{method}/{path}')
subprocess.run(['node', 'wrappers.mjs', base, *cases.values()], check=True)
came = requests.get(base + '/').json()

def outcome(name, case):
    method, path = case.split()
    times = came[f'/{name}-{method}/{path}']
    if len(times) == 1:
        return 'once'
    return 'waits' if times[1] - times[0] > 1800 else 'again'

print(f"{'':16}", *(f'{name:13}' for name in names))
for title, case in cases.items():
    print(f'{title:16}', *(f'{outcome(name, case):13}' for name in names))
PY
node server.js >port &
server=$!
for _ in $(seq 100); do [ -s port ] && break; sleep 0.1; done
python/bin/python wrappers.py "$(cat port)" | sed 's/ *$//' | tee seen
diff - seen <<'SEEN' || { echo "it is otherwise now" >&2; exit 1; }
                 urllib3       httpx-retries aiohttp-retry got           ky            axios-retry   undici
GET 503 after 2  waits         waits         again         waits         waits         waits         waits
POST 503 after 2 once          once          again         once          once          once          once
GET 429 after 2  waits         waits         once          waits         waits         waits         waits
GET 413 after 2  waits         once          once          waits         waits         once          once
GET 503          once          again         again         again         again         again         again
GET 500          once          once          again         again         again         again         again
GET 507          once          once          again         once          once          again         once
SEEN
