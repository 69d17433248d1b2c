#!/usr/bin/env bash
# A write that a gateway redirects with 301 or 302 is a read with ten of 26 clients, and a PUT without its body with two more; the caller gets 200 for it.
#
# urllib of Python 3.11, urllib3 2.8.0, requests 2.34.2, niquests 3.21.2, httpx 0.28.1, aiohttp 3.14.5, httplib2 0.32.1, Tornado 6.6.1, aiosonic 1.3.3,
# geventhttpclient 2.6.1, pycurl 7.49.0, curl_cffi 0.17.0, primp 2.0.1 (Python); fetch of Node.js 20, axios 1.21.1, got 14.6.6, needle 3.5.0, superagent
# 10.4.2, urllib 4.9.1 (JavaScript); HttpURLConnection and java.net.http of OpenJDK 17, OkHttp 5.5.1, Apache HttpClient 5.6.5, async-http-client 3.0.6,
# Jetty 12.1.14 (Java); net/http of Go 1.26. Those that follow no redirect by themselves are told to.
#
# A gateway that leads from http: to https: with 301 or 302 lets reads pass. HTTP allows a client to make GET of a POST there, and of no
# other method. These do it to PUT and DELETE: the server answers the GET with 200 and what is stored, the caller takes that for its write,
# and nothing was written. requests and httpx do so at 302; at 301 requests keeps the method and drops the body, and httpx does neither. Jetty
# does so to a DELETE at 302 alone. needle makes GET at 307 and 308 too, which were made to forbid it. If-Match and keys come with all of these.
#
# Guess before: Go and OkHttp make GET of both at 301 and 302, all others repeat what they sent, and none touches 307 and 308.
# What follows for a gateway: 308, or no redirect of writes. For a client: the https: address, and no redirects followed.
#
# Output seen: the table at the end of this file (= as it was sent; empty: without its body; - not followed, which the caller sees).
set -euo pipefail
folder=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server"; rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv python
python/bin/pip install --quiet --disable-pip-version-check urllib3==2.8.0 requests==2.34.2 httpx==0.28.1 aiohttp==3.14.5 httplib2==0.32.1 tornado==6.6.1 \
  aiosonic==1.3.3 geventhttpclient==2.6.1 pycurl==7.49.0 curl_cffi==0.17.0 primp==2.0.1
python3 -m venv other
other/bin/pip install --quiet --disable-pip-version-check niquests==3.21.2
npm install --silent --force --prefix . axios@1.21.1 got@14.6.6 needle@3.5.0 superagent@10.4.2 urllib@4.9.1 >/dev/null
cat >pom.xml <<'XML'
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>finding</groupId>
  <artifactId>finding</artifactId>
  <version>1</version>
  <dependencies>
    <dependency><groupId>org.apache.httpcomponents.client5</groupId><artifactId>httpclient5</artifactId><version>5.6.5</version></dependency>
    <dependency><groupId>com.squareup.okhttp3</groupId><artifactId>okhttp-jvm</artifactId><version>5.5.1</version></dependency>
    <dependency><groupId>org.eclipse.jetty</groupId><artifactId>jetty-client</artifactId><version>12.1.14</version></dependency>
    <dependency><groupId>org.asynchttpclient</groupId><artifactId>async-http-client</artifactId><version>3.0.6</version></dependency>
  </dependencies>
</project>
XML
mvn --quiet --batch-mode -Dstyle.color=never org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies -DoutputDirectory=jars >/dev/null

# METHOD /CLIENT/METHOD/STATUS: that status, and the same address with a slash at its end. GET /: what came to those.
cat >server.py <<'PY'
import json, socket, threading

listener = socket.create_server(('127.0.0.1', 0))
port = listener.getsockname()[1]
print(port, flush=True)
came = {}

def read_body(stream, headers):
    if 'chunked' not in headers.get('transfer-encoding', ''):
        return stream.read(int(headers.get('content-length', 0)))
    body = b''
    while size := int(stream.readline(), 16):
        body += stream.read(size)
        stream.readline()
    stream.readline()
    return body

def seen(asked, method, headers, body):
    if headers.get('if-match') != '"v1"' or headers.get('x-user-key') != 'one':
        return 'no key'
    if method != asked:
        return method
    return 'empty' if asked == 'PUT' and not body else '='

