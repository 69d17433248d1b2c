#!/usr/bin/env bash
# Five clients for HTTP send a POST a second time unasked: four when the connection ends without an answer, two when the answer is a refusal.
#
# HttpURLConnection and java.net.http of OpenJDK 17, OkHttp 5.5.1, Apache HttpClient 5.6.5 and 4.5.14, async-http-client 3.0.6, Jetty 12.1.14, Reactor
# Netty 1.3.7, Vert.x 5.0.7 (Java); pycurl 7.49.0, curl_cffi 0.17.0, requests 2.34.2, httpx 0.28.1, aiohttp 3.14.5, primp 2.0.1 (Python); undici 7.30.2,
# got 14.6.6, axios 1.21.1 (JavaScript); net/http of Go 1.26. Each as it comes, with no setting.
#
# A server that is killed, or a gateway that loses it, ends the connection after the POST was carried out. libcurl and OkHttp send it again if
# the connection had carried a request before, HttpURLConnection and async-http-client in any case. The caller sees the second answer alone: "it exists
# already" for what it has just made, or 200 for what was done twice. Apache HttpClient 5 repeats every 429 and 503, of a POST too and without any
# Retry-After; its forerunner 4.5 repeated none. OkHttp repeats a 408, and a 503 that asks for no wait. A wrapper around such a client that
# counts tries counts half of them.
#
# Guess before: libcurl, OkHttp and HttpURLConnection on a connection that was used before, HttpClient 5 on 503, and nothing else.
# What follows for a server: a POST needs a key that makes it safe to repeat. For a caller: what "exists already" may be one's own, so read it; or
# sun.net.http.retryPost=false, retryOnConnectionFailure(false) (which leaves the 503), disableAutomaticRetries(), setMaxRequestRetry(0).
#
# Output seen: the table at the end of this file (how often each POST reached the server; used: the connection had carried a request before).
set -euo pipefail
folder=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server"; rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv python
python/bin/pip install --quiet --disable-pip-version-check requests==2.34.2 urllib3==2.8.0 httpx==0.28.1 aiohttp==3.14.5 pycurl==7.49.0 \
  curl_cffi==0.17.0 primp==2.0.1
npm install --silent --force --prefix . undici@7.30.2 got@14.6.6 axios@1.21.1 >/dev/null
cat >pom.xml <<'XML'
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>finding</groupId>
  <artifactId>finding</artifactId>
  <version>1</version>
  <dependencies>
    <dependency><groupId>org.apache.httpcomponents.client5</groupId><artifactId>httpclient5</artifactId><version>5.6.5</version></dependency>
    <dependency><groupId>org.apache.httpcomponents</groupId><artifactId>httpclient</artifactId><version>4.5.14</version></dependency>
    <dependency><groupId>com.squareup.okhttp3</groupId><artifactId>okhttp-jvm</artifactId><version>5.5.1</version></dependency>
    <dependency><groupId>org.eclipse.jetty</groupId><artifactId>jetty-client</artifactId><version>12.1.14</version></dependency>
    <dependency><groupId>org.asynchttpclient</groupId><artifactId>async-http-client</artifactId><version>3.0.6</version></dependency>
    <dependency><groupId>io.vertx</groupId><artifactId>vertx-web-client</artifactId><version>5.0.7</version></dependency>
    <dependency><groupId>io.projectreactor.netty</groupId><artifactId>reactor-netty-http</artifactId><version>1.3.7</version></dependency>
  </dependencies>
</project>
XML
mvn --quiet --batch-mode -Dstyle.color=never org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies -DoutputDirectory=jars >/dev/null

# POST /CASE/CLIENT: the first one of a path ends the connection or gets the status of the case, later ones get 200. GET /: what came.
cat >server.py <<'PY'
import json, socket, threading

listener = socket.create_server(('127.0.0.1', 0))
print(listener.getsockname()[1], flush=True)
came = {}

def read_body(stream, headers):
    if 'chunked' not in headers.get('transfer-encoding', ''):
        return stream.read(int(headers.get('content-length', 0)))
    while size := int(stream.readline(), 16):
        stream.read(size + 2)
    stream.readline()

def serve(client):
    stream = client.makefile('rb')
    while line := stream.readline():
        method, path, _ = line.decode().split()
        headers = {}
        while header := stream.readline().decode().strip().lower():
            name, _, value = header.partition(':')
            headers[name] = value
        read_body(stream, headers)
        status, more, body = '200', '', b'done'
        if path == '/':
            body = json.dumps(came).encode()
        if method == 'POST':
            came[path] = came.get(path, 0) + 1
            if came[path] == 1:
                status, _, seconds = path.split('/')[1].partition('-')
                more = f'Retry-After: {seconds}\r\n' if seconds else ''
                if not status.isdigit():
                    client.shutdown(socket.SHUT_RDWR)
                    return client.close()
        client.sendall(f'HTTP/1.1 {status} Said\r\nContent-Length: {len(body)}\r\n{more}\r\n'.encode() + body)

