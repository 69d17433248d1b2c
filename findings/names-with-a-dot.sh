#!/usr/bin/env bash
# A host name that ends with a dot, which spares a pod its vain look-ups, is another name to some clients: they refuse the certificate, or cannot start.
#
# urllib of Python 3.11, httpx 0.28.1, httpx2 2.16.2, requests 2.34.2 (urllib3 2.8.0), aiohttp 3.14.5, pycurl 7.49.0, primp 2.0.1 (Python);
# undici 7.30.2 on Node.js 20; HttpClient and HttpURLConnection of OpenJDK 17.
#
# With ndots:5 a pod asks for config.default.svc.cluster.local under each of its search domains first, and a dot at the end is the usual advice. httpx,
# httpx2 and urllib compare that dot with the certificate and find another name. HttpClient ends with IllegalArgumentException before
# it asks anybody. Of those that connect, undici sends the dot along as the server's name (SNI), which TLS forbids, and HttpURLConnection sends none:
# a gateway that chooses by that name serves them as strangers. requests and aiohttp take the dot away everywhere, libcurl and primp
# leave it in Host.
#
# Guess before: httpx and Java fail, all others take the dot away.
# What follows: leave the name without a dot and set `dnsConfig: {options: [{name: ndots, value: "1"}]}`; a server takes both forms of Host.
#
# Output seen: the table at the end of this file.
set -euo pipefail
folder=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server"; rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv python
python/bin/pip install --quiet --disable-pip-version-check httpx==0.28.1 httpx2==2.16.2 requests==2.34.2 urllib3==2.8.0 aiohttp==3.14.5 \
  pycurl==7.49.0 primp==2.0.1
npm install --silent --force --prefix . undici@7.30.2 >/dev/null
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout key.pem -out crt.pem -days 30 -subj /CN=localhost \
  -addext subjectAltName=DNS:localhost -addext basicConstraints=critical,CA:FALSE 2>/dev/null

cat >server.py <<'PY'
import socket, ssl, threading
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain('crt.pem', 'key.pem')
names = {}
context.sni_callback = lambda connection, name, _: names.__setitem__(connection, name)
listener = socket.create_server(('127.0.0.1', 0))
print(listener.getsockname()[1], flush=True)

def serve(client):
    try:
        client = context.wrap_socket(client, server_side=True)
        asked = b''
        while b'\r\n\r\n' not in asked:
            asked += client.recv(65536)
        host = next(line[5:].strip() for line in asked.decode().splitlines() if line.lower().startswith('host:'))
        body = f"SNI {names.pop(client, None) or '(none)':12} Host {host.rsplit(':', 1)[0]}".encode()
        client.sendall(b'HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s' % (len(body), body))
        client.unwrap()
    except OSError:
        pass

while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
PY
python/bin/python server.py >port &
server=$!
for _ in $(seq 100); do [ -s port ] && break; sleep 0.1; done

# Each client resolves the name as a cluster's resolver would, which takes the dot.
cat >client.py <<'PY'
import asyncio, io, socket, ssl, sys, urllib.request
import aiohttp, httpx, httpx2, primp, pycurl, requests
resolve = socket.getaddrinfo
socket.getaddrinfo = lambda host, *more, **named: resolve('localhost' if host in ('localhost.', b'localhost.') else host, *more, **named)
url = f'https://localhost.:{sys.argv[1]}/'
context = ssl.create_default_context(cafile='crt.pem')

def with_aiohttp():
    async def ask():
        async with aiohttp.ClientSession() as session, session.get(url, ssl=context) as answer:
            return await answer.text()
    return asyncio.run(ask())

def with_pycurl():
    body, curl = io.BytesIO(), pycurl.Curl()
    for option, value in ((curl.URL, url), (curl.CAINFO, 'crt.pem'), (curl.WRITEDATA, body)):
        curl.setopt(option, value)
    curl.perform()
    return body.getvalue().decode()

clients = {
    'requests': lambda: requests.get(url, verify='crt.pem').text,
    'aiohttp': with_aiohttp,
    'libcurl': with_pycurl,
    'primp': lambda: primp.Client(ca_cert_file='crt.pem').get(url).text,
    'urllib': lambda: urllib.request.urlopen(url, context=context).read().decode(),
    'httpx': lambda: httpx.get(url, verify=context).text,
    'httpx2': lambda: httpx2.get(url, verify=context).text,
}
for name, ask in clients.items():
    try:
        print(f'{name:18}', ask())
    except Exception as error:
        print(f'{name:18}', 'Hostname mismatch' if 'Hostname mismatch' in str(error) else type(error).__name__)
PY
cat >client.mjs <<'JS'
import dns from 'dns'
import { readFileSync } from 'fs'
import { syncBuiltinESMExports } from 'module'
const resolve = dns.lookup
dns.lookup = (host, ...more) => resolve(host.replace(/\.$/, ''), ...more)
syncBuiltinESMExports()
const { Agent, request } = await import('undici')
const dispatcher = new Agent({ connect: { ca: readFileSync('crt.pem') } })
console.log('undici            ', await (await request(`https://localhost.:${process.argv[2]}/`, { dispatcher })).body.text())
process.exit()
JS
cat >Client.java <<'JAVA'
import java.io.FileInputStream;
import java.net.*;
import java.net.http.*;
import java.security.KeyStore;
import java.security.cert.CertificateFactory;
import javax.net.ssl.*;

public class Client {
    interface Ask {
        String ask() throws Exception;
    }

    static void show(String name, Ask client) {
        String seen;
        try {
            seen = client.ask();
        } catch (Exception error) {
            seen = error.getClass().getSimpleName();
        }
        System.out.printf("%-18s %s%n", name, seen);
    }

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
        var address = URI.create("https://localhost.:" + arguments[0] + "/");
        show("HttpURLConnection", () -> {
            var connection = (HttpsURLConnection) address.toURL().openConnection();
            connection.setSSLSocketFactory(context.getSocketFactory());
            return new String(connection.getInputStream().readAllBytes());
        });
        show("HttpClient", () -> HttpClient.newBuilder().sslContext(context).build()
            .send(HttpRequest.newBuilder(address).build(), HttpResponse.BodyHandlers.ofString()).body());
    }
}
JAVA
echo '127.0.0.1 localhost localhost.' >hosts
{
  python/bin/python client.py "$(cat port)"
  node client.mjs "$(cat port)"
  java -Djdk.net.hosts.file=hosts Client.java "$(cat port)"
} | tee seen
diff - seen <<'SEEN' || { echo "it is otherwise now" >&2; exit 1; }
requests           SNI localhost    Host localhost
aiohttp            SNI localhost    Host localhost
libcurl            SNI localhost    Host localhost.
primp              SNI localhost    Host localhost.
urllib             Hostname mismatch
httpx              Hostname mismatch
httpx2             Hostname mismatch
undici             SNI localhost.   Host localhost.
HttpURLConnection  SNI (none)       Host localhost.
HttpClient         IllegalArgumentException
SEEN
