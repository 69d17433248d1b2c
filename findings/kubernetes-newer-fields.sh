#!/usr/bin/env bash
# The Java client for Kubernetes cannot read an object with a field that is newer than the client: with the one for 1.34, no node of a cluster of 1.36.
#
# io.kubernetes:client-java 25.0.0, io.fabric8:kubernetes-client 7.4.0 (Java); kubernetes 34.1.0, kubernetes-asyncio 34.3.3, lightkube 1.0.1 with
# lightkube-models 1.34.0.8 (Python 3.11); @kubernetes/client-node 1.4.0 (JavaScript); k8s.io/client-go v0.34.3. All are for Kubernetes 1.34.
#
# Each minor version of Kubernetes adds fields, and promises that clients from before go on. A kubelet of 1.36 writes status.declaredFeatures into its node
# (its features are on by default), so client-java fails to list nodes from the day of the upgrade: "The field `declaredFeatures` in the JSON string is not
# defined". One object with a newer field ends a whole list. The others read it, and all but fabric8's forget what they do not know:
# who reads an object, changes it and replaces it takes the newer field away, without an error. In a template of pods that is another template.
#
# Guess before: all read what they know and pass over the rest; the Python and JavaScript clients keep it for the way back, client-go does not.
# What follows: upgrade client-java before the cluster; change objects by patches of what is meant.
#
# Output seen: the table at the end of this file (a node of 1.36 is listed; a StatefulSet with podCertificate.userAnnotations, of 1.35, is
# read and replaced, and the server looks at what arrives).
set -euo pipefail
folder=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server"; rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv python
python/bin/pip install --quiet --disable-pip-version-check kubernetes==34.1.0 kubernetes-asyncio==34.3.3 lightkube==1.0.1 lightkube-models==1.34.0.8
npm install --silent --force --prefix . @kubernetes/client-node@1.4.0 >/dev/null
cat >pom.xml <<'XML'
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>finding</groupId>
  <artifactId>finding</artifactId>
  <version>1</version>
  <dependencies>
    <dependency><groupId>io.kubernetes</groupId><artifactId>client-java</artifactId><version>25.0.0</version></dependency>
    <dependency><groupId>io.fabric8</groupId><artifactId>kubernetes-client</artifactId><version>7.4.0</version></dependency>
  </dependencies>
</project>
XML
mvn --quiet --batch-mode -Dstyle.color=never org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies -DoutputDirectory=jars >/dev/null
mkdir go
cat >go/go.mod <<'GO'
module finding
go 1.25
require k8s.io/client-go v0.34.3
GO
cat >go/main.go <<'GO'
package main

import (
	"context"
	"fmt"

	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

func main() {
	config, _ := clientcmd.BuildConfigFromFlags("", "kubeconfig")
	config.UserAgent = "client-go"
	config.ContentType = "application/json"
	client, _ := kubernetes.NewForConfig(config)
	nodes, err := client.CoreV1().Nodes().List(context.TODO(), meta.ListOptions{})
	if err != nil {
		panic(err)
	}
	fmt.Println("client-go read", len(nodes.Items))
	sets := client.AppsV1().StatefulSets("default")
	set, err := sets.Get(context.TODO(), "one", meta.GetOptions{})
	if err != nil {
		panic(err)
	}
	if _, err := sets.Update(context.TODO(), set, meta.UpdateOptions{}); err != nil {
		panic(err)
	}
}
GO
(cd go && go mod tidy 2>/dev/null && go build -o ../client-go .)

cat >server.py <<'PY'
import http.server, json, sys
node = {'metadata': {'name': 'one'}, 'spec': {}, 'status': {'declaredFeatures': ['RestartAllContainersOnContainerExits']}}
certificate = {'signerName': 'example.com/signer', 'keyType': 'ED25519', 'credentialBundlePath': 'leaf.pem',
               'userAnnotations': {'example.com/team': 'a'}}
labels = {'app': 'one'}
objects = {
    '/api/v1/nodes': {'apiVersion': 'v1', 'kind': 'NodeList', 'metadata': {'resourceVersion': '7'}, 'items': [node]},
    '/apis/apps/v1/namespaces/default/statefulsets/one': {
        'apiVersion': 'apps/v1', 'kind': 'StatefulSet', 'metadata': {'name': 'one', 'namespace': 'default', 'resourceVersion': '7'},
        'spec': {'serviceName': 'one', 'selector': {'matchLabels': labels}, 'template': {'metadata': {'labels': labels}, 'spec': {
            'containers': [{'name': 'main', 'image': 'example/main'}],
            'volumes': [{'name': 'leaf', 'projected': {'sources': [{'podCertificate': certificate}]}}]}}}},
}

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'

    def do_GET(self):
        body = json.dumps(objects.get(self.path.partition('?')[0], {'kind': 'Status', 'apiVersion': 'v1', 'code': 404})).encode()
        self.send_response(200 if self.path.partition('?')[0] in objects else 404)
        self.send_header('Content-Type', 'application/json')
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_PUT(self):
        body = self.rfile.read(int(self.headers['Content-Length']))
        print('kept' if b'userAnnotations' in body else 'gone', self.headers['User-Agent'], file=sys.stderr, flush=True)
        self.do_GET()

    def log_message(self, *_):
        pass

server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)
print(server.server_port, flush=True)
server.serve_forever()
PY
python/bin/python server.py >port 2>came &
server=$!
for _ in $(seq 100); do [ -s port ] && break; sleep 0.1; done
cat >kubeconfig <<CONFIG
apiVersion: v1
kind: Config
clusters: [{name: one, cluster: {server: "http://127.0.0.1:$(cat port)", insecure-skip-tls-verify: true}}]
users: [{name: one, user: {}}]
contexts: [{name: one, context: {cluster: one, user: one, namespace: default}}]
current-context: one
CONFIG