while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
PY
python/bin/python server.py >port &
server=$!
for _ in $(seq 100); do [ -s port ] && break; sleep 0.1; done

cat >client.py <<'PY'
import asyncio, io, sys
import aiohttp, curl_cffi, httpx, primp, pycurl, requests
base, cases = sys.argv[1], sys.argv[2:]

def with_libcurl():
    curl = pycurl.Curl()

    def ask(method, url):
        curl.setopt(curl.URL, url)
        curl.setopt(curl.WRITEDATA, io.BytesIO())
        if method == 'POST':
            curl.setopt(curl.POSTFIELDS, '{}')
        curl.perform()
    return ask

def of(session, body='data'):
    return lambda method, url: session.request(method, url, **({body: b'{}'} if method == 'POST' else {}))

def with_aiohttp():
    loop = asyncio.new_event_loop()

    async def make():
        return aiohttp.ClientSession()
    session = loop.run_until_complete(make())

    async def ask(method, url):
        async with session.request(method, url, data='{}' if method == 'POST' else None) as answer:
            await answer.read()
    return lambda method, url: loop.run_until_complete(ask(method, url))

clients = {'pycurl': with_libcurl, 'curl_cffi': lambda: of(curl_cffi.Session()), 'requests': lambda: of(requests.Session()),
           'httpx': lambda: of(httpx.Client(), 'content'), 'aiohttp': with_aiohttp, 'primp': lambda: of(primp.Client(), 'content')}
for name, make in clients.items():
    for case in cases:
        ask = make()
        try:
            if case == 'used':
                ask('GET', f'{base}/warm')
            ask('POST', f'{base}/{case}/{name}')
        except Exception:
            pass
PY
cat >client.mjs <<'JS'
import axios from 'axios'
import got from 'got'
import http from 'http'
import { Agent, request } from 'undici'
const [base, ...cases] = process.argv.slice(2)
const body = (method) => (method === 'POST' ? '{}' : undefined)
const clients = {
  undici: (dispatcher = new Agent()) => async (method, url) => (await request(url, { method, dispatcher, body: body(method) })).body.text(),
  got: (agent = { http: new http.Agent({ keepAlive: true }) }) => (method, url) => got(url, { method, agent, body: body(method) }).text(),
  axios: (httpAgent = new http.Agent({ keepAlive: true })) => (method, url) => axios({ url, method, httpAgent, data: body(method) }),
}
for (const [name, make] of Object.entries(clients)) {
  for (const one of cases) {
    const ask = make()
    if (one === 'used') await ask('GET', `${base}/warm`)
    await ask('POST', `${base}/${one}/${name}`).catch(() => {})
  }
}
process.exit()
JS
cat >client.go <<'GO'
package main

import (
	"io"
	"net/http"
	"os"
	"strings"
)

func main() {
	base := os.Args[1]
	for _, one := range os.Args[2:] {
		client := &http.Client{Transport: &http.Transport{}}
		if one == "used" {
			if answer, err := client.Get(base + "/warm"); err == nil {
				io.Copy(io.Discard, answer.Body)
				answer.Body.Close()
			}
		}
		client.Post(base+"/"+one+"/net-http", "text/plain", strings.NewReader("{}"))
	}
}
GO
cat >Client.java <<'JAVA'
import java.net.*;
import java.net.http.*;
import java.util.*;

public class Client {
    interface Ask { void ask(boolean post, String url) throws Exception; }
    interface Make { Ask make() throws Exception; }

    static void urlConnection(boolean post, String url) throws Exception {
        var connection = (HttpURLConnection) new URL(url).openConnection();
        if (post) {
            connection.setDoOutput(true);
            try (var out = connection.getOutputStream()) { out.write("{}".getBytes()); }
        }
        connection.getInputStream().readAllBytes();
    }

