#!/usr/bin/env bash
# Eight of nine clients for Kubernetes pass over the `as:` of a kubeconfig, or its groups: what kubectl asks as another user they ask as the one behind it.
#
# kubernetes 37.0.2, kubernetes-asyncio 36.1.0, lightkube 1.0.1, kr8s 0.20.15, pykube-ng 23.6.0 (Python 3.11); @kubernetes/client-node 1.4.0 (JavaScript);
# io.kubernetes:client-java 25.0.0, io.fabric8:kubernetes-client 8.0.0 (OpenJDK 17); k8s.io/client-go v0.37.1, which kubectl has.
#
# A kubeconfig is written for kubectl, and tried with it. A context that impersonates gives these programs the rights of the user behind it, without a word, and
# tests of a role pass. proxy-url is passed over by four, which ask past the proxy; tls-server-name by three, which refuse the certificate. A tokenFile
# whose path is relative is one beside the kubeconfig for client-go alone; five send no token. So does client-java where $KUBECONFIG names two files: it
# reads the first. Two know no plugin of the version v1. A plugin with a relative path is one beside the kubeconfig for four of nine.
#
# Guess before: kubernetes and client-node pass over `as`, client-java over tls-server-name and proxy-url, pykube-ng and fabric8 over a second file.
# What follows: a program gets a user of its own with the rights that it should have, one file, absolute paths.
#
# Output seen: the table at the end of this file (each case is a kubeconfig with one such field; near: a plugin with a relative path; list: two files).
set -euo pipefail
folder=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server"; rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv python
python/bin/pip install --quiet --disable-pip-version-check kubernetes==37.0.2 kubernetes-asyncio==36.1.0 lightkube==1.0.1 kr8s==0.20.15 pykube-ng==23.6.0
npm install --silent --force --prefix . @kubernetes/client-node@1.4.0 >/dev/null
cat >pom.xml <<'XML'
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>finding</groupId>
  <artifactId>finding</artifactId>
  <version>1</version>
  <dependencies>
    <dependency><groupId>io.fabric8</groupId><artifactId>kubernetes-client</artifactId><version>8.0.0</version></dependency>
    <dependency><groupId>io.kubernetes</groupId><artifactId>client-java</artifactId><version>25.0.0</version></dependency>
  </dependencies>
</project>
XML
mvn --quiet --batch-mode -Dstyle.color=never org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies -DoutputDirectory=jars >/dev/null
mkdir go
printf 'module finding\n\ngo 1.26\n\nrequire k8s.io/client-go v0.37.1\n' >go/go.mod
cat >go/main.go <<'GO'
package main

import (
	"context"
	"os"

	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

func main() {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	if len(os.Args) > 1 {
		rules.ExplicitPath = os.Args[1]
	}
	config, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, nil).ClientConfig()
	if err != nil {
		panic(err)
	}
	config.ContentType = "application/json"
	if _, err := kubernetes.NewForConfigOrDie(config).CoreV1().ConfigMaps("default").List(context.TODO(), meta.ListOptions{}); err != nil {
		panic(err)
	}
}
GO
(cd go && go mod tidy 2>/dev/null && go build -o ../client-go .)
cat >clients.py <<'PY'
import asyncio, sys
which, path = (sys.argv[1:] + [None])[:2]
if which == 'kubernetes':
    import kubernetes
    api = kubernetes.config.new_client_from_config(path)
    kubernetes.client.CoreV1Api(api).list_namespaced_config_map('default')
elif which == 'kubernetes-asyncio':
    import kubernetes_asyncio
    async def ask():
        async with await kubernetes_asyncio.config.new_client_from_config(path) as api:
            await kubernetes_asyncio.client.CoreV1Api(api).list_namespaced_config_map('default')
    asyncio.run(ask())
elif which == 'lightkube':
    import lightkube
    from lightkube.config.kubeconfig import KubeConfig
    from lightkube.resources.core_v1 import ConfigMap
    config = KubeConfig.from_file(path) if path else KubeConfig.from_env()
    list(lightkube.Client(config=config).list(ConfigMap, namespace='default'))
elif which == 'kr8s':
    import kr8s
    api = kr8s.api(kubeconfig=path) if path else kr8s.api()
    list(api.get('configmaps', namespace='default'))
elif which == 'pykube-ng':
    import pykube
    config = pykube.KubeConfig.from_file(path) if path else pykube.KubeConfig.from_env()
    list(pykube.ConfigMap.objects(pykube.HTTPClient(config, timeout=5)).filter(namespace='default'))
