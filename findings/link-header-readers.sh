#!/usr/bin/env bash
# Thirteen of fifteen readers of Link do not find the next page in one or more of seven valid spellings: a list ends early, and looks whole.
#
# requests 2.34.2, httpx 0.28.1, httpx2 2.16.2, niquests 3.21.2, aiohttp 3.14.5, httplink 0.2.0, LinkHeader 0.4.3, linkheader-parser 0.6 (Python);
# parse-link-header 2.0.0, http-link-header 1.1.4, li 1.3.0, linkheader-parser 0.1.2, parse-links 0.1.0 (JavaScript); tomnomnom/linkheader of 2025-08-11
# and peterhellberg/link 1.2.0 (Go).
#
# Who pages through a list follows rel="next" until there is none. A `;` in the address, which a cursor or a filter may hold, hides the page from
# requests, httpx and their forks, for they cut the header at each `;`. Two relations in one link, "next last" on the last page but one, hide it from seven
# readers, so that the last page is never read. A parameter's name with a capital, a tab for a blank, or a title with `;` and a comma in it does
# so with others. "No such link" is what ends a loop, so nothing fails.
#
# Guess before: the small libraries fail at commas within quotes, requests and httpx read all but two relations in one.
# What follows for a server: one relation in each link, rel="next" in small letters and quotes, no title, and an address without `;`. For a client: a
# count beside the list, or a loop that asks for a page until one is empty.
#
# Output seen: the table at the end of this file (- where the next page is not found; "failed": the reader refuses the whole header).
set -euo pipefail
folder=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server"; rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv python
python/bin/pip install --quiet --disable-pip-version-check requests==2.34.2 httpx==0.28.1 httpx2==2.16.2 niquests==3.21.2 aiohttp==3.14.5 httplink==0.2.0 \
  LinkHeader==0.4.3 linkheader-parser==0.6
npm install --silent --force --prefix . parse-link-header@2.0.0 http-link-header@1.1.4 li@1.3.0 linkheader-parser@0.1.2 parse-links@0.1.0 >/dev/null
mkdir go
cat >go/go.mod <<'GO'
module finding
go 1.25
GO
cat >go/main.go <<'GO'
package main

import (
	"encoding/json"
	"net/http"
	"os"

	peter "github.com/peterhellberg/link"
	tom "github.com/tomnomnom/linkheader"
)

func main() {
	seen := map[string][]string{}
	for _, url := range os.Args[1:] {
		answer, err := http.Get(url)
		if err != nil {
			panic(err)
		}
		next := ""
		if found := tom.Parse(answer.Header.Get("Link")).FilterByRel("next"); len(found) > 0 {
			next = found[0].URL
		}
		seen["tomnomnom/linkheader"] = append(seen["tomnomnom/linkheader"], next)
		next = ""
		if found := peter.ParseResponse(answer)["next"]; found != nil {
			next = found.URI
		}
		seen["peterhellberg/link"] = append(seen["peterhellberg/link"], next)
	}
	json.NewEncoder(os.Stdout).Encode(seen)
}
GO
(cd go && go get github.com/peterhellberg/link@v1.2.0 github.com/tomnomnom/linkheader@v0.0.0-20250811210735-e5fe3b51442e >/dev/null 2>&1 && go build -o ../read-go .)

cat >server.py <<'PY'
import http.server, json
links = json.load(open('links.json'))

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header('Link', links[int(self.path[1:])][1])
        self.send_header('Content-Length', '0')
        self.end_headers()

    def log_message(self, *_):
        pass

server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)
print(server.server_port, flush=True)
server.serve_forever()
PY
cat >links.json <<'JSON'
[["usual", "</next?a=b>; rel=\"next\""],
 ["no quotes", "</next?a=b>; rel=next"],
 ["Rel", "</next?a=b>; Rel=\"next\""],
 ["tab", "</next?a=b>;\trel=\"next\""],
 ["; inside", "</next?a=b;c>; rel=\"next\""],
 [", inside", "</prev>; rel=\"prev\", </next?a=b,c>; rel=\"next\""],
 ["title", "</next?a=b>; title=\"one, two; three\"; rel=\"next\""],
 ["next last", "</next?a=b>; rel=\"next last\""]]
