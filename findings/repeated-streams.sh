#!/usr/bin/env bash
# A PUT whose body is a stream, and that is repeated after a 503, comes without its body and counts as done with five of eighteen clients that repeat.
#
# urllib3 2.8.0, requests 2.34.2 with it, httpx-retries 0.6.0, aiohttp-retry 2.9.1 (Python 3.11); got 14.6.6, ky 1.14.3, axios-retry 4.5.0 (axios 1.21.1),
# undici 7.30.2 (RetryAgent), fetch-retry 6.0.0, ofetch 1.5.1, make-fetch-happen 14.0.3, urllib 4.9.1 (JavaScript, Node.js 20); go-retryablehttp 0.7.8,
# rehttp 1.4.0, heimdall 7.0.3, failsafe-go 0.9.8, resty 2.17.2 and 3.0.0-rc.4 (Go 1.26). Each is told to repeat what is answered 503.
#
# A generator, or a stream of Node.js, can be read once. The second request of these five is sent in pieces, as the first one was, and ends at once:
# an empty text that is whole, which the server stores and answers with 200. urllib3 rewinds a file, and refuses what it cannot rewind with a word of
# its own (UnrewindableBodyError), but takes a generator for a body that needs no rewinding; so does requests, which uses it. axios-retry
# does so with a file too. The others keep what they sent in memory (five), do not repeat it (three), or end with an error of their own (five).
#
# Guess before: urllib3 refuses a generator, aiohttp-retry and httpx-retries refuse streams, Go's five send all of it again; only axios-retry sends none.
# What follows: give such a client a text, or a file where it rewinds one. For a server of stored values: refuse an empty body.
#
# Output seen: the table at the end of this file (whole: the second request is as the first one; empty: it has no body, and is answered 200;
# 503, error: there is no second request, or no whole one, and the caller sees that).
set -euo pipefail
folder=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server"; rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv python
python/bin/pip install --quiet --disable-pip-version-check requests==2.34.2 urllib3==2.8.0 httpx==0.28.1 httpx-retries==0.6.0 aiohttp==3.14.5 \
  aiohttp-retry==2.9.1
npm install --silent --force --prefix . got@14.6.6 ky@1.14.3 axios@1.21.1 axios-retry@4.5.0 undici@7.30.2 fetch-retry@6.0.0 ofetch@1.5.1 \
  make-fetch-happen@14.0.3 urllib@4.9.1 >/dev/null
printf whole >body

# PUT /CASE: 503 at first, later 200. GET /: the bodies that came whole, by case.
cat >server.py <<'PY'
import http.server, json
came = {}

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'

    def log_message(self, *_):
        pass

    def body(self):
        if 'chunked' not in self.headers.get('Transfer-Encoding', ''):
            length = int(self.headers.get('Content-Length', 0))
            body = self.rfile.read(length)
            return body if len(body) == length else None
        body = b''
        while line := self.rfile.readline():
            if line.strip() == b'0':
                self.rfile.readline()
                return body
            body += self.rfile.read(int(line, 16))
            self.rfile.readline()

    def do_PUT(self):
        body = self.body()
        if body is None:
            self.close_connection = True
            return
        bodies = came.setdefault(self.path[1:], [])
        bodies.append(body.decode())
        self.answer(503 if len(bodies) == 1 else 200, b'{}')

    def do_GET(self):
        self.answer(200, json.dumps(came).encode())

    def answer(self, status, body):
        self.send_response(status)
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)

class Server(http.server.ThreadingHTTPServer):
    def handle_error(self, *_):         # a client that goes away
        pass

server = Server(('127.0.0.1', 0), Handler)
print(server.server_port, flush=True)
server.serve_forever()
PY
python3 server.py >port &
server=$!
for _ in $(seq 100); do [ -s port ] && break; sleep 0.1; done

# Each client writes its name, the kind of body, and the status that its caller gets, or "error".
cat >client.py <<'PY'
import asyncio, sys
import aiohttp_retry, httpx, httpx_retries, requests, urllib3
base = f'http://127.0.0.1:{sys.argv[1]}'
retry = urllib3.Retry(3, status_forcelist=[503], backoff_factor=0.05)

def with_requests(url, body):
    with requests.Session() as session:
        session.mount('http://', requests.adapters.HTTPAdapter(max_retries=retry))
        return session.put(url, data=body).status_code

