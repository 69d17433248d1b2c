#!/usr/bin/env bash
# Eight ways to read server-sent events halve, lose or invent some of five valid streams; one of the eight reads all of them right.
#
# httpx-sse 0.4.3, sseclient-py 1.9.0, aiosseclient 0.1.8, and lines split by httpx 0.28.1 and requests 2.34.2 (Python); eventsource 4.1.1, undici
# 7.30.2, @microsoft/fetch-event-source 2.0.1 (JavaScript).
#
#   separator   U+2028 inside the data, which JSON allows and many writers leave as it is. The lines of httpx and requests end there, and so
#               does the event of aiosseclient, which warns and goes on with the first half.
#   split-crlf  a line end of two bytes that comes in two pieces. requests makes an empty line of it: one event becomes two.
#   cut-off     a server that stops in the middle of an event. The specification drops that event; sseclient-py hands out the half.
#   name-only   an event without data is none. httpx-sse, aiosseclient and fetch-event-source hand one out with empty text, which no
#               parser of JSON takes.
#   old-id      the last id holds until another comes. Four of the six libraries forget it with the next event, also `eventsource` in its
#               lastEventId (it sends the right one when it connects again).
#
# Guess before: the libraries follow the specification in all five; only lines split by hand fail, with requests, at CRLF.
# What follows for a server: JSON in ASCII, data and an id in every event, LF alone. For a client: a text that is not JSON is no event.
#
# Output seen: the table at the end of this file.
set -euo pipefail
folder=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server"; rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv python
python/bin/pip install --quiet httpx==0.28.1 httpx-sse==0.4.3 requests==2.34.2 sseclient-py==1.9.0 aiohttp==3.14.5 aiosseclient==0.1.8
npm install --silent --prefix . eventsource@4.1.1 undici@7.30.2 @microsoft/fetch-event-source@2.0.1 >/dev/null

cat >server.py <<'PY'
import http.server, time

# Each stream as the pieces in which it comes.
streams = {
    'separator': ['data: a\u2028b\n\n'],
    'split-crlf': ['data: a\r', '\ndata: b\r\n\r\n'],
    'cut-off': ['data: a\n\ndata: hal'],
    'name-only': ['event: beat\n\n', 'data: a\n\n'],
    'old-id': ['id: 7\ndata: a\n\n', 'data: b\n\n'],
}

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'

    def log_message(self, *_):
        pass

    def do_GET(self):
        self.send_response(200)
        self.send_header('Content-Type', 'text/event-stream')
        self.send_header('Transfer-Encoding', 'chunked')
        self.end_headers()
        for piece in streams[self.path[1:]]:
            body = piece.encode()
            self.wfile.write(b'%x\r\n%s\r\n' % (len(body), body))
            time.sleep(0.1)
        self.wfile.write(b'0\r\n\r\n')

server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)
print(server.server_port, flush=True)
server.serve_forever()
PY
python/bin/python server.py >port &
server=$!
for _ in $(seq 100); do [ -s port ] && break; sleep 0.1; done

cat >readers.py <<'PY'
import asyncio, json, logging, subprocess, sys
import aiosseclient, httpx, httpx_sse, requests, sseclient

logging.disable(logging.ERROR)
base = f'http://127.0.0.1:{sys.argv[1]}/'
streams = ['separator', 'split-crlf', 'cut-off', 'name-only', 'old-id']

def with_httpx_sse(stream):
    with httpx.Client() as client, httpx_sse.connect_sse(client, 'GET', base + stream) as source:
        return [(event.data, event.id) for event in source.iter_sse()]

def with_sseclient(stream):
    return [(event.data, event.id or '') for event in sseclient.SSEClient(requests.get(base + stream, stream=True)).events()]

def with_aiosseclient(stream):
    async def read():
        return [(event.data, event.id or '') async for event in aiosseclient.aiosseclient(base + stream)]
    return asyncio.run(read())

def by_hand(lines):
    events, data = [], []
    for line in lines:
        if line.startswith('data: '):
            data.append(line[6:])
        elif line == '' and data:
            events.append(('\n'.join(data), ''))
            data = []
    return events