def serve(client):
    stream = client.makefile('rb')
    while line := stream.readline():
        method, path, _ = line.decode().split()
        headers = {}
        while header := stream.readline().decode().strip():
            name, _, value = header.partition(':')
            headers[name.lower()] = value.strip()
        body = read_body(stream, headers)
        status, more, answer = '200', '', b'{}'
        if path == '/':
            answer = json.dumps(came).encode()
        elif path.endswith('/'):
            _, name, asked, case, _ = path.split('/')
            came[f'{name} {asked} {case}'] = seen(asked, method, headers, body)
        else:
            status, more = path.split('/')[3], f'Location: http://127.0.0.1:{port}{path}/\r\n'
        client.sendall(f'HTTP/1.1 {status} Said\r\nContent-Type: application/json\r\nContent-Length: {len(answer)}\r\n{more}\r\n'.encode() + answer)

while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
PY
python/bin/python server.py >port &
server=$!
for _ in $(seq 100); do [ -s port ] && break; sleep 0.1; done

# Each client writes its name, the method, the status of the redirect, and the status that its caller gets.
cat >client.py <<'PY'
import asyncio, io, sys, urllib.error, urllib.request
base = f'http://127.0.0.1:{sys.argv[1]}'
headers = {'X-User-Key': 'one', 'If-Match': '"v1"', 'Content-Type': 'application/json'}
bodies = {'PUT': b'{"value":1}', 'DELETE': None}

def with_urllib(method, url):
    try:
        return urllib.request.urlopen(urllib.request.Request(url, bodies[method], headers, method=method)).status
    except urllib.error.HTTPError as error:
        return error.code

if sys.argv[2] == 'niquests':
    import niquests
    clients = {'niquests': lambda method, url: niquests.request(method, url, headers=headers, data=bodies[method]).status_code}
else:
    import aiohttp, aiosonic, curl_cffi, httplib2, httpx, primp, pycurl, requests, tornado.httpclient, urllib3
    from geventhttpclient.useragent import UserAgent

    async def with_aiohttp(method, url):
        async with aiohttp.ClientSession() as session, session.request(method, url, headers=headers, data=bodies[method]) as answer:
            return answer.status

    async def with_tornado(method, url):
        return (await tornado.httpclient.AsyncHTTPClient().fetch(url, method=method, headers=headers, body=bodies[method])).code

    async def with_aiosonic(method, url):
        async with aiosonic.HTTPClient() as client:
            return (await client.request(url, method, headers=headers, data=bodies[method], follow=True)).status_code

    def with_libcurl(method, url):
        curl = pycurl.Curl()
        for option, value in ((curl.URL, url), (curl.CUSTOMREQUEST, method), (curl.FOLLOWLOCATION, True), (curl.WRITEDATA, io.BytesIO()),
                              (curl.HTTPHEADER, [f'{name}: {value}' for name, value in headers.items()])):
            curl.setopt(option, value)
        if bodies[method]:
            curl.setopt(curl.POSTFIELDS, bodies[method])
        curl.perform()
        return curl.getinfo(curl.RESPONSE_CODE)

    clients = {
        'urllib': with_urllib,
        'urllib3': lambda method, url: urllib3.request(method, url, headers=headers, body=bodies[method]).status,
        'requests': lambda method, url: requests.request(method, url, headers=headers, data=bodies[method]).status_code,
        'httpx': lambda method, url: httpx.request(method, url, headers=headers, content=bodies[method], follow_redirects=True).status_code,
        'aiohttp': lambda method, url: asyncio.run(with_aiohttp(method, url)),
        'httplib2': lambda method, url: httplib2.Http().request(url, method, bodies[method], headers)[0].status,
        'Tornado': lambda method, url: asyncio.run(with_tornado(method, url)),
        'aiosonic': lambda method, url: asyncio.run(with_aiosonic(method, url)),
        'geventhttpclient': lambda method, url: UserAgent().urlopen(url, method=method, headers=headers, payload=bodies[method]).status_code,
        'pycurl': with_libcurl,
        'curl_cffi': lambda method, url: curl_cffi.request(method, url, headers=headers, data=bodies[method]).status_code,
        'primp': lambda method, url: primp.Client(follow_redirects=True).request(method, url, headers=headers, content=bodies[method]).status_code,
    }
for name, ask in clients.items():
    for method in bodies:
        for status in (301, 302, 307, 308):
            print(name, method, status, ask(method, f'{base}/{name}/{method}/{status}'), flush=True)
