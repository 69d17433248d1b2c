#!/usr/bin/env bash
# Nine of thirteen clients read a file with authorities once: they refuse a server whose authority was put into that file since.
#
# requests 2.34.2 and urllib3 2.8.0, httpx 0.28.1, httplib2 0.32.1, pycurl 7.49.0 (libcurl 8.23.0), curl_cffi 0.17.0, primp 2.0.1, Tornado 6.6.1,
# kubernetes 37.0.2, niquests 3.21.2 (Python 3.11); fetch of Node.js 20 (NODE_EXTRA_CA_CERTS), HttpClient of OpenJDK 17 (javax.net.ssl.trustStore),
# net/http of Go 1.26 (SSL_CERT_FILE).
#
# An authority is renewed in three steps: the new one joins the old one in the mounted file, servers change over, the old one goes. A client that was
# given the path of that file, and connected before, refuses the servers from the second step on. libcurl keeps what it read with its handle, also
# after a reset, for 24 hours (says its documentation); CURLOPT_CA_CACHE_TIMEOUT=0 (321) ends that. A new object in the same program helps, but not
# with niquests, Node.js, Java and Go. requests reads the file for each connection, and no more once niquests is installed.
#
# Guess before: requests, urllib3, kubernetes, niquests, httplib2 and libcurl, which take a path with each request, read it for each connection; httpx
# and primp once for each client; the last three once for each process.
# What follows for a client: begin its session anew when the file changes, or after a refusal. For who exchanges authorities: the new one is in the
# file for as long as programs run before servers use it, or programs restart in between.
#
# Output seen: the table at the end of this file (each answer closes its connection, so each request opens one).
set -euo pipefail
folder=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server"; rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv python
python/bin/pip install --quiet --disable-pip-version-check requests==2.34.2 urllib3==2.8.0 httpx==0.28.1 httplib2==0.32.1 pycurl==7.49.0 curl_cffi==0.17.0 \
  primp==2.0.1 tornado==6.6.1 kubernetes==37.0.2
python3 -m venv other
other/bin/pip install --quiet --disable-pip-version-check requests==2.34.2 urllib3==2.8.0 niquests==3.21.2
unset REQUESTS_CA_BUNDLE CURL_CA_BUNDLE SSL_CERT_FILE SSL_CERT_DIR NODE_EXTRA_CA_CERTS JAVA_TOOL_OPTIONS
for one in old new; do
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "authority-$one.key" -out "authority-$one.pem" -days 30 \
    -subj "/CN=$one authority" -addext keyUsage=critical,keyCertSign,cRLSign 2>/dev/null
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$one.key" -out "$one.csr" -subj /CN=server 2>/dev/null
  openssl x509 -req -in "$one.csr" -CA "authority-$one.pem" -CAkey "authority-$one.key" -CAcreateserial -days 30 -out "$one.pem" -extfile <(
    printf '%s\n' subjectAltName=IP:127.0.0.1 basicConstraints=CA:FALSE keyUsage=critical,digitalSignature extendedKeyUsage=serverAuth) 2>/dev/null
done
cat authority-old.pem authority-new.pem >authority-both.pem
for one in old both; do
  keytool -importcert -noprompt -alias old -file authority-old.pem -keystore "store-$one.p12" -storetype PKCS12 -storepass changeit 2>/dev/null
done
keytool -importcert -noprompt -alias new -file authority-new.pem -keystore store-both.p12 -storetype PKCS12 -storepass changeit 2>/dev/null

cat >server.py <<'PY'
import http.server, ssl

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'

    def do_GET(self):
        self.send_response(200)
        self.send_header('Content-Length', '2')
        self.send_header('Connection', 'close')
        self.end_headers()
        self.wfile.write(b'ok')

    def log_message(self, *_):
        pass

class Server(http.server.ThreadingHTTPServer):
    def finish_request(self, request, address):
        try:
            self.RequestHandlerClass(leaves[open('leaf').read()].wrap_socket(request, server_side=True), address, self)
        except OSError:
            pass

leaves = {name: ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER) for name in ('old', 'new')}
for name, context in leaves.items():
    context.load_cert_chain(f'{name}.pem', f'{name}.key')
server = Server(('127.0.0.1', 0), Handler)
print(server.server_port, flush=True)
server.serve_forever()
PY
python/bin/python server.py >port &
server=$!
for _ in $(seq 100); do [ -s port ] && break; sleep 0.1; done

# Each of these asks once, waits for a line, and asks twice: with the same client, and with a new one where there is such a thing.
cat >client.mjs <<'JS'
import { once } from 'events'
const ask = async () => console.log(await fetch(process.argv[2]).then((answer) => answer.text(), (error) => error.cause.code === 'UNABLE_TO_VERIFY_LEAF_SIGNATURE' ? 'refused' : error))
await ask()
await once(process.stdin, 'data')
await ask()
await ask()
process.exit()
JS
cat >beside.py <<'PY'
import importlib, sys
module = importlib.import_module(sys.argv[1])

def ask(session):
    try:
        print(session.get(sys.argv[2], verify='authorities.pem', timeout=5).text, flush=True)
    except module.exceptions.SSLError:
        print('refused', flush=True)

session = module.Session()
ask(session)
sys.stdin.readline()
ask(session)
ask(module.Session())
PY
cat >client.go <<'GO'
package main

import (
	"bufio"
	"fmt"
	"net/http"
	"os"
)

func main() {
	ask := func(client *http.Client) {
		if _, err := client.Get(os.Args[1]); err != nil {
			fmt.Println("refused")
		} else {
			fmt.Println("ok")
		}
	}
	client := &http.Client{Transport: &http.Transport{}}
	ask(client)
	bufio.NewReader(os.Stdin).ReadString('\n')
	ask(client)
	ask(&http.Client{Transport: &http.Transport{}})
}
GO
go build -o client-go client.go
cat >Client.java <<'JAVA'
import java.net.URI;
import java.net.http.*;