JSON
python/bin/python server.py >port &
server=$!
for _ in $(seq 100); do [ -s port ] && break; sleep 0.1; done
cat >read.mjs <<'JS'
import { createRequire } from 'module'
const require = createRequire(import.meta.url)
const li = require('li')
const readers = {
  'parse-link-header': (text) => require('parse-link-header')(text)?.next?.url,
  'http-link-header': (text) => require('http-link-header').parse(text).rel('next')[0]?.uri,
  li: (text) => li.parse(text).next,
  'linkheader-parser (JS)': (text) => (require('linkheader-parser').parse ?? require('linkheader-parser'))(text).next?.href,
  'parse-links': (text) => require('parse-links')(text).next,
}
const seen = {}
for (const url of process.argv.slice(2)) {
  const text = (await fetch(url)).headers.get('link')
  for (const [name, read] of Object.entries(readers)) {
    let next
    try { next = read(text) ?? '' } catch { next = 'failed' }
    ;(seen[name] ??= []).push(next)
  }
}
console.log(JSON.stringify(seen))
process.exit()
JS
cat >read.py <<'PY'
import asyncio, json, subprocess, sys
import aiohttp, httplink, httpx, httpx2, link_header, linkheader_parser, niquests, requests
links = json.load(open('links.json'))
urls = [f'http://127.0.0.1:{sys.argv[1]}/{number}' for number in range(len(links))]

async def with_aiohttp(url):
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        return str(answer.links.get('next', {}).get('url', ''))

def with_links(module):
    return lambda url: module.get(url).links.get('next', {}).get('url')

def of_text(read):
    return lambda url: read(requests.get(url).headers['Link'])

def with_link_header(text):
    return next((link.href for link in link_header.parse(text).links if 'next' in link.rel.split()), None)

def with_httplink(text):
    parsed = httplink.parse_link_header(text)
    return parsed['next'].target if 'next' in parsed else None

def asked(read, url):
    try:
        return read(url)
    except Exception:
        return 'failed'

readers = {'requests': with_links(requests), 'httpx': with_links(httpx), 'httpx2': with_links(httpx2), 'niquests': with_links(niquests),
           'aiohttp': lambda url: asyncio.run(with_aiohttp(url)), 'httplink': of_text(with_httplink), 'LinkHeader': of_text(with_link_header),
           'linkheader-parser (Py)': of_text(lambda text: (linkheader_parser.parse(text).get('next') or {}).get('url'))}
seen = {name: [asked(read, url) for url in urls] for name, read in readers.items()}
for command in (['node', 'read.mjs'], ['./read-go']):
    seen |= json.loads(subprocess.check_output([*command, *urls]))

def mark(found):
    return 'found' if found and '/next?a=b' in found else found or '-'

print(f"{'':22}", *(f'{name:9}' for name, _ in links))
for name, row in seen.items():
    print(f'{name:22}', *(f'{mark(found):9}' for found in row))
PY
python/bin/python read.py "$(cat port)" | sed 's/ *$//' | tee seen
diff - seen <<'SEEN' || { echo "it is otherwise now" >&2; exit 1; }
                       usual     no quotes Rel       tab       ; inside  , inside  title     next last
requests               found     found     -         -         -         found     -         -
httpx                  found     found     -         -         -         found     -         -
httpx2                 found     found     -         -         -         found     -         -
niquests               found     found     -         -         -         found     -         -
aiohttp                found     found     -         found     found     found     found     -
httplink               found     found     found     found     found     found     found     found
LinkHeader             found     found     found     failed    found     found     found     found
linkheader-parser (Py) found     -         -         found     found     found     found     found
parse-link-header      found     found     -         found     found     found     found     found
http-link-header       found     found     found     found     found     found     found     found
li                     found     found     -         found     found     found     found     found
linkheader-parser (JS) found     found     -         found     found     found     found     found
parse-links            found     found     -         found     found     failed    failed    found
peterhellberg/link     found     found     -         found     found     found     found     -
tomnomnom/linkheader   found     found     found     -         -         -         -         -
SEEN
