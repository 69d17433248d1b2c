#!/usr/bin/env bash
# NO_PROXY with blanks in place of commas, an address with its port, or `svc` for `.svc`: nine, six and three of thirteen clients ask the proxy for the service all the same.
#
# urllib of Python 3.11, requests 2.34.2, niquests 3.21.2, httpx 0.28.1, aiohttp 3.14.5 (trust_env), primp 2.0.1, curl_cffi 0.17.0, pycurl 7.49.0 (Python);
# undici 7.30.2 (EnvHttpProxyAgent), axios 1.21.1, proxy-agent 8.0.3, global-agent 4.1.6 (Node.js 20); net/http of Go 1.26. Needs user namespaces and `ip`.
#
# A chart gives each pod the same NO_PROXY, and each client reads it in its own way. `*.svc` is a name like any other for the eight in Python, and for none in
# JavaScript or Go; `svc` covers what is below it but for axios, proxy-agent and global-agent. A name with a port counts for no request of aiohttp,
# primp and libcurl, and an address with a port neither for requests and niquests, which take a port after a name. A network is one for seven of
# thirteen. Blanks in place of commas are taken by the four in JavaScript. A host that ends with a dot, which spares vain look-ups, is no
# longer covered by `.svc` with ten. The proxy outside the cluster knows no such name and answers 502, or 503, as the service itself might.
#
# Guess before: a leading dot counts for all, `*.svc` for undici, axios, proxy-agent and Go, a port for all but libcurl, blanks for all, a network for
# requests, niquests, httpx, primp, libcurl and Go, a dot at the host's end for Go and libcurl. For `svc` there was none.
# What follows: for a chart, `.svc` and `.svc.cluster.local` with commas, without ports, and cluster addresses by name; for a client that
# asks a service beside it, no proxy from the environment.
#
# Output seen: the table at the end of this file (proxy: asked the proxy; - did not). The hosts are config.shop.svc, in `dot` config.shop.svc. and 10.96.3.4.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv python
python/bin/pip install --quiet --disable-pip-version-check requests==2.34.2 niquests==3.21.2 httpx==0.28.1 aiohttp==3.14.5 primp==2.0.1 curl_cffi==0.17.0 \
  pycurl==7.49.0
npm install --silent --prefix . undici@7.30.2 axios@1.21.1 proxy-agent@8.0.3 global-agent@4.1.6 >/dev/null

cat >ask.mjs <<'JS'
import http from 'http'
const [name, url] = process.argv.slice(2)
if (name === 'undici') {
  const { fetch, EnvHttpProxyAgent } = await import('undici')
  await fetch(url, { dispatcher: new EnvHttpProxyAgent({ proxyTunnel: false }) })
} else if (name === 'axios') {
  const { default: axios } = await import('axios')
  await axios.get(url)
} else if (name === 'proxy-agent') {
  const { ProxyAgent } = await import('proxy-agent')
  http.get(url, { agent: new ProxyAgent() }, (answer) => answer.resume())
} else {
  process.env.GLOBAL_AGENT_HTTP_PROXY = process.env.HTTP_PROXY
  process.env.GLOBAL_AGENT_NO_PROXY = process.env.NO_PROXY
  const { bootstrap } = await import('global-agent')
  bootstrap()
  http.get(url, (answer) => answer.resume())
}
JS
cat >ask.go <<'GO'
package main

import (
	"net/http"
	"os"
)

func main() { http.Get(os.Args[1]) }
GO
go build -o ask ask.go

cat >clients.py <<'PY'
import asyncio, http.server, os, subprocess, threading, urllib.request
import aiohttp, curl_cffi.requests, httpx, niquests, primp, pycurl, requests

asked = []

class Proxy(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        asked.append(self.path)
        self.send_response(200)
        self.send_header('Content-Length', '0')
        self.send_header('Connection', 'close')
        self.end_headers()

    def log_message(self, *_):
        pass

async def with_aiohttp(url):
    async with aiohttp.ClientSession(trust_env=True) as session, session.get(url) as answer:
        await answer.read()

def with_pycurl(url):
    handle = pycurl.Curl()
    handle.setopt(handle.URL, url)
    handle.perform()

def program(*command):
    return lambda url: subprocess.run([*command, url], capture_output=True)

clients = {
    'urllib': lambda url: urllib.request.build_opener().open(url),
    'requests': requests.get,
    'niquests': niquests.get,
    'httpx': httpx.get,
    'aiohttp': lambda url: asyncio.run(with_aiohttp(url)),
    'primp': lambda url: primp.Client().get(url),
    'curl_cffi': lambda url: curl_cffi.requests.Session().get(url),
    'pycurl': with_pycurl,
    **{name: program('node', 'ask.mjs', name) for name in ['undici', 'axios', 'proxy-agent', 'global-agent']},
    'net/http': program('./ask'),
}
name, address = 'config.shop.svc', '10.96.3.4'
cases = {
    '.svc': ('.svc', name), 'svc': ('svc', name), '*.svc': ('*.svc', name), 'name': (name, name), 'name:8200': (name + ':8200', name),
    'network': ('10.96.0.0/12', address), 'address': (address, address), 'addr:8200': (address + ':8200', address), 'blank': ('a .svc', name),
    'a,*': ('a,*', name), 'dot': ('.svc', name + '.'),
}
proxy = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Proxy)
threading.Thread(target=proxy.serve_forever, daemon=True).start()
os.environ['http_proxy'] = os.environ['HTTP_PROXY'] = f'http://127.0.0.1:{proxy.server_port}'

def asks_proxy(client, excepted, host):
    os.environ['no_proxy'] = os.environ['NO_PROXY'] = excepted
    asked.clear()
    try:
        clients[client](f'http://{host}:8200/')
    except Exception:
        pass  # Without the proxy no such host is reached in here.
    return bool(asked)

print(f"{'':14}" + ''.join(f'{case:11}' for case in cases))
for client in clients:
    assert all(asks_proxy(client, 'other', host) for host in [name, name + '.', address]), client
    print(f'{client:14}' + ''.join(f"{'proxy' if asks_proxy(client, *case) else '-':11}" for case in cases.values()))
PY
unshare --user --map-root-user --net sh -c 'ip link set lo up && exec python/bin/python clients.py' | sed 's/ *$//' | tee seen
diff - seen <<'SEEN' || { echo "it is otherwise now" >&2; exit 1; }
              .svc       svc        *.svc      name       name:8200  network    address    addr:8200  blank      a,*        dot
urllib        -          -          proxy      -          -          proxy      -          -          proxy      proxy      proxy
requests      -          -          proxy      -          -          -          -          proxy      proxy      proxy      proxy
niquests      -          -          proxy      -          -          -          -          proxy      proxy      proxy      proxy
httpx         -          -          proxy      -          -          proxy      -          -          proxy      -          proxy
aiohttp       -          -          proxy      -          proxy      proxy      -          proxy      proxy      proxy      proxy
primp         -          -          proxy      -          proxy      -          -          proxy      proxy      -          proxy
curl_cffi     -          -          proxy      -          proxy      -          -          proxy      proxy      proxy      -
pycurl        -          -          proxy      -          proxy      -          -          proxy      proxy      proxy      -
undici        -          -          -          -          -          proxy      -          -          -          proxy      proxy
axios         -          proxy      -          -          -          -          -          -          -          -          -
proxy-agent   -          proxy      -          -          -          proxy      -          -          -          -          proxy
global-agent  -          proxy      -          -          -          proxy      -          -          -          -          proxy
net/http      -          -          -          -          -          -          -          -          proxy      -          proxy
SEEN
