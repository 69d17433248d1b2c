#!/usr/bin/env bash
# Installing niquests changes requests beside it, and removing niquests leaves a requests that cannot be imported; pip shows neither.
#
# niquests 3.21.2 (urllib3-future 2.25.904), requests 2.34.2, urllib3 2.8.0, pip 23.2.1, Python 3.11.
#
# urllib3-future lays its files over those of urllib3. So requests, and every client that is built on urllib3, such as those of Kubernetes and
# Vault, sends its requests by another implementation, which speaks HTTP/2 where the server offers it, and has other errors, limits and
# faults. `pip list` names urllib3 2.8.0 as before, `pip check` is content, and installing urllib3 anew does not bring it back. Once
# niquests and urllib3-future are removed, urllib3 is gone as well, though pip lists it. One dependency of a dependency is enough for all this.
#
# Guess before: niquests has its engine under a name of its own, and requests stays as it is.
# What follows: look at urllib3.__version__ and not at pip when requests does odd things; after a removal `pip install --force-reinstall urllib3`.
#
# Output seen: the table at the end of this file (what urllib3 says of itself, what pip says, and what requests and a server agree upon).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv python
pip() { python/bin/pip --disable-pip-version-check --quiet "$@"; }
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout key.pem -out crt.pem -days 30 -subj /CN=localhost \
  -addext subjectAltName=DNS:localhost -addext basicConstraints=critical,CA:FALSE 2>/dev/null

cat >ask.py <<'PY'
import socket, ssl, sys, threading
from importlib.metadata import version
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain('crt.pem', 'key.pem')
context.set_alpn_protocols(['h2', 'http/1.1'])
listener = socket.create_server(('127.0.0.1', 0))
agreed = []

def serve():
    while True:
        with context.wrap_socket(listener.accept()[0], server_side=True) as client:
            agreed.append(client.selected_alpn_protocol())

threading.Thread(target=serve, daemon=True).start()
try:
    import requests, urllib3
    own = urllib3.__version__
    try:
        requests.get(f'https://localhost:{listener.getsockname()[1]}/', verify='crt.pem', timeout=5)
    except requests.ConnectionError:
        pass  # the server hangs up after the handshake
except ImportError as error:
    own = type(error).__name__
print(f"{sys.argv[1]:34} {own:20} {version('urllib3'):9} {agreed[0] if agreed else '-'}")
PY
ask() { python/bin/python ask.py "$1" && python/bin/pip check >/dev/null; }
{
  echo '                                   urllib3              pip       requests'
  pip install requests==2.34.2 urllib3==2.8.0
  ask 'requests alone'
  pip install niquests==3.21.2 urllib3-future==2.25.904
  ask 'niquests installed'
  pip install --force-reinstall --no-deps urllib3==2.8.0
  ask 'urllib3 installed anew'
  pip uninstall --yes niquests urllib3-future
  ask 'niquests and its engine removed'
  pip install --force-reinstall --no-deps urllib3==2.8.0
  ask 'urllib3 installed anew'
} 2>/dev/null | tee seen
diff - seen <<'SEEN' || { echo "it is otherwise now" >&2; exit 1; }
                                   urllib3              pip       requests
requests alone                     2.8.0                2.8.0     http/1.1
niquests installed                 2.25.904             2.8.0     h2
urllib3 installed anew             2.25.904             2.8.0     h2
niquests and its engine removed    ModuleNotFoundError  2.8.0     -
urllib3 installed anew             2.8.0                2.8.0     http/1.1
SEEN