def with_httpx_lines(stream):
    with httpx.stream('GET', base + stream) as answer:
        return by_hand(answer.iter_lines())

def with_requests_lines(stream):
    with requests.get(base + stream, stream=True) as answer:
        answer.encoding = 'utf-8'
        return by_hand(answer.iter_lines(chunk_size=None, decode_unicode=True))

seen = {read.__name__[5:]: {stream: read(stream) for stream in streams}
        for read in (with_httpx_sse, with_sseclient, with_aiosseclient, with_httpx_lines, with_requests_lines)}
seen |= json.loads(subprocess.check_output(['node', 'readers.mjs', base, *streams], stderr=subprocess.DEVNULL))
for reader, answers in seen.items():
    for stream, events in answers.items():
        print(f'{reader:18} {stream:11}', *(json.dumps(data) + (f' id={id}' if id else '') for data, id in events))
PY
cat >readers.mjs <<'JS'
import { EventSource } from 'eventsource'
import { EventSource as UndiciSource } from 'undici'
import { fetchEventSource } from '@microsoft/fetch-event-source'
const [base, ...streams] = process.argv.slice(2)
globalThis.document = { hidden: false, addEventListener() {}, removeEventListener() {} }
globalThis.window = globalThis

const withSource = (Source) => (stream) => new Promise((resolve) => {
  const events = []
  const source = new Source(base + stream)
  for (const name of ['message', 'beat']) source.addEventListener(name, (event) => events.push([event.data, event.lastEventId]))
  source.onerror = () => { source.close(); resolve(events) }
})
const withFetch = async (stream) => {
  const events = []
  await fetchEventSource(base + stream, { openWhenHidden: true, onmessage: (event) => events.push([event.data, event.id]) })
  return events
}
const seen = {}
for (const [reader, read] of Object.entries({ eventsource: withSource(EventSource), undici: withSource(UndiciSource), fetch_event_source: withFetch })) {
  seen[reader] = {}
  for (const stream of streams) seen[reader][stream] = await read(stream)
}
console.log(JSON.stringify(seen))
process.exit()
JS
python/bin/python readers.py "$(cat port)" | tee seen
diff - seen <<'SEEN' || { echo "it is otherwise now" >&2; exit 1; }
httpx_sse          separator   "a\u2028b"
httpx_sse          split-crlf  "a\nb"
httpx_sse          cut-off     "a"
httpx_sse          name-only   "" "a"
httpx_sse          old-id      "a" id=7 "b" id=7
sseclient          separator   "a\u2028b"
sseclient          split-crlf  "a\nb"
sseclient          cut-off     "a" "hal"
sseclient          name-only   "a"
sseclient          old-id      "a" id=7 "b"
aiosseclient       separator   "a"
aiosseclient       split-crlf  "a\nb"
aiosseclient       cut-off     "a"
aiosseclient       name-only   "" "a"
aiosseclient       old-id      "a" id=7 "b"
httpx_lines        separator   "a"
httpx_lines        split-crlf  "a\nb"
httpx_lines        cut-off     "a"
httpx_lines        name-only   "a"
httpx_lines        old-id      "a" "b"
requests_lines     separator   "a"
requests_lines     split-crlf  "a" "b"
requests_lines     cut-off     "a"
requests_lines     name-only   "a"
requests_lines     old-id      "a" "b"
eventsource        separator   "a\u2028b"
eventsource        split-crlf  "a\nb"
eventsource        cut-off     "a"
eventsource        name-only   "a"
eventsource        old-id      "a" id=7 "b"
undici             separator   "a\u2028b"
undici             split-crlf  "a\nb"
undici             cut-off     "a"
undici             name-only   "a"
undici             old-id      "a" id=7 "b" id=7
fetch_event_source separator   "a\u2028b"
fetch_event_source split-crlf  "a\nb"
fetch_event_source cut-off     "a"
fetch_event_source name-only   "" "a"
fetch_event_source old-id      "a" id=7 "b"
SEEN