PY
cat >client.mjs <<'JS'
import axios from 'axios'
import got from 'got'
import needle from 'needle'
import superagent from 'superagent'
import urllib from 'urllib'
const headers = { 'X-User-Key': 'one', 'If-Match': '"v1"', 'Content-Type': 'application/json' }
const clients = {
  fetch: async (method, url, body) => (await fetch(url, { method, headers, body })).status,
  axios: async (method, url, data) => (await axios({ url, method, headers, data })).status,
  got: async (method, url, body) => (await got(url, { method, headers, body })).statusCode,
  needle: async (method, url, body) => (await needle(method.toLowerCase(), url, body ?? null, { headers, follow_max: 3 })).statusCode,
  superagent: async (method, url, body) => (await superagent(method, url).set(headers).send(body)).status,
  'urllib-js': async (method, url, content) => (await urllib.request(url, { method, headers, content })).status,
}
for (const [name, ask] of Object.entries(clients)) {
  for (const method of ['PUT', 'DELETE']) {
    for (const status of [301, 302, 307, 308]) {
      const url = `http://127.0.0.1:${process.argv[2]}/${name}/${method}/${status}`
      console.log(name, method, status, await ask(method, url, method === 'PUT' ? '{"value":1}' : undefined))
    }
  }
}
process.exit()
JS
cat >Client.java <<'JAVA'
import java.net.*;
import java.net.http.*;
import java.util.*;

public class Client {
    interface Ask { int ask(String method, String body, String url) throws Exception; }

    static int urlConnection(String method, String body, String url) throws Exception {
        var connection = (HttpURLConnection) new URL(url).openConnection();
        connection.setRequestMethod(method);
        connection.setRequestProperty("X-User-Key", "one");
        connection.setRequestProperty("If-Match", "\"v1\"");
        if (body != null) {
            connection.setDoOutput(true);
            try (var out = connection.getOutputStream()) { out.write(body.getBytes()); }
        }
        return connection.getResponseCode();
    }

    public static void main(String[] arguments) throws Exception {
        var clients = new LinkedHashMap<String, Ask>();
        clients.put("HttpURLConnection", Client::urlConnection);
        var client = HttpClient.newBuilder().followRedirects(HttpClient.Redirect.NORMAL).build();
        clients.put("java.net.http", (method, body, url) -> {
            var publisher = body == null ? HttpRequest.BodyPublishers.noBody() : HttpRequest.BodyPublishers.ofString(body);
            var request = HttpRequest.newBuilder(URI.create(url)).headers("X-User-Key", "one", "If-Match", "\"v1\"").method(method, publisher).build();
            return client.send(request, HttpResponse.BodyHandlers.ofString()).statusCode();
        });
        var okhttp = new okhttp3.OkHttpClient();
        clients.put("OkHttp", (method, body, url) -> {
            var sent = body == null ? null : okhttp3.RequestBody.create(body.getBytes());
            var request = new okhttp3.Request.Builder().url(url).header("X-User-Key", "one").header("If-Match", "\"v1\"").method(method, sent).build();
            try (var answer = okhttp.newCall(request).execute()) { return answer.code(); }
        });
        var apache = org.apache.hc.client5.http.impl.classic.HttpClients.createDefault();
        clients.put("HttpClient-5", (method, body, url) -> {
            var request = org.apache.hc.core5.http.io.support.ClassicRequestBuilder.create(method).setUri(url);
            request.addHeader("X-User-Key", "one").addHeader("If-Match", "\"v1\"");
            if (body != null) request.setEntity(body);
            return apache.execute(request.build(), answer -> answer.getCode());
        });
        var async = org.asynchttpclient.Dsl.asyncHttpClient(org.asynchttpclient.Dsl.config().setFollowRedirect(true));
        clients.put("async-http-client", (method, body, url) -> {
            var request = async.prepare(method, url).setHeader("X-User-Key", "one").setHeader("If-Match", "\"v1\"");
            return (body == null ? request : request.setBody(body)).execute().get().getStatusCode();
        });
        var jetty = new org.eclipse.jetty.client.HttpClient();
        jetty.start();
        clients.put("Jetty", (method, body, url) -> {
            var request = jetty.newRequest(url).method(method).headers(headers -> headers.put("X-User-Key", "one").put("If-Match", "\"v1\""));
            return (body == null ? request : request.body(new org.eclipse.jetty.client.StringRequestContent(body))).send().getStatus();
        });
        for (var one : clients.entrySet()) {
            for (var method : List.of("PUT", "DELETE")) {
                for (var status : List.of("301", "302", "307", "308")) {
                    var url = "http://127.0.0.1:" + arguments[0] + "/" + one.getKey() + "/" + method + "/" + status;
                    var body = method.equals("PUT") ? "{\"value\":1}" : null;
                    System.out.println(one.getKey() + " " + method + " " + status + " " + one.getValue().ask(method, body, url));
                }
            }
        }
        System.exit(0);
    }
}
JAVA
cat >client.go <<'GO'
package main