    public static void main(String[] arguments) throws Exception {
        var base = arguments[0];
        var vertx = io.vertx.core.Vertx.vertx();
        var clients = new LinkedHashMap<String, Make>();
        clients.put("HttpURLConnection", () -> Client::urlConnection);
        clients.put("java.net.http", () -> {
            var client = HttpClient.newHttpClient();
            return (post, url) -> {
                var request = HttpRequest.newBuilder(URI.create(url));
                if (post) request.POST(HttpRequest.BodyPublishers.ofString("{}"));
                client.send(request.build(), HttpResponse.BodyHandlers.ofString());
            };
        });
        clients.put("OkHttp", () -> {
            var client = new okhttp3.OkHttpClient();
            return (post, url) -> {
                var request = new okhttp3.Request.Builder().url(url);
                if (post) request.post(okhttp3.RequestBody.create("{}".getBytes()));
                try (var answer = client.newCall(request.build()).execute()) { answer.body().bytes(); }
            };
        });
        clients.put("HttpClient-5", () -> {
            var client = org.apache.hc.client5.http.impl.classic.HttpClients.createDefault();
            return (post, url) -> {
                var request = org.apache.hc.core5.http.io.support.ClassicRequestBuilder.create(post ? "POST" : "GET").setUri(url);
                if (post) request.setEntity("{}");
                client.execute(request.build(), answer -> org.apache.hc.core5.http.io.entity.EntityUtils.toString(answer.getEntity()));
            };
        });
        clients.put("HttpClient-4.5", () -> {
            var client = org.apache.http.impl.client.HttpClients.createDefault();
            return (post, url) -> {
                var request = org.apache.http.client.methods.RequestBuilder.create(post ? "POST" : "GET").setUri(url);
                if (post) request.setEntity(new org.apache.http.entity.StringEntity("{}"));
                try (var answer = client.execute(request.build())) { org.apache.http.util.EntityUtils.toString(answer.getEntity()); }
            };
        });
        clients.put("async-http-client", () -> {
            var client = org.asynchttpclient.Dsl.asyncHttpClient();
            return (post, url) -> (post ? client.preparePost(url).setBody("{}") : client.prepareGet(url)).execute().get();
        });
        clients.put("Jetty", () -> {
            var client = new org.eclipse.jetty.client.HttpClient();
            client.start();
            return (post, url) -> (post ? client.POST(url).body(new org.eclipse.jetty.client.StringRequestContent("{}")) : client.newRequest(url)).send();
        });
        clients.put("Reactor-Netty", () -> {
            var client = reactor.netty.http.client.HttpClient.create(reactor.netty.resources.ConnectionProvider.create("one"));
            return (post, url) -> {
                var body = reactor.netty.ByteBufFlux.fromString(reactor.core.publisher.Mono.just("{}"));
                (post ? client.post().uri(url).send(body) : client.get().uri(url)).responseContent().aggregate().asString().block();
            };
        });
        clients.put("Vert.x", () -> {
            var client = io.vertx.ext.web.client.WebClient.create(vertx);
            return (post, url) -> (post ? client.postAbs(url).sendBuffer(io.vertx.core.buffer.Buffer.buffer("{}")) : client.getAbs(url).send())
                .toCompletionStage().toCompletableFuture().get();
        });
        for (var client : clients.entrySet()) {
            for (var one : Arrays.copyOfRange(arguments, 1, arguments.length)) {
                var ask = client.getValue().make();
                if (one.equals("used")) ask.ask(false, base + "/warm");
                try {
                    ask.ask(true, base + "/" + one + "/" + client.getKey());
                } catch (Exception refused) {
                    continue;
                }
            }
        }
        System.exit(0);
    }
}
JAVA
cat >show.py <<'PY'
import json, sys, urllib.request
base, cases = sys.argv[1], sys.argv[2:]
came = json.load(urllib.request.urlopen(base + '/'))
print(f"{'':18} {'connection ends':18} {'':8} {'':8} {'503, wait':10}")
print(f"{'':18} {'new':8} {'used':9} {'408':8} {'429':8} {'503':8} 0 seconds")
for name in dict.fromkeys(path.split('/')[2] for path in came):
    print(f'{name:18}', *(f"{came[f'/{case}/{name}']:<8}" for case in cases))
PY
base=http://127.0.0.1:$(cat port)
cases=(new used 408 429 503 503-0)
java -cp 'jars/*' Client.java "$base" "${cases[@]}" 2>/dev/null
python/bin/python client.py "$base" "${cases[@]}" 2>/dev/null
node client.mjs "$base" "${cases[@]}"
go run client.go "$base" "${cases[@]}"
python/bin/python show.py "$base" "${cases[@]}" | sed 's/ *$//' | tee seen
diff - seen <<'SEEN' || { echo "it is otherwise now" >&2; exit 1; }
                   connection ends                      503, wait
                   new      used      408      429      503      0 seconds
HttpURLConnection  2        2        1        1        1        1
java.net.http      1        1        1        1        1        1
OkHttp             1        2        2        1        1        2
HttpClient-5       1        1        1        2        2        2
HttpClient-4.5     1        1        1        1        1        1
async-http-client  2        2        1        1        1        1
Jetty              1        1        1        1        1        1
Reactor-Netty      1        1        1        1        1        1
Vert.x             1        1        1        1        1        1
pycurl             1        2        1        1        1        1
curl_cffi          1        2        1        1        1        1
requests           1        1        1        1        1        1
httpx              1        1        1        1        1        1
aiohttp            1        1        1        1        1        1
primp              1        1        1        1        1        1
undici             1        1        1        1        1        1
got                1        1        1        1        1        1
axios              1        1        1        1        1        1
net-http           1        1        1        1        1        1
SEEN
