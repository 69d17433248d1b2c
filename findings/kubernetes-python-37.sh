#!/usr/bin/env bash
# The client for Kubernetes in Python refuses, from 37 on, what API servers take: numbers as quantities, fields of a newer server, null in a patch.
#
# kubernetes 36.0.3 and 37.0.2 (Python 3.11), with a server that notes what arrives.
#
# The models of 37 check each body before it is sent. `cpu: 2` in a manifest, which an API server and kubectl take, is no string: ValidationError, also
# from utils.create_from_yaml. So is a manifest with a field that Kubernetes has since a later version than the client. An annotation, a
# label or an entry of a Secret is deleted by a patch with null: that is refused where the patch is a model, and passes where it is a dict.
# `annotations: null` in a manifest is left out, and passes.
#
# Guess before: 37 sends what 36 sends.
# What follows: patches are dicts; quantities are quoted; a client that applies others' manifests is as new as the server.
#
# Output seen: the table at the end of this file (sent: as it was given).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
for version in 36.0.3 37.0.2; do
  python3 -m venv "$version"
  "$version/bin/pip" install --quiet --disable-pip-version-check "kubernetes==$version"
done
cat >send.py <<'PY'
import http.server, json, threading
import kubernetes
from kubernetes import client, utils

arrived = []

class Handler(http.server.BaseHTTPRequestHandler):
    def answer(self):
        arrived.append(json.loads(self.rfile.read(int(self.headers['Content-Length']))))
        kind = 'Secret' if 'secrets' in self.path else 'Deployment'
        spec = {'selector': {}, 'template': {'spec': {'containers': [{'name': 'app'}]}}}
        body = json.dumps({'kind': kind, 'metadata': {'name': 'config'}, **({} if kind == 'Secret' else {'spec': spec})}).encode()
        self.send_response(200)
        self.send_header('Content-Type', 'application/json')
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_PATCH = answer

    def log_message(self, *_):
        pass

server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
configuration = client.Configuration()
configuration.host = f'http://127.0.0.1:{server.server_port}'
api = client.ApiClient(configuration)
secrets, deployments = client.CoreV1Api(api), client.AppsV1Api(api)

def deployment(limits, metadata=(), **pod):
    containers = [{'name': 'app', 'image': 'app', 'resources': {'limits': limits}}]
    return {
        'apiVersion': 'apps/v1', 'kind': 'Deployment', 'metadata': {'name': 'config', **dict(metadata)},
        'spec': {'selector': {'matchLabels': {'a': 'b'}}, 'template': {'metadata': {'labels': {'a': 'b'}}, 'spec': {'containers': containers, **pod}}},
    }

def create(body):
    return lambda: deployments.create_namespaced_deployment('default', body), body

def create_from_file(body):
    with open('manifest.yaml', 'w') as manifest:
        json.dump(body, manifest)
    return lambda: utils.create_from_yaml(api, 'manifest.yaml', namespace='default'), body

def patch(wanted, make):
    return lambda: secrets.patch_namespaced_secret('config', 'default', make()), wanted

without_note = {'metadata': {'annotations': {'note': None}}}
without_entry = {'data': {'previous': None}}
cases = {
    'create, cpu: "2"': create(deployment({'cpu': '2'})),
    'create, cpu: 2': create(deployment({'cpu': 2})),
    'create from a file, cpu: 2': create_from_file(deployment({'cpu': 2})),
    'create, a later field': create(deployment({}, fieldOfTomorrow=True)),
    'create, annotations: null': create(deployment({}, {'annotations': None})),
    'patch by dict, annotation null': patch(without_note, lambda: without_note),
    'patch by model, annotation null': patch(without_note, lambda: client.V1Secret(metadata=client.V1ObjectMeta(annotations={'note': None}))),
    'patch by dict, entry null': patch(without_entry, lambda: without_entry),
    'patch by model, entry null': patch(without_entry, lambda: client.V1Secret(data={'previous': None})),
}
print('kubernetes', kubernetes.__version__)
for name, (send, wanted) in cases.items():
    arrived.clear()
    try:
        send()
        print(f"  {name:32} {'sent' if arrived == [wanted] else 'sent otherwise'}")
    except Exception as error:
        print(f'  {name:32} {type(error).__name__}')
PY
for version in 36.0.3 37.0.2; do "$version/bin/python" send.py; done | sed 's/ *$//' | tee seen
diff - seen <<'SEEN' || { echo "it is otherwise now" >&2; exit 1; }
kubernetes 36.0.3
  create, cpu: "2"                 sent
  create, cpu: 2                   sent
  create from a file, cpu: 2       sent
  create, a later field            sent
  create, annotations: null        sent
  patch by dict, annotation null   sent
  patch by model, annotation null  sent
  patch by dict, entry null        sent
  patch by model, entry null       sent
kubernetes 37.0.2
  create, cpu: "2"                 sent
  create, cpu: 2                   ValidationError
  create from a file, cpu: 2       ValidationError
  create, a later field            ValidationError
  create, annotations: null        sent otherwise
  patch by dict, annotation null   sent
  patch by model, annotation null  ValidationError
  patch by dict, entry null        sent
  patch by model, entry null       ValidationError
SEEN