PY
cat >client.mjs <<'JS'
import { CoreV1Api, KubeConfig } from '@kubernetes/client-node'
const config = new KubeConfig()
if (process.argv[2]) config.loadFromFile(process.argv[2]); else config.loadFromDefault()
await config.makeApiClient(CoreV1Api).listNamespacedConfigMap({ namespace: 'default' })
JS
cat >Official.java <<'JAVA'
import io.kubernetes.client.openapi.apis.CoreV1Api;
import io.kubernetes.client.util.*;
import java.io.*;

public class Official {
    public static void main(String[] arguments) throws Exception {
        var builder = ClientBuilder.standard();
        if (arguments.length > 0) {
            var config = KubeConfig.loadKubeConfig(new FileReader(arguments[0]));
            config.setFile(new File(arguments[0]));
            builder = ClientBuilder.kubeconfig(config);
        }
        new CoreV1Api(builder.build()).listNamespacedConfigMap("default").execute();
        System.exit(0);
    }
}
JAVA
cat >Fabric8.java <<'JAVA'
import io.fabric8.kubernetes.client.*;
import java.io.File;

public class Fabric8 {
    public static void main(String[] arguments) throws Exception {
        var config = arguments.length > 0 ? Config.fromKubeconfig(new File(arguments[0])) : Config.autoConfigure(null);
        config.setRequestRetryBackoffLimit(0);
        try (var client = new KubernetesClientBuilder().withConfig(config).build()) {
            client.configMaps().inNamespace("default").list();
        }
        System.exit(0);
    }
}
JAVA
javac -nowarn -cp 'jars/*' Official.java Fabric8.java

openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.crt -days 30 -subj /CN=ca -addext keyUsage=critical,keyCertSign,cRLSign 2>/dev/null
openssl req -newkey rsa:2048 -nodes -keyout tls.key -out tls.csr -subj /CN=api 2>/dev/null
openssl x509 -req -in tls.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 30 -out tls.crt 2>/dev/null -extfile <(
  printf 'subjectAltName=DNS:localhost,DNS:kubernetes.example\nbasicConstraints=critical,CA:FALSE\nextendedKeyUsage=serverAuth\nauthorityKeyIdentifier=keyid')
cat >server.py <<'PY'
import http.server, json, select, socket, ssl, threading

CAME = open('came', 'a', buffering=1)

answers = {
    '/version': {'major': '1', 'minor': '37', 'gitVersion': 'v1.37.0'},
    '/api': {'kind': 'APIVersions', 'versions': ['v1']},
    '/api/v1': {'kind': 'APIResourceList', 'groupVersion': 'v1', 'resources': [
        {'name': 'configmaps', 'singularName': 'configmap', 'namespaced': True, 'kind': 'ConfigMap', 'verbs': ['list']}]},
    '/api/v1/namespaces/default/configmaps': {'kind': 'ConfigMapList', 'apiVersion': 'v1', 'metadata': {'resourceVersion': '7'}, 'items': []},
}

class Api(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'

    def do_GET(self):
        if 'configmaps' in self.path:
            told = {name: self.headers.get_all(header) for name, header in
                    [('token', 'Authorization'), ('as', 'Impersonate-User'), ('groups', 'Impersonate-Group')]}
            CAME.write(json.dumps(told) + '\n')
        body = answers.get(self.path.partition('?')[0].rstrip('/'), {'kind': 'APIGroupList', 'apiVersion': 'v1', 'groups': []})
        body = json.dumps(body).encode()
        self.send_response(200)
        self.send_header('Content-Type', 'application/json')
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass

class Proxy(http.server.BaseHTTPRequestHandler):
    def do_CONNECT(self):
        CAME.write('{"proxy": true}\n')
        host, _, port = self.path.rpartition(':')
        there = socket.create_connection(('127.0.0.1', int(port)))
        self.send_response(200)
        self.end_headers()
        while True:
            for ready in select.select([self.connection, there], [], [])[0]:
                data = ready.recv(65536)
                if not data:
                    return
                (there if ready is self.connection else self.connection).sendall(data)

    def log_message(self, *_):
        pass

api = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Api)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain('tls.crt', 'tls.key')
api.socket = context.wrap_socket(api.socket, server_side=True, do_handshake_on_connect=False)
proxy = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Proxy)
threading.Thread(target=proxy.serve_forever, daemon=True).start()
print(api.server_port, proxy.server_port, flush=True)
api.serve_forever()
PY
python/bin/python server.py >ports 2>server.log &
server=$!
for _ in $(seq 100); do [ -s ports ] && break; sleep 0.1; done
read -r api proxy <ports