import (
	"fmt"
	"net/http"
	"os"
	"strings"
)

func main() {
	for method, body := range map[string]string{"PUT": `{"value":1}`, "DELETE": ""} {
		for _, status := range []string{"301", "302", "307", "308"} {
			request, _ := http.NewRequest(method, "http://127.0.0.1:"+os.Args[1]+"/net-http/"+method+"/"+status, strings.NewReader(body))
			request.Header.Set("X-User-Key", "one")
			request.Header.Set("If-Match", `"v1"`)
			answer, err := http.DefaultClient.Do(request)
			if err != nil {
				panic(err)
			}
			answer.Body.Close()
			fmt.Println("net-http", method, status, answer.StatusCode)
		}
	}
}
GO
cat >show.py <<'PY'
import json, sys, urllib.request
came = json.load(urllib.request.urlopen(f'http://127.0.0.1:{sys.argv[1]}/'))
said = dict(line.strip().rsplit(' ', 1) for line in open('said'))
for case, status in said.items():       # who follows gets 200 in every case, who does not sees the redirect
    assert status == ('200' if case in came else case.split()[2]), case
print(f"{'':18} {'301':15} {'302':15} {'307':15} 308")
print(' ' * 18, *['PUT     DELETE '] * 4)
for name in dict.fromkeys(case.split()[0] for case in said):
    print(f'{name:18}', *(f"{came.get(f'{name} {method} {status}', '-'):7}" for status in (301, 302, 307, 308) for method in ('PUT', 'DELETE')))
PY
{
  python/bin/python client.py "$(cat port)" most
  other/bin/python client.py "$(cat port)" niquests
  node client.mjs "$(cat port)"
  java -cp 'jars/*' Client.java "$(cat port)" 2>/dev/null
  go run client.go "$(cat port)"
} >said
python3 show.py "$(cat port)" | sed 's/ *$//' | tee seen
diff - seen <<'SEEN' || { echo "it is otherwise now" >&2; exit 1; }
                   301             302             307             308
                   PUT     DELETE  PUT     DELETE  PUT     DELETE  PUT     DELETE
urllib             -       -       -       -       -       -       -       -
urllib3            =       =       =       =       =       =       =       =
requests           empty   =       GET     GET     =       =       =       =
httpx              =       =       GET     GET     =       =       =       =
aiohttp            =       =       =       =       =       =       =       =
httplib2           -       -       -       -       -       -       =       =
Tornado            =       =       =       =       =       =       =       =
aiosonic           =       =       =       =       =       =       =       =
geventhttpclient   GET     GET     GET     GET     =       =       =       =
pycurl             empty   =       empty   =       =       =       =       =
curl_cffi          empty   =       empty   =       =       =       =       =
primp              =       =       =       =       =       =       =       =
niquests           empty   =       GET     GET     =       =       =       =
fetch              =       =       =       =       =       =       =       =
axios              =       =       =       =       =       =       =       =
got                =       =       =       =       =       =       =       =
needle             GET     GET     GET     GET     GET     GET     GET     GET
superagent         GET     GET     GET     GET     =       =       =       =
urllib-js          =       =       =       =       =       =       =       =
HttpURLConnection  =       =       =       =       =       =       -       -
java.net.http      =       =       =       =       =       =       =       =
OkHttp             GET     GET     GET     GET     =       =       =       =
HttpClient-5       =       =       =       =       =       =       =       =
async-http-client  GET     GET     GET     GET     =       =       =       =
Jetty              =       =       =       GET     =       =       =       =
net-http           GET     GET     GET     GET     =       =       =       =
SEEN