def with_httpx(url, body):
    with httpx.Client(transport=httpx_retries.RetryTransport(retry=httpx_retries.Retry(3, backoff_factor=0.05))) as client:
        return client.put(url, content=body).status_code

def with_aiohttp(url, body):
    async def pieces():
        for piece in body:
            yield piece

    async def ask():
        options = aiohttp_retry.ExponentialRetry(3, start_timeout=0.05)
        async with aiohttp_retry.RetryClient(retry_options=options) as client:
            async with client.put(url, data=body if isinstance(body, bytes) or hasattr(body, 'read') else pieces()) as answer:
                return answer.status
    return asyncio.run(ask())

clients = {'urllib3': lambda url, body: urllib3.request('PUT', url, body=body, retries=retry).status, 'requests': with_requests,
           'httpx-retries': with_httpx, 'aiohttp-retry': with_aiohttp}
bodies = {'text': lambda: b'whole', 'file': lambda: open('body', 'rb'), 'stream': lambda: (piece for piece in [b'who', b'le'])}
for name, ask in clients.items():
    for kind, body in bodies.items():
        try:
            print(name, kind, ask(f'{base}/{name}-{kind}', body()), flush=True)
        except Exception:
            print(name, kind, 'error', flush=True)
PY
cat >client.mjs <<'JS'
import { createReadStream } from 'fs'
import { Readable } from 'stream'
import axios from 'axios'
import axiosRetry from 'axios-retry'
import fetchRetry from 'fetch-retry'
import got from 'got'
import ky from 'ky'
import fetchHappen from 'make-fetch-happen'
import { ofetch } from 'ofetch'
import { Agent, RetryAgent, request } from 'undici'
import urllib from 'urllib'
const wrapped = axios.create()
axiosRetry(wrapped, { retries: 3 })
const dispatcher = new RetryAgent(new Agent(), { minTimeout: 50 })
const again = fetchRetry(fetch, { retries: 3, retryDelay: 50, retryOn: [503] })
const method = 'PUT'
const duplex = 'half'
const clients = {
  got: async (url, body) => (await got(url, { method, body })).statusCode,
  ky: async (url, body) => (await ky(url, { method, body, duplex })).status,
  'axios-retry': async (url, data) => (await wrapped.put(url, data)).status,
  undici: async (url, body) => (await request(url, { method, body, dispatcher })).statusCode,
  'fetch-retry': async (url, body) => (await again(url, { method, body, duplex })).status,
  ofetch: async (url, body) => (await ofetch.raw(url, { method, body, duplex, retry: 3, retryDelay: 50 })).status,
  'make-fetch-happen': async (url, body) => (await fetchHappen(url, { method, body, retry: { retries: 3, minTimeout: 50 } })).status,
  'urllib-js': async (url, content) => (await urllib.request(url, { method, content, retry: 3, retryDelay: 50 })).status,
}
const bodies = { text: () => 'whole', file: () => createReadStream('body'), stream: () => Readable.from([Buffer.from('who'), Buffer.from('le')]) }
for (const [name, ask] of Object.entries(clients)) {
  for (const [kind, body] of Object.entries(bodies)) {
    console.log(name, kind, await ask(`http://127.0.0.1:${process.argv[2]}/${name}-${kind}`, body()).catch((error) => error.statusCode ?? 'error'))
  }
}
process.exit()
JS
cat >client.go <<'GO'
package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/PuerkitoBio/rehttp"
	"github.com/failsafe-go/failsafe-go/failsafehttp"
	resty2 "github.com/go-resty/resty/v2"
	"github.com/gojek/heimdall/v7"
	"github.com/gojek/heimdall/v7/httpclient"
	"github.com/hashicorp/go-retryablehttp"
	resty3 "resty.dev/v3"
)

const soon = 50 * time.Millisecond

func through(do func(*http.Request) (*http.Response, error)) func(string, any) (int, error) {
	return func(url string, body any) (int, error) {
		reader, ok := body.(io.Reader)
		if !ok {
			reader = strings.NewReader(body.(string))
		}
		request, err := http.NewRequest("PUT", url, reader)
		if err != nil {
			return 0, err
		}
		answer, err := do(request)
		if err != nil {
			return 0, err
		}
		answer.Body.Close()
		return answer.StatusCode, nil
	}
}

