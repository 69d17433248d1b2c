#!/usr/bin/env bash
# Where a name has two addresses and the first one is dead, three of twenty clients never ask the second, and seven more do not within ten seconds of silence.
#
# HttpURLConnection and java.net.http of OpenJDK 17, OkHttp 5.5.1, Apache HttpClient 5.6.5 and 4.5.14, async-http-client 3.0.6, Jetty 12.1.14, Reactor Netty
# 1.3.7, Vert.x 5.0.7 (Java); urllib of Python 3.11, requests 2.34.2, httpx 0.28.1, aiohttp 3.14.5, primp 2.0.1, curl_cffi 0.17.0; node:http and fetch of Node.js
# 20, got 14.6.6, axios 1.21.1 (JavaScript); net/http of Go 1.26. Each as it comes, with no limit of time; needs user namespaces and `ip`.
#
# A headless Service, or a name for several machines, stays as it is for a while after one of them is lost. Where the lost address refuses, HttpURLConnection,
# java.net.http and Vert.x fail as long as it comes first: their order is the resolver's, so a repetition may fail as well. Where it is silent, as a machine
# without power is, the answer depends on what a client does about silence: seven ask the second address beside the first after a moment, httpx,
# Jetty and async-http-client once their five seconds for connecting are over, and the others wait for a limit of half a minute or more, or for the kernel's.
# All but the three pass a test in which a process is stopped, for that refuses.
#
# Guess before: HttpURLConnection and java.net.http ask the first address alone, and all others take the second where the first refuses.
# What follows for a server: one name for one address that moves (a Service with a cluster IP, a gateway). For a client: a limit of seconds for connecting, and
# with the three a name for each machine.
#
# Output seen: the table at the end of this file (soon: within three seconds; late: within ten; - no answer in ten).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv python
python/bin/pip install --quiet --disable-pip-version-check requests==2.34.2 httpx==0.28.1 aiohttp==3.14.5 primp==2.0.1 curl_cffi==0.17.0
npm install --silent --prefix . got@14.6.6 axios@1.21.1 >/dev/null
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

cat >servers.py <<'PY'
import http.server, socket, struct, threading

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'

    def do_GET(self):
        self.send_response(200)
        self.send_header('Content-Length', '2')
        self.end_headers()
        self.wfile.write(b'{}')

    def log_message(self, *_):
        pass

threading.Thread(target=http.server.ThreadingHTTPServer(('127.0.0.3', 8000), Handler).serve_forever, daemon=True).start()
# Silent: its queue is full, so that it answers no further SYN, as a machine that is gone answers none.
silent = socket.create_server(('127.0.0.2', 8000), backlog=0)
waiting = []
for _ in range(4):
    one = socket.socket()
    one.setblocking(False)
    one.connect_ex(('127.0.0.2', 8000))
    waiting.append(one)
names = {'refuses.test': [4, 3], 'silent.test': [2, 3], 'alone.test': [3]}
resolver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
resolver.bind(('127.0.0.1', 53))
while True:
    question, client = resolver.recvfrom(512)
    labels, at = [], 12
    while question[at]:
        labels.append(question[at + 1:at + 1 + question[at]].decode())
        at += question[at] + 1
    addresses = names.get('.'.join(labels).lower())
    end = at + 5
    found = addresses or [] if question[at + 1:at + 3] == b'\0\1' else []
    answer = question[:2] + struct.pack('>5H', 0x8580 if addresses else 0x8583, 1, len(found), 0, 0) + question[12:end]
    for last in found:
        answer += struct.pack('>HHHIH4B', 0xc00c, 1, 1, 5, 4, 127, 0, 0, last)
    resolver.sendto(answer, client)
PY
cat >Client.java <<'JAVA'
import java.net.*;
import java.net.http.*;
import java.util.*;
import java.util.concurrent.*;

public class Client {
    interface Ask { void ask(String url) throws Exception; }

    static double seconds(Ask client, String url, ExecutorService pool) throws Exception {
        long begin = System.nanoTime();
        Future<?> asked = pool.submit(() -> { client.ask(url); return null; });
        try {
            asked.get(10, TimeUnit.SECONDS);
        } catch (Exception failed) {
            return -1;
        }
        return (System.nanoTime() - begin) / 1e9;
    }

    public static void main(String[] arguments) throws Exception {
        var vertx = io.vertx.core.Vertx.vertx();
        var clients = new LinkedHashMap<String, Ask>();
        clients.put("HttpURLConnection", url -> new URL(url).openStream().readAllBytes());
        clients.put("java.net.http", url -> HttpClient.newHttpClient().send(HttpRequest.newBuilder(URI.create(url)).build(), HttpResponse.BodyHandlers.ofString()));
        clients.put("OkHttp", url -> {
            try (var answer = new okhttp3.OkHttpClient().newCall(new okhttp3.Request.Builder().url(url).build()).execute()) { answer.body().bytes(); }
        });
        clients.put("HttpClient 5", url -> org.apache.hc.client5.http.impl.classic.HttpClients.createDefault()
            .execute(new org.apache.hc.client5.http.classic.methods.HttpGet(url), answer -> answer.getCode()));
        clients.put("HttpClient 4.5", url -> org.apache.http.impl.client.HttpClients.createDefault().execute(new org.apache.http.client.methods.HttpGet(url)));
        clients.put("async-http-client", url -> org.asynchttpclient.Dsl.asyncHttpClient().prepareGet(url).execute().get());
        clients.put("Jetty", url -> {
            var client = new org.eclipse.jetty.client.HttpClient();
            client.start();
            client.GET(url);
        });
        clients.put("Reactor Netty", url -> reactor.netty.http.client.HttpClient.create().get().uri(url).responseContent().aggregate().asString().block());
        clients.put("Vert.x", url -> io.vertx.ext.web.client.WebClient.create(vertx).getAbs(url).send().toCompletionStage().toCompletableFuture().get());
        var pool = Executors.newCachedThreadPool();
        for (var client : clients.entrySet()) {
            // Not in the time that is taken: classes are loaded, and the good address alone is asked.
            if (seconds(client.getValue(), "http://alone.test:8000/", pool) < 0) throw new IllegalStateException(client.getKey());
        }
        var rows = new LinkedHashMap<String, List<Future<Double>>>();
        for (var client : clients.entrySet()) {
            var row = new ArrayList<Future<Double>>();
            for (var host : List.of("refuses.test", "silent.test")) {
                row.add(pool.submit(() -> seconds(client.getValue(), "http://" + host + ":8000/", pool)));
            }
            rows.put(client.getKey(), row);
        }
        for (var row : rows.entrySet()) System.out.println(row.getKey() + "\t" + row.getValue().get(0).get() + "\t" + row.getValue().get(1).get());
        System.exit(0);
    }
}
JAVA
cat >client.mjs <<'JS'
import http from 'node:http'
import axios from 'axios'
import got from 'got'

