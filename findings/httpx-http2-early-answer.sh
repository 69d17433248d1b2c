#!/usr/bin/env bash
# httpx over HTTP/2 does not see an answer that comes before its whole body is sent.
#
# httpx 0.28.1 (httpcore 1.0.9, h2 4.3.0), Python 3.11, against the http2 module of Node.js 20.
#
# A server may answer before it has read the body: 403 for a wrong key, 413 for a large body. Node.js does so and opens the
# stream's window no further. httpx looks at what has arrived only while it waits for the window, and takes only
# WINDOW_UPDATE from it: the status lies in its buffer, and the call ends with ReadTimeout. A body within the first window
# (65,535 bytes) gets its status. libcurl 8.16 gets it at every size.
#
# Guess before: the status arrives, or the call fails at once with a protocol error.
# What follows for a server: it reads and drops the rest of a refused body, so that the window opens.
#
# Output seen:
#   httpx   1000 bytes: 403
#   httpx   100000 bytes: ReadTimeout
#   libcurl 100000 bytes: 403
set -euo pipefail
folder=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server"; rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv python
python/bin/pip install --quiet 'httpx[http2]==0.28.1' httpcore==1.0.9 h2==4.3.0 pycurl==7.45.7

cat >server.js <<'JS'
const server = require('http2').createServer()
server.on('stream', (stream) => { stream.respond({ ':status': 403 }); stream.end('no') })
server.listen(0, '127.0.0.1', () => console.log(server.address().port))
JS
node server.js >port &
server=$!
for _ in $(seq 100); do [ -s port ] && break; sleep 0.1; done

cat >client.py <<'PY'
import io, sys
import httpx, pycurl
url = f'http://127.0.0.1:{sys.argv[1]}/'

def with_httpx(size):
    with httpx.Client(http1=False, http2=True, timeout=5) as client:
        try:
            return client.post(url, content=b'a' * size).status_code
        except httpx.HTTPError as error:
            return type(error).__name__

def with_libcurl(size):
    curl = pycurl.Curl()
    curl.setopt(curl.URL, url)
    curl.setopt(curl.HTTP_VERSION, curl.CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE)
    curl.setopt(curl.COPYPOSTFIELDS, 'a' * size)
    curl.setopt(curl.WRITEDATA, io.BytesIO())
    curl.setopt(curl.TIMEOUT, 5)
    curl.perform()
    return curl.getinfo(curl.RESPONSE_CODE)

print('httpx   1000 bytes:', with_httpx(1000))
print('httpx   100000 bytes:', with_httpx(100000))
print('libcurl 100000 bytes:', with_libcurl(100000))
PY
python/bin/python client.py "$(cat port)" | tee seen
diff - seen <<'SEEN'
httpx   1000 bytes: 403
httpx   100000 bytes: ReadTimeout
libcurl 100000 bytes: 403
SEEN
