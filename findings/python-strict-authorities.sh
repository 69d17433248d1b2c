#!/usr/bin/env bash
# An authority that `openssl req -x509` makes by default serves requests for years, and fails once urllib3 is a later one.
#
# OpenSSL 3.0.19 (Debian's configuration), Python 3.13.0, requests 2.32.5 with urllib3 2.3.0 and 2.8.0, httpx 0.28.1, aiohttp 3.13.2.
#
# The authority of the default command says CA:TRUE and has no keyUsage, because that line is commented out in openssl.cnf. Python's default
# context is strict (VERIFY_X509_STRICT) since 3.13 and refuses such an authority: "CA cert does not include key usage extension". requests makes
# no default context: on the same Python it accepts the authority with urllib3 2.3.0 and refuses it with 2.8.0, while requests itself and the
# certificates stay as they are. httpx and aiohttp with Python's default context refuse it with either. The certificate of the very same command that is
# served itself, and trusted as it is, passes everywhere: nothing looks like a fault of the command.
#
# Guess before: whoever is strict refuses the self-signed certificate as well, and one Python has one answer.
# What follows for whoever makes an authority by hand: -addext keyUsage=critical,keyCertSign,cRLSign.
#
# Output seen: the table at the end of this file.
#   PYTHON=PROGRAM   a Python of 3.13 or later; else python3.13
set -euo pipefail
python=$(command -v "${PYTHON:-python3.13}") || { echo "needs Python 3.13 or later: PYTHON=..." >&2; exit 2; }
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 13))' || { echo "needs Python 3.13 or later: PYTHON=..." >&2; exit 2; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

certify() { # NAME, more arguments for its authority
  local name=$1; shift
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$name-ca.key" -out "$name-ca.crt" -days 30 -subj "/CN=$name" "$@" 2>openssl.log
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$name.key" -out "$name.csr" -subj /CN=localhost 2>openssl.log
  openssl x509 -req -in "$name.csr" -CA "$name-ca.crt" -CAkey "$name-ca.key" -days 30 -out "$name.crt" \
    -extfile <(printf 'basicConstraints=critical,CA:FALSE\nsubjectAltName=DNS:localhost\n') 2>openssl.log
}
certify default
certify with-key-usage -addext keyUsage=critical,keyCertSign,cRLSign
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout itself.key -out itself.crt -days 30 -subj /CN=localhost \
  -addext subjectAltName=DNS:localhost 2>openssl.log
cp itself.crt itself-ca.crt

cat >ask.py <<'PYTHON'
import asyncio, http.server, ssl, sys, threading, urllib.request
import aiohttp, httpx, requests


def serve(name):
    server = http.server.HTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(f"{name}.crt", f"{name}.key")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"https://localhost:{server.server_port}/"


async def by_aiohttp(url, context):
    async with aiohttp.ClientSession() as session, session.get(url, ssl=context) as answer:
        await answer.read()


for name in ("default", "with-key-usage", "itself"):
    url, authority = serve(name), f"{name}-ca.crt"
    ways = {
        "urllib": lambda: urllib.request.urlopen(url, context=ssl.create_default_context(cafile=authority)).read(),
        "requests": lambda: requests.get(url, verify=authority),
        "httpx": lambda: httpx.get(url, verify=ssl.create_default_context(cafile=authority)),
        "aiohttp": lambda: asyncio.run(by_aiohttp(url, ssl.create_default_context(cafile=authority))),
    }
    for way, ask in ways.items():
        try:
            ask()
            outcome = "served"
        except Exception as error:
            outcome = "no key usage" if "CA cert does not include key usage extension" in str(error) else f"other: {error}"
        print(sys.argv[1], name, way, outcome)
PYTHON

for urllib3 in 2.3.0 2.8.0; do
  "$python" -m venv "python-$urllib3"
  "python-$urllib3/bin/pip" install --quiet "urllib3==$urllib3" requests==2.32.5 httpx==0.28.1 aiohttp==3.13.2
  "python-$urllib3/bin/python" ask.py "$urllib3" 2>server.log
done >seen.txt
cat seen.txt
diff - seen.txt <<'SEEN' || { echo "this has changed" >&2; exit 1; }
2.3.0 default urllib no key usage
2.3.0 default requests served
2.3.0 default httpx no key usage
2.3.0 default aiohttp no key usage
2.3.0 with-key-usage urllib served
2.3.0 with-key-usage requests served
2.3.0 with-key-usage httpx served
2.3.0 with-key-usage aiohttp served
2.3.0 itself urllib served
2.3.0 itself requests served
2.3.0 itself httpx served
2.3.0 itself aiohttp served
2.8.0 default urllib no key usage
2.8.0 default requests no key usage
2.8.0 default httpx no key usage
2.8.0 default aiohttp no key usage
2.8.0 with-key-usage urllib served
2.8.0 with-key-usage requests served
2.8.0 with-key-usage httpx served
2.8.0 with-key-usage aiohttp served
2.8.0 itself urllib served
2.8.0 itself requests served
2.8.0 itself httpx served
2.8.0 itself aiohttp served
SEEN