const clients = {
  'node:http': (url) => new Promise((resolve, reject) => http.get(url, (answer) => answer.resume().on('end', resolve)).on('error', reject)),
  'fetch (Node.js)': (url) => fetch(url).then((answer) => answer.text()),
  got: (url) => got(url, { retry: { limit: 0 } }),
  axios: (url) => axios.get(url)
}
const seconds = (client, host) => {
  const begin = performance.now()
  const late = new Promise((resolve, reject) => setTimeout(reject, 10_000))
  return Promise.race([client(`http://${host}:8000/`), late]).then(() => (performance.now() - begin) / 1000, () => -1)
}
for (const client of Object.values(clients)) await seconds(client, 'alone.test')
const rows = Object.entries(clients).map(async ([name, client]) => [name, ...await Promise.all(['refuses.test', 'silent.test'].map((host) => seconds(client, host)))])
for (const row of await Promise.all(rows)) console.log(row.join('\t'))
process.exit()
JS
cat >client.py <<'PY'
import asyncio, concurrent.futures, os, time, urllib.request
import aiohttp, curl_cffi, httpx, primp, requests

async def with_aiohttp(url):
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        await answer.read()

clients = {
    'urllib': lambda url: urllib.request.urlopen(url).read(),
    'requests': requests.get,
    'httpx': httpx.get,
    'aiohttp': lambda url: asyncio.run(with_aiohttp(url)),
    'primp': lambda url: primp.Client().get(url),
    'curl_cffi': curl_cffi.get,
}

def seconds(client, host):
    begin = time.monotonic()
    client(f'http://{host}:8000/')
    return time.monotonic() - begin

pool = concurrent.futures.ThreadPoolExecutor(20)
for client in clients.values():
    seconds(client, 'alone.test')
rows = {name: [pool.submit(seconds, client, host) for host in ['refuses.test', 'silent.test']] for name, client in clients.items()}
end = time.monotonic() + 10

def result(asked):
    try:
        return asked.result(max(0, end - time.monotonic()))
    except Exception:
        return -1

for name, row in rows.items():
    print(name, *map(result, row), sep='\t', flush=True)
os._exit(0)
PY
cat >client.go <<'GO'
package main

import (
	"fmt"
	"net/http"
	"time"
)

func main() {
	fmt.Print("net/http")
	for _, host := range []string{"refuses.test", "silent.test"} {
		begin, asked := time.Now(), make(chan error, 1)
		go func() {
			_, err := http.Get("http://" + host + ":8000/")
			asked <- err
		}()
		seconds := -1.0
		select {
		case err := <-asked:
			if err == nil {
				seconds = time.Since(begin).Seconds()
			}
		case <-time.After(10 * time.Second):
		}
		fmt.Print("\t", seconds)
	}
	fmt.Println()
}
GO
go build -o client client.go
javac -cp 'jars/*' Client.java 2>/dev/null
cat >clients.sh <<'SH'
ip link set lo up
echo 'nameserver 127.0.0.1' >resolv.conf
echo 'hosts: files dns' >nsswitch.conf
echo '127.0.0.1 localhost' >hosts
for file in resolv.conf nsswitch.conf hosts; do mount --bind "$file" "/etc/$file"; done
python3 servers.py 2>/dev/null &
servers=$!
until getent hosts alone.test >/dev/null; do sleep 0.1; done
java -cp 'jars/*:.' Client 2>/dev/null
python/bin/python client.py
node client.mjs
./client
kill "$servers"
SH
unshare --user --map-root-user --net --mount bash clients.sh >seconds
python3 - <<'PY' | sed 's/ *$//' | tee seen
print(f"{'':20}{'refuses':10}silent")
for line in open('seconds'):
    name, *seconds = line.rstrip('\n').split('\t')
    words = ['-' if float(one) < 0 else 'soon' if float(one) < 3 else 'late' for one in seconds]
    print(f'{name:20}{words[0]:10}{words[1]}')
PY
diff - seen <<'SEEN' || { echo "it is otherwise now" >&2; exit 1; }
                    refuses   silent
HttpURLConnection   -         -
java.net.http       -         -
OkHttp              soon      soon
HttpClient 5        soon      -
HttpClient 4.5      soon      -
async-http-client   soon      late
Jetty               soon      late
Reactor Netty       soon      -
Vert.x              -         -
urllib              soon      -
requests            soon      -
httpx               soon      late
aiohttp             soon      soon
primp               soon      -
curl_cffi           soon      soon
node:http           soon      soon
fetch (Node.js)     soon      soon
got                 soon      soon
axios               soon      soon
net/http            soon      -
SEEN