public class Client {
    static void ask(HttpClient client, String url) throws Exception {
        try {
            System.out.println(client.send(HttpRequest.newBuilder(URI.create(url)).build(), HttpResponse.BodyHandlers.ofString()).body());
        } catch (javax.net.ssl.SSLException refused) {
            System.out.println("refused");
        }
    }

    public static void main(String[] arguments) throws Exception {
        var client = HttpClient.newHttpClient();
        ask(client, arguments[0]);
        System.in.read();
        ask(client, arguments[0]);
        ask(HttpClient.newHttpClient(), arguments[0]);
        System.exit(0);
    }
}
JAVA
javac Client.java
cat >client.py <<'PY'
import io, logging, os, shutil, subprocess, sys, warnings
import curl_cffi, httplib2, httpx, kubernetes, primp, pycurl, requests, urllib3
from tornado.httpclient import HTTPClient
warnings.simplefilter('ignore')
logging.disable()
url = f'https://127.0.0.1:{sys.argv[1]}/'

def exchange(authorities, leaf):
    for kind, name in (('authority-{}.pem', 'authorities.pem'), ('store-{}.p12', 'authorities.p12')):
        shutil.copy(kind.format(authorities), 'next')
        os.replace('next', name)
    with open('leaf', 'w') as file:
        file.write(leaf)

def with_requests():
    session = requests.Session()
    session.verify = 'authorities.pem'
    return lambda: session.get(url, timeout=5).text

def with_urllib3():
    pool = urllib3.PoolManager(ca_certs='authorities.pem', retries=False)
    return lambda: pool.request('GET', url).data.decode()

def with_httpx():
    client = httpx.Client(verify='authorities.pem')
    return lambda: client.get(url).text

def with_httplib2():
    http = httplib2.Http(ca_certs='authorities.pem')
    return lambda: http.request(url)[1].decode()

def with_libcurl(choices):
    def make():
        curl = pycurl.Curl()

        def ask():
            body = io.BytesIO()
            curl.reset()
            for option, value in {curl.URL: url, curl.CAINFO: 'authorities.pem', curl.WRITEDATA: body, **choices}.items():
                curl.setopt(option, value)
            curl.perform()
            return body.getvalue().decode()
        return ask
    return make

def with_curl_cffi():
    session = curl_cffi.Session(verify='authorities.pem')
    return lambda: session.get(url).text

def with_primp():
    client = primp.Client(ca_cert_file='authorities.pem')
    return lambda: client.get(url).text

def with_tornado():
    client = HTTPClient()
    return lambda: client.fetch(url, ca_certs='authorities.pem').body.decode()

def with_kubernetes():
    configuration = kubernetes.client.Configuration()
    configuration.host, configuration.ssl_ca_cert = url, 'authorities.pem'
    api = kubernetes.client.ApiClient(configuration)
    return lambda: api.rest_client.request('GET', url).read().decode()

clients = {'requests': with_requests, 'urllib3': with_urllib3, 'httpx': with_httpx, 'httplib2': with_httplib2, 'pycurl': with_libcurl({}), '  CA_CACHE_TIMEOUT 0': with_libcurl({321: 0}), 'curl_cffi': with_curl_cffi,
           'primp': with_primp, 'Tornado': with_tornado, 'kubernetes': with_kubernetes}

def asked(ask):
    try:
        text = ask()
        return text if isinstance(text, str) else text.decode()
    except Exception as error:
        return 'refused' if 'CERTIFICATE' in str(error).upper() or 'TLS' in str(error).upper() else repr(error)

def show(name, first, same, new):
    print(f'{name:20} {first:10} {same:12} {new}'.rstrip(), flush=True)

show('', 'before', 'same client', 'new client')
for name, make in clients.items():
    exchange('old', 'old')
    ask = make()
    first = asked(ask)
    exchange('both', 'new')
    show(name, first, asked(ask), asked(make()))
store = ['-Djavax.net.ssl.trustStore=authorities.p12', '-Djavax.net.ssl.trustStorePassword=changeit']
others = {'niquests': ['other/bin/python', 'beside.py', 'niquests', url], 'requests beside it': ['other/bin/python', 'beside.py', 'requests', url],
          'fetch': ['node', 'client.mjs', url], 'HttpClient': ['java', *store, 'Client', url], 'net/http': ['./client-go', url]}
for name, command in others.items():
    exchange('old', 'old')
    paths = {'NODE_EXTRA_CA_CERTS': 'authorities.pem', 'SSL_CERT_FILE': 'authorities.pem'}
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ | paths)
    first = process.stdout.readline().strip()
    exchange('both', 'new')
    same, new = process.communicate('\n')[0].split()
    show(name, first, same, new)
PY
python/bin/python client.py "$(cat port)" | tee seen
diff - seen <<'SEEN' || { echo "it is otherwise now" >&2; exit 1; }
                     before     same client  new client
requests             ok         ok           ok
urllib3              ok         ok           ok
httpx                ok         refused      ok
httplib2             ok         refused      ok
pycurl               ok         refused      ok
  CA_CACHE_TIMEOUT 0 ok         ok           ok
curl_cffi            ok         refused      ok
primp                ok         refused      ok
Tornado              ok         ok           ok
kubernetes           ok         ok           ok
niquests             ok         refused      refused
requests beside it   ok         refused      refused
fetch                ok         refused      refused
HttpClient           ok         refused      refused
net/http             ok         refused      refused
SEEN
