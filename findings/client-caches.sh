#!/usr/bin/env bash
# Two caches of HTTP clients keep answers that say no-store, and four of seven give back the old answer after a PUT that they carried themselves.
#
# requests-cache 1.3.3, CacheControl 0.14.4, aiohttp-client-cache 0.15.0 (Python); undici 7.30.2 (interceptors.cache), got 14.6.6 (cache),
# axios-cache-interceptor 1.12.3 (axios 1.21.1), make-fetch-happen 14.0.3 (JavaScript), with no setting that is not named.
#
# HTTP keeps a cache from storing what says no-store, from guessing about an answer without dates, and lets it forget an address once a write
# to it succeeded. requests-cache and aiohttp-client-cache store all, no-store too, and the first one does so in a file, in plain text,
# unless told otherwise: secrets that a store seals lie on the client's disk. With `cache_control=True` both heed no-store, and still give
# the value from before one's own PUT, as do got and axios-cache-interceptor. An answer that says nothing about caching is kept by three.
#
# Guess before: all heed no-store and forget what they have written; perhaps requests-cache keeps a no-store.
# What follows for a client: no such cache before a store of secrets, or with cache_control=True; read past it after a write.
#
# Output seen: the table at the end of this file (is the second answer the first one again?).
set -euo pipefail
folder=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server"; rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv python
python/bin/pip install --quiet --disable-pip-version-check requests-cache==1.3.3 CacheControl==0.14.4 aiohttp-client-cache==0.15.0 \
  requests==2.34.2 aiohttp==3.14.5
npm install --silent --force --prefix . undici@7.30.2 got@14.6.6 axios@1.21.1 axios-cache-interceptor@1.12.3 make-fetch-happen@14.0.3 >/dev/null

cat >server.py <<'PY'
import http.server, itertools
count = itertools.count()
says = {'no-store': {'Cache-Control': 'no-store'}, 'nothing': {}, 'write': {'Cache-Control': 'max-age=60'}}

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'

    def answer(self):
        self.rfile.read(int(self.headers.get('Content-Length', 0)))
        body = f'value-{next(count)}'.encode()
        self.send_response(200)
        self.send_header('Content-Type', 'text/plain')
        self.send_header('Content-Length', str(len(body)))
        for name, value in says[self.path.split('/')[1]].items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_PUT = answer

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
import asyncio, sys
import aiohttp_client_cache, cachecontrol, requests, requests_cache
base, sessions = f'http://127.0.0.1:{sys.argv[1]}', []

def show(name, get, put):
    row = []
    for says in ('no-store', 'nothing', 'write'):
        url = f"{base}/{says}/{name.replace(' ', '-')}"
        first = get(url)
        if says == 'write':
            put(url)
        row.append('again' if get(url) == first else '-')
    print(f'{name:36}', *(f'{one:10}' for one in row), flush=True)

def of(session):
    return (lambda url: session.get(url).text, lambda url: session.put(url, data='new').text)

async def ask(session, method, url):
    async with session.request(method, url) as answer:
        return await answer.text()

def of_aiohttp(**choices):
    loop = asyncio.new_event_loop()

    async def make():
        return aiohttp_client_cache.CachedSession(cache=aiohttp_client_cache.CacheBackend(**choices))
    session = loop.run_until_complete(make())
    sessions.append((loop, session))
    return (lambda url: loop.run_until_complete(ask(session, 'GET', url)), lambda url: loop.run_until_complete(ask(session, 'PUT', url)))

print(' ' * 36, 'no-store   nothing    after PUT')
show('requests-cache', *of(requests_cache.CachedSession('kept')))
show('requests-cache, cache_control', *of(requests_cache.CachedSession('heeded', cache_control=True)))
show('CacheControl', *of(cachecontrol.CacheControl(requests.Session())))
show('aiohttp-client-cache', *of_aiohttp())
show('aiohttp-client-cache, cache_control', *of_aiohttp(cache_control=True))
for loop, session in sessions:
    loop.run_until_complete(session.close())
PY
cat >client.mjs <<'JS'
import axios from 'axios'
import { setupCache } from 'axios-cache-interceptor'
import got from 'got'
import makeFetchHappen from 'make-fetch-happen'
import { Agent, fetch, interceptors } from 'undici'
const base = `http://127.0.0.1:${process.argv[2]}`
const dispatcher = new Agent().compose(interceptors.cache())
const cachedAxios = setupCache(axios.create())
const cache = new Map()
const happen = makeFetchHappen.defaults({ cachePath: './happen' })
const clients = {
  undici: async (url, method, body) => (await fetch(url, { dispatcher, method, body })).text(),
  got: (url, method, body) => got(url, { cache, method, body }).text(),
  'axios-cache-interceptor': async (url, method, data) => (await cachedAxios(url, { method, data })).data,
  'make-fetch-happen': async (url, method, body) => (await happen(url, { method, body })).text(),
}
for (const [name, ask] of Object.entries(clients)) {
  const row = []
  for (const says of ['no-store', 'nothing', 'write']) {
    const url = `${base}/${says}/${name}`
    const first = String(await ask(url, 'GET'))
    if (says === 'write') await ask(url, 'PUT', 'new')
    row.push(String(await ask(url, 'GET')) === first ? 'again' : '-')
  }
  console.log(name.padEnd(36), ...row.map((one) => one.padEnd(10)))
}
process.exit()
JS
{
  python/bin/python client.py "$(cat port)"
  node client.mjs "$(cat port)"
} | sed 's/ *$//' | tee seen
grep --quiet --text value-0 kept.sqlite && echo 'the answer lies in kept.sqlite' | tee -a seen
diff - seen <<'SEEN' || { echo "it is otherwise now" >&2; exit 1; }
                                     no-store   nothing    after PUT
requests-cache                       again      again      again
requests-cache, cache_control        -          again      again
CacheControl                         -          -          -
aiohttp-client-cache                 again      again      again
aiohttp-client-cache, cache_control  -          again      again
undici                               -          -          -
got                                  -          -          again
axios-cache-interceptor              -          again      again
make-fetch-happen                    -          -          -
the answer lies in kept.sqlite
SEEN
