#!/usr/bin/env bash
# A secret of plain ASCII is another text for requests, niquests and aiosonic where its answer names no charset: one in six random ones of twelve characters.
#
# requests 2.34.2, niquests 3.21.2, aiosonic 1.3.3, each with charset-normalizer 3.5.3; httpx 0.28.1, aiohttp 3.14.5, curl_cffi 0.17.0, primp 2.0.1.
#
# Object stores, file servers and small services send application/octet-stream, or text/plain alone. `.text` then guesses an encoding from
# the bytes, and of a short text without words the guess may be UTF-16, EBCDIC or Shift JIS, although each byte is ASCII: db~1 becomes two
# Chinese characters, ~/.config begins with an overline. Letters and digits alone come through; signs among them (~ ^ ` @) make the
# difference, so one rotated password fails after many that did not. text/plain is safe with requests, and an object
# of JSON with all. The others take UTF-8.
#
# Guess before: what is ASCII stays ASCII, whatever else they guess.
# What follows for a server: charset=utf-8 in each Content-Type of text. For a client: .content.decode(), or .json().
#
# Output seen: the tables at the end of this file (= the text as it was sent; then how many of 200 random texts of printable ASCII are others).
set -euo pipefail
folder=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server"; rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv python
python/bin/pip install --quiet --disable-pip-version-check requests==2.34.2 aiosonic==1.3.3 charset-normalizer==3.5.3 httpx==0.28.1 aiohttp==3.14.5 \
  curl_cffi==0.17.0 primp==2.0.1
python3 -m venv other
other/bin/pip install --quiet --disable-pip-version-check niquests==3.21.2 charset-normalizer==3.5.3

# GET /?TYPE=BODY: that body, with that Content-Type.
cat >server.py <<'PY'
import http.server, urllib.parse

class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def do_GET(self):
        kind, body = urllib.parse.parse_qsl(self.path.partition('?')[2])[0]
        self.send_response(200)
        self.send_header('Content-Type', kind)
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)
print(server.server_port, flush=True)
server.serve_forever()
PY
python3 server.py >port &
server=$!
for _ in $(seq 100); do [ -s port ] && break; sleep 0.1; done

cat >client.py <<'PY'
import asyncio, random, string, sys, urllib.parse
base = f'http://127.0.0.1:{sys.argv[1]}/?'
if sys.argv[2] == 'niquests':
    import niquests
    clients = {'niquests': lambda url: niquests.get(url).text}
else:
    import aiohttp, aiosonic, curl_cffi, httpx, primp, requests

    async def with_aiohttp(url):
        async with aiohttp.ClientSession() as session, session.get(url) as answer:
            return await answer.text()

    async def with_aiosonic(url):
        async with aiosonic.HTTPClient() as client:
            return await (await client.get(url)).text()

    clients = {'requests': lambda url: requests.get(url).text, 'aiosonic': lambda url: asyncio.run(with_aiosonic(url)),
               'httpx': lambda url: httpx.get(url).text, 'aiohttp': lambda url: asyncio.run(with_aiohttp(url)),
               'curl_cffi': lambda url: curl_cffi.get(url).text, 'primp': lambda url: primp.get(url).text}

def read(ask, kind, text):
    return ask(base + urllib.parse.urlencode({kind: text}))

texts = ['db~1', 'a@b', '~/.config', 'a~b c', 'pass~word', '{"value":"db~1"}']
for name, ask in clients.items():
    for kind in ('application/octet-stream', 'text/plain', 'text/plain; charset=utf-8'):
        seen = ['=' if (came := read(ask, kind, text)) == text else ascii(came) for text in texts]
        print(f'{name:10} {kind:26}', *(f'{one:16}' for one in seen), flush=True)
for name, ask in clients.items():
    row = []
    for letters in (string.ascii_letters + string.digits, string.ascii_letters + string.digits + string.punctuation):
        for length in (8, 12, 16, 32):
            chance = random.Random(length)
            sent = [''.join(chance.choice(letters) for _ in range(length)) for _ in range(200)]
            row.append(sum(read(ask, 'application/octet-stream', text) != text for text in sent))
    print(f'{name:10} of 200 with 8, 12, 16, 32 letters and digits: {row[:4]}, with signs too: {row[4:]}', flush=True)
PY
{
  python/bin/python client.py "$(cat port)" most
  other/bin/python client.py "$(cat port)" niquests
} | sed 's/ *$//' | tee seen
diff - seen <<'SEEN' || { echo "it is otherwise now" >&2; exit 1; }
requests   application/octet-stream   '\u6462\u7e31'   '/ \xc2'         '\u203e/.config' 'a\u203eb c'     =                =
requests   text/plain                 =                =                =                =                =                =
requests   text/plain; charset=utf-8  =                =                =                =                =                =
aiosonic   application/octet-stream   '\u6462\u7e31'   '/ \xc2'         '\u203e/.config' 'a\u203eb c'     =                =
aiosonic   text/plain                 '\u6462\u7e31'   '/ \xc2'         '\u203e/.config' 'a\u203eb c'     =                =
aiosonic   text/plain; charset=utf-8  =                =                =                =                =                =
httpx      application/octet-stream   =                =                =                =                =                =
httpx      text/plain                 =                =                =                =                =                =
httpx      text/plain; charset=utf-8  =                =                =                =                =                =
aiohttp    application/octet-stream   =                =                =                =                =                =
aiohttp    text/plain                 =                =                =                =                =                =
aiohttp    text/plain; charset=utf-8  =                =                =                =                =                =
curl_cffi  application/octet-stream   =                =                =                =                =                =
curl_cffi  text/plain                 =                =                =                =                =                =
curl_cffi  text/plain; charset=utf-8  =                =                =                =                =                =
primp      application/octet-stream   =                =                =                =                =                =
primp      text/plain                 =                =                =                =                =                =
primp      text/plain; charset=utf-8  =                =                =                =                =                =
requests   of 200 with 8, 12, 16, 32 letters and digits: [0, 0, 0, 0], with signs too: [30, 31, 48, 7]
aiosonic   of 200 with 8, 12, 16, 32 letters and digits: [0, 0, 0, 0], with signs too: [30, 31, 48, 7]
httpx      of 200 with 8, 12, 16, 32 letters and digits: [0, 0, 0, 0], with signs too: [0, 0, 0, 0]
aiohttp    of 200 with 8, 12, 16, 32 letters and digits: [0, 0, 0, 0], with signs too: [0, 0, 0, 0]
curl_cffi  of 200 with 8, 12, 16, 32 letters and digits: [0, 0, 0, 0], with signs too: [0, 0, 0, 0]
primp      of 200 with 8, 12, 16, 32 letters and digits: [0, 0, 0, 0], with signs too: [0, 0, 0, 0]
niquests   application/octet-stream   '\u6462\u7e31'   '/ \xc2'         '\u203e/.config' 'a\u203eb c'     =                =
niquests   text/plain                 '\u6462\u7e31'   '/ \xc2'         '\u203e/.config' 'a\u203eb c'     =                =
niquests   text/plain; charset=utf-8  =                =                =                =                =                =
niquests   of 200 with 8, 12, 16, 32 letters and digits: [0, 0, 0, 0], with signs too: [30, 31, 48, 7]
SEEN