mkdir files elsewhere
cp ca.crt files
echo from-file >files/token
cat >files/get-token <<'PLUGIN'
#!/bin/sh
echo '{"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": {"token": "from-plugin"}}'
PLUGIN
chmod +x files/get-token
write() { # FILE, SERVER, more of the cluster, the user
  cat >"files/$1" <<CONFIG
apiVersion: v1
kind: Config
clusters: [{name: one, cluster: {server: "$2", certificate-authority: ca.crt$3}}]
users: [{name: one, user: {$4}}]
contexts: [{name: one, context: {cluster: one, user: one, namespace: default}}]
current-context: one
CONFIG
}
plugin() { echo "exec: {apiVersion: client.authentication.k8s.io/v1, command: $1, interactiveMode: Never}"; }
write server-name "https://127.0.0.1:$api" ', tls-server-name: kubernetes.example' 'token: inline'
write proxy "https://localhost:$api" ", proxy-url: 'http://127.0.0.1:$proxy'" 'token: inline'
write as "https://localhost:$api" '' 'token: inline, as: shop, as-groups: [readers]'
write token-file "https://localhost:$api" '' 'tokenFile: token'
write plugin "https://localhost:$api" '' "$(plugin "$folder/files/get-token")"
write near "https://localhost:$api" '' "$(plugin ./get-token)"
write first "https://localhost:$api" '' ''
sed -i '/^users:/d' files/first
printf 'apiVersion: v1\nkind: Config\nusers: [{name: one, user: {token: from-second}}]\n' >files/second

ask() { # CLIENT, the file or nothing
  case $1 in
    client-node) node "$folder/client.mjs" "${@:2}" ;;
    client-java) java -cp "$folder:$folder/jars/*" Official "${@:2}" ;;
    fabric8) java -cp "$folder:$folder/jars/*" Fabric8 "${@:2}" ;;
    client-go) "$folder/client-go" "${@:2}" ;;
    *) "$folder/python/bin/python" "$folder/clients.py" "$@" ;;
  esac
}
cat >heard.py <<'PY'
import json, sys
case, outcome = sys.argv[1:]
came = [json.loads(line) for line in open('came')]
last = next((one for one in reversed(came) if 'token' in one), None)
if last is None or outcome != '0':
    print('error')
elif case == 'proxy':
    print('yes' if {'proxy': True} in came else 'no')
elif case == 'as':
    print('yes' if last['groups'] else 'no groups' if last['as'] else 'no')
elif case == 'server-name':
    print('yes')
else:
    print('yes' if last['token'] and last['token'][0].startswith('Bearer from-') else 'no token')
PY
cases=(server-name proxy as token-file plugin near list)
{
  printf '%-19s' ''
  printf '%-12s' "${cases[@]}"
  for client in kubernetes kubernetes-asyncio lightkube kr8s pykube-ng client-node client-java fabric8 client-go; do
    printf '\n%-19s' $client
    for case in "${cases[@]}"; do
      : >came
      if [ "$case" = list ]; then
        outcome=$(cd elsewhere && KUBECONFIG=$folder/files/first:$folder/files/second ask $client >/dev/null 2>&1; echo $?)
      else
        outcome=$(cd elsewhere && ask $client "$folder/files/$case" >/dev/null 2>&1; echo $?)
      fi
      printf '%-12s' "$(python3 heard.py "$case" "$outcome")"
    done
  done
  echo
} | sed 's/ *$//' | tee seen
diff - seen <<'SEEN' || { echo "it is otherwise now" >&2; exit 1; }
                   server-name proxy       as          token-file  plugin      near        list
kubernetes         yes         yes         no          error       yes         yes         yes
kubernetes-asyncio yes         yes         no          error       yes         error       yes
lightkube          error       no          no          error       error       error       error
kr8s               yes         yes         no          no token    yes         error       yes
pykube-ng          yes         no          no          no token    error       error       error
client-node        yes         yes         no groups   no token    yes         error       yes
client-java        error       no          no          no token    yes         yes         no token
fabric8            error       no          no          no token    yes         yes         yes
client-go          yes         yes         yes         yes         yes         yes         yes
SEEN
