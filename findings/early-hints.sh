#!/usr/bin/env bash
# A note ahead of the answer (103 Early Hints) is the answer for requests, and what follows it is the answer to the next request.
#
# requests 2.34.2 with urllib3 2.8.0, niquests 3.21.2, httpx 0.28.1, aiohttp 3.14.5, urllib of Python 3.11; HttpURLConnection of OpenJDK 17.
#
# HTTP lets a server, and a gateway that passes such notes on, send any number of answers 1xx before the real one, asked or unasked. requests
# returns the status 103 with an empty body: `raise_for_status` and `ok` are content with it. What the server answers half a second
# later lies in the connection, and the next request takes it for its own: /second reads the body of /first. urllib raises the 103 as an
# error, and HttpURLConnection waits until its time is over. Python's http.client, below requests and urllib, skips 100 and no other.
#
# Guess before: every client skips 1xx; Java 17 perhaps not.
# What follows for a server or a gateway: no 1xx unasked before programs. For a client of requests: a status below 200 is no success.
#
# Output seen: the table at the end of this file (/first and /second are asked one after the other; the body is the path).
set -euo pipefail
folder=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server"; rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv python
python/bin/pip install --quiet --disable-pip-version-check requests==2.34.2 urllib3==2.8.0 httpx==0.28.1 aiohttp==3.14.5
# A folder of its own: what niquests brings takes the place of urllib3.
python3 -m venv apart
apart/bin/pip install --quiet --disable-pip-version-check niquests==3.21.2

cat >server.py <<'PY'
import socket, threading, time
listener = socket.create_server(('127.0.0.1', 0))
print(listener.getsockname()[1], flush=True)

def serve(client):
    asked = b''
    try:
        while data := client.recv(65536):
            asked += data
            while b'\r\n\r\n' in asked:
                head, _, asked = asked.partition(b'\r\n\r\n')
                path = head.split()[1]
                client.sendall(b'HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n')
                time.sleep(0.5)
                client.sendall(b'HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n%s' % (len(path), path))
    except OSError:
        pass

while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
PY
python/bin/python server.py >port &
server=$!
for _ in $(seq 100); do [ -s port ] && break; sleep 0.1; done

cat >client.py <<'PY'
import asyncio, importlib, sys, urllib.request
base, paths = f'http://127.0.0.1:{sys.argv[1]}', ('/first', '/second')

def with_requests(module):
    with importlib.import_module(module).Session() as session:
        for path in paths:
            answer = session.get(base + path, timeout=5)
            yield f"{answer.status_code} {answer.text or '(empty)'}"

def with_urllib():
    for path in paths:
        try:
            with urllib.request.urlopen(base + path, timeout=5) as answer:
                yield f'{answer.status} {answer.read().decode()}'
        except OSError as error:
            yield str(error)

def with_httpx():
    import httpx
    with httpx.Client() as client:
        for path in paths:
            answer = client.get(base + path)
            yield f'{answer.status_code} {answer.text}'

async def ask_with_aiohttp():
    import aiohttp
    async with aiohttp.ClientSession() as session:
        for path in paths:
            async with session.get(base + path) as answer:
                yield f'{answer.status} {await answer.text()}'

def with_aiohttp():
    async def collect():
        return [one async for one in ask_with_aiohttp()]
    return asyncio.run(collect())

clients = {
    'requests': lambda: with_requests('requests'),
    'niquests': lambda: with_requests('niquests'),
    'httpx': with_httpx,
    'aiohttp': with_aiohttp,
    'urllib': with_urllib,
}
for name in sys.argv[2:]:
    print(f'{name:18}', *(f'{one:28}' for one in clients[name]()))
PY
cat >Client.java <<'JAVA'
import java.net.*;

public class Client {
    public static void main(String[] arguments) throws Exception {
        System.out.printf("%-18s", "HttpURLConnection");
        for (var path : new String[] {"/first", "/second"}) {
            var connection = (HttpURLConnection) new URL("http://127.0.0.1:" + arguments[0] + path).openConnection();
            connection.setReadTimeout(3000);
            String seen;
            try {
                seen = connection.getResponseCode() + " " + new String(connection.getInputStream().readAllBytes());
            } catch (java.io.IOException error) {
                seen = error.getClass().getSimpleName();
            }
            System.out.printf(" %-28s", seen);
        }
        System.out.println();
    }
}
JAVA
{
  python/bin/python client.py "$(cat port)" requests httpx aiohttp urllib
  apart/bin/python client.py "$(cat port)" niquests
  java Client.java "$(cat port)"
} | sed 's/ *$//' | tee seen
diff - seen <<'SEEN' || { echo "it is otherwise now" >&2; exit 1; }
requests           103 (empty)                  200 /first
httpx              200 /first                   200 /second
aiohttp            200 /first                   200 /second
urllib             HTTP Error 103: Early Hints  HTTP Error 103: Early Hints
niquests           200 /first                   200 /second
HttpURLConnection  SocketTimeoutException       SocketTimeoutException
SEEN