cat >client.py <<'PY'
import asyncio
import kubernetes, kubernetes_asyncio, lightkube
from lightkube.config.kubeconfig import KubeConfig
from lightkube.resources.apps_v1 import StatefulSet
from lightkube.resources.core_v1 import Node

api = kubernetes.config.new_client_from_config('kubeconfig')
api.user_agent = 'kubernetes'
print('kubernetes read', len(kubernetes.client.CoreV1Api(api).list_node().items))
apps = kubernetes.client.AppsV1Api(api)
apps.replace_namespaced_stateful_set('one', 'default', apps.read_namespaced_stateful_set('one', 'default'))

async def with_asyncio():
    api = await kubernetes_asyncio.config.new_client_from_config('kubeconfig')
    async with api:
        api.user_agent = 'kubernetes-asyncio'
        print('kubernetes-asyncio read', len((await kubernetes_asyncio.client.CoreV1Api(api).list_node()).items))
        apps = kubernetes_asyncio.client.AppsV1Api(api)
        await apps.replace_namespaced_stateful_set('one', 'default', await apps.read_namespaced_stateful_set('one', 'default'))
asyncio.run(with_asyncio())

client = lightkube.Client(config=KubeConfig.from_file('kubeconfig'))
print('lightkube read', len(list(client.list(Node))))
client.replace(client.get(StatefulSet, 'one', namespace='default'))
PY
cat >client.mjs <<'JS'
import { AppsV1Api, CoreV1Api, KubeConfig } from '@kubernetes/client-node'
const config = new KubeConfig()
config.loadFromFile('kubeconfig')
console.log('client-node read', (await config.makeApiClient(CoreV1Api).listNode()).items.length)
const apps = config.makeApiClient(AppsV1Api)
const one = { name: 'one', namespace: 'default' }
await apps.replaceNamespacedStatefulSet({ ...one, body: await apps.readNamespacedStatefulSet(one) })
JS
cat >Client.java <<'JAVA'
import io.fabric8.kubernetes.client.*;
import io.kubernetes.client.openapi.apis.*;
import java.nio.file.*;

public class Client {
    interface Ask { void ask() throws Exception; }

    static void show(Ask ask) throws Exception {
        try {
            ask.ask();
        } catch (IllegalArgumentException refused) {
            System.out.println("client-java " + refused.getMessage().replaceAll(" JSON: .*", ""));
        }
    }

    public static void main(String[] arguments) throws Exception {
        var client = io.kubernetes.client.util.Config.fromConfig("kubeconfig").setUserAgent("client-java");
        show(() -> System.out.println("client-java read " + new CoreV1Api(client).listNode().execute().getItems().size()));
        var apps = new AppsV1Api(client);
        show(() -> apps.replaceNamespacedStatefulSet("one", "default", apps.readNamespacedStatefulSet("one", "default").execute()).execute());
        try (var other = new KubernetesClientBuilder().withConfig(io.fabric8.kubernetes.client.Config.fromKubeconfig(Files.readString(Path.of("kubeconfig")))).build()) {
            System.out.println("fabric8 read " + other.nodes().list().getItems().size());
            other.resource(other.apps().statefulSets().inNamespace("default").withName("one").get()).update();
        }
        System.exit(0);
    }
}
JAVA
cat >show.py <<'PY'
import sys
agents = {'kubernetes': 'kubernetes', 'kubernetes-asyncio': 'kubernetes-asyncio', 'lightkube': 'python-httpx2', 'client-node': 'node-fetch',
          'client-go': 'client-go', 'fabric8': 'fabric8', 'client-java': 'client-java'}
came = [line.split() for line in open('came')]
said = [line.split(maxsplit=1) for line in open('said')]
print(f"{'':20} {'userAnnotations':15} nodes listed")
for name, agent in agents.items():
    became = {word for word, *who in came if who[0].split('/')[0].removesuffix('-kubernetes-client') == agent}
    print(f"{name:20} {became.pop() if became else 'not read':15}", next(text.strip() for who, text in said if who == name))
PY
{
  python/bin/python client.py
  node client.mjs
  java -cp 'jars/*' Client.java 2>/dev/null
  ./client-go
} >said
python/bin/python show.py | tee seen
diff - seen <<'SEEN' || { echo "it is otherwise now" >&2; exit 1; }
                     userAnnotations nodes listed
kubernetes           gone            read 1
kubernetes-asyncio   gone            read 1
lightkube            gone            read 1
client-node          gone            read 1
client-go            gone            read 1
fabric8              kept            read 1
client-java          not read        The field `declaredFeatures` in the JSON string is not defined in the `V1NodeStatus` properties.
SEEN