func main() {
	retryable := retryablehttp.NewClient()
	retryable.Logger, retryable.RetryWaitMin = nil, soon
	rehttpClient := &http.Client{Transport: rehttp.NewTransport(nil, rehttp.RetryAll(rehttp.RetryMaxRetries(3), rehttp.RetryStatuses(503)), rehttp.ConstDelay(soon))}
	backoff := heimdall.NewRetrier(heimdall.NewConstantBackoff(soon, time.Millisecond))
	failsafe := &http.Client{Transport: failsafehttp.NewRoundTripper(nil, failsafehttp.NewRetryPolicyBuilder().Build())}
	two := resty2.New().SetRetryCount(3).SetRetryWaitTime(soon).AddRetryCondition(func(answer *resty2.Response, err error) bool {
		return err == nil && answer.StatusCode() == 503
	})
	three := resty3.New().SetRetryCount(3).SetRetryWaitTime(soon).AddRetryConditions(resty3.RetryConditionStatus5XX)
	clients := []struct {
		name string
		put  func(url string, body any) (int, error)
	}{
		{"go-retryablehttp", through(func(request *http.Request) (*http.Response, error) {
			wrapped, err := retryablehttp.FromRequest(request)
			if err != nil {
				return nil, err
			}
			return retryable.Do(wrapped)
		})},
		{"rehttp", through(rehttpClient.Do)},
		{"heimdall", through(httpclient.NewClient(httpclient.WithRetryCount(3), httpclient.WithRetrier(backoff)).Do)},
		{"failsafe-go", through(failsafe.Do)},
		{"resty-2", func(url string, body any) (int, error) {
			answer, err := two.R().SetBody(body).Put(url)
			if err != nil {
				return 0, err
			}
			return answer.StatusCode(), nil
		}},
		{"resty-3", func(url string, body any) (int, error) {
			answer, err := three.R().SetBody(body).Put(url)
			if err != nil {
				return 0, err
			}
			return answer.StatusCode(), nil
		}},
	}
	for _, client := range clients {
		for _, kind := range []string{"text", "file", "stream"} {
			var body any = "whole"
			if kind == "file" {
				body, _ = os.Open("body")
			}
			if kind == "stream" {
				body = io.MultiReader(strings.NewReader("who"), strings.NewReader("le"))
			}
			if status, err := client.put("http://127.0.0.1:"+os.Args[1]+"/"+client.name+"-"+kind, body); err != nil {
				fmt.Println(client.name, kind, "error")
			} else {
				fmt.Println(client.name, kind, status)
			}
		}
	}
}
GO
cat >show.py <<'PY'
import json, sys, urllib.request
came = json.load(urllib.request.urlopen(f'http://127.0.0.1:{sys.argv[1]}/'))
seen = {}
for line in open('said'):
    name, kind, said = line.split()
    bodies = came[f'{name}-{kind}']
    assert bodies[0] == 'whole' and (said == '200') == (len(bodies) == 2), (line, bodies)
    seen.setdefault(name, {})[kind] = (bodies[1] or 'empty') if said == '200' else said
print(f"{'':18} {'text':8} {'file':8} stream")
for name, row in seen.items():
    print(f'{name:18}', *(f'{row[kind]:8}' for kind in ('text', 'file', 'stream')))
PY
go mod init finding 2>/dev/null
go get github.com/hashicorp/go-retryablehttp@v0.7.8 github.com/PuerkitoBio/rehttp@v1.4.0 github.com/gojek/heimdall/v7@v7.0.3 \
  github.com/failsafe-go/failsafe-go@v0.9.8 github.com/go-resty/resty/v2@v2.17.2 resty.dev/v3@v3.0.0-rc.4 2>/dev/null
{
  python/bin/python client.py "$(cat port)"
  node client.mjs "$(cat port)"
  GOFLAGS=-mod=mod go run client.go "$(cat port)" 2>/dev/null
} >said
python3 show.py "$(cat port)" | sed 's/ *$//' | tee seen
diff - seen <<'SEEN' || { echo "it is otherwise now" >&2; exit 1; }
                   text     file     stream
urllib3            whole    whole    empty
requests           whole    whole    empty
httpx-retries      whole    error    error
aiohttp-retry      whole    error    empty
got                whole    error    error
ky                 whole    whole    whole
axios-retry        whole    empty    empty
undici             whole    503      503
fetch-retry        whole    error    error
ofetch             whole    error    error
make-fetch-happen  whole    503      503
urllib-js          whole    503      503
go-retryablehttp   whole    whole    whole
rehttp             whole    whole    whole
heimdall           whole    whole    whole
failsafe-go        whole    whole    whole
resty-2            whole    error    empty
resty-3            whole    error    error
SEEN
