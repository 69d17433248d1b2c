#!/usr/bin/env bash
# Clients that openapi-generator makes for Go and for Java refuse an answer with a field that their document does not name; six others take it.
#
# openapi-generator 7.24.0 (go; java with okhttp-gson, which is its default, and with native; python; typescript-fetch), oapi-codegen 2.8.2, ogen 1.24.0 (Go
# 1.26), openapi-python-client 0.29.1. One document of OpenAPI 3.1 with one object, read from a server that has got a field more since.
#
# Both JSON Schema and OpenAPI say that an object may have members that its schema does not name, unless additionalProperties is false. So a server adds
# fields in minor versions. openapi-generator means the opposite unless told (disallowAdditionalPropertiesIfNotPresent, whose default its help
# calls "incorrect"), and two of its clients act on it: 200 becomes an error the day the server is upgraded, `unknown field "later"`. Its other
# clients have the same setting and read on, so one's own test in another language shows nothing. `additionalProperties: true` helps both.
#
# Guess before: generated clients pass over what they do not know; ogen, which validates, perhaps not.
# What follows for a document: additionalProperties: true on each object of an answer, though it is the default. For who generates:
# --additional-properties=disallowAdditionalPropertiesIfNotPresent=false.
#
# Output seen: the table at the end of this file (plain: the document as it is; said: with additionalProperties: true; option: plain, with that option).
set -euo pipefail
folder=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server"; chmod -R u+w "$folder"; rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv python
python/bin/pip install --quiet --disable-pip-version-check openapi-python-client==0.29.1 pydantic==2.12.5 urllib3==2.8.0 python-dateutil==2.9.0.post0 \
  typing-extensions httpx==0.28.1 attrs
npm install --silent --prefix . typescript@5.9.3 >/dev/null
mvn --quiet --batch-mode -Dstyle.color=never org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy \
  -Dartifact=org.openapitools:openapi-generator-cli:7.24.0 -DoutputDirectory=. >/dev/null
GOBIN=$folder go install github.com/oapi-codegen/oapi-codegen/v2/cmd/oapi-codegen@v2.8.2 2>/dev/null
GOBIN=$folder go install github.com/ogen-go/ogen/cmd/ogen@v1.24.0 2>/dev/null

cat >server.py <<'PY'
import http.server

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = b'{"key": "one", "category": "main", "later": 1}'
        self.send_response(200)
        self.send_header('Content-Type', 'application/json')
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass

server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)
print(server.server_port, flush=True)
server.serve_forever()
PY
python/bin/python server.py >port &
server=$!
for _ in $(seq 100); do [ -s port ] && break; sleep 0.1; done
base=http://127.0.0.1:$(cat port)

generate() { # GENERATOR FOLDER [CHOICES]
  java -jar ../openapi-generator-cli-7.24.0.jar generate -i api.json -g "$1" -o "$2" "${@:3}" >/dev/null 2>&1
}
show() { # CLIENT COMMAND: the key that the client read, or the first line of its error
  local seen
  seen=$("${@:2}" 2>&1 | head -1) || seen=failed
  echo "$1|$seen" >>seen-here
}
of_go() { # MODULE FOLDER WITH main.go
  (cd "$1" && { [ -f go.mod ] || go mod init finding; } && go mod tidy && go build -o client ./ask) >/dev/null 2>&1
}
of_java() { # FOLDER
  mkdir -p "$1/classes"
  mvn --quiet --batch-mode -Dstyle.color=never -f "$1/pom.xml" org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies \
    -DoutputDirectory=jars >/dev/null
  cp Ask.java "$1/src/main/java"
  find "$1/src/main" -name '*.java' -print0 | xargs -0 javac -nowarn -cp "$1/jars/*" -d "$1/classes" 2>/dev/null
}

for way in plain said option; do
  mkdir "$way"
  cd "$way"
  python3 - "$way" >api.json <<'PY'
import json, sys
config = {'type': 'object', 'required': ['key'], 'properties': {'key': {'type': 'string'}, 'category': {'type': 'string'}}}
if sys.argv[1] == 'said':
    config['additionalProperties'] = True
answer = {'description': 'one', 'content': {'application/json': {'schema': {'$ref': '#/components/schemas/Config'}}}}
print(json.dumps({'openapi': '3.1.0', 'info': {'title': 'configs', 'version': '1'}, 'components': {'schemas': {'Config': config}},
                  'paths': {'/configs/one': {'get': {'operationId': 'readConfig', 'responses': {'200': answer}}}}}))
PY
  choices=()
  [ "$way" != option ] || choices=(--additional-properties=disallowAdditionalPropertiesIfNotPresent=false)

  generate go go "${choices[@]}" --git-host example.org --git-user-id configs --git-repo-id client
  rm -r go/test
  mkdir go/ask
  cat >go/ask/main.go <<'GO'
package main

import (
	"context"
	"fmt"
	"os"

	client "example.org/configs/client"
)

func main() {
	configuration := client.NewConfiguration()
	configuration.Servers = client.ServerConfigurations{{URL: os.Args[1]}}
	config, _, err := client.NewAPIClient(configuration).DefaultAPI.ReadConfig(context.Background()).Execute()
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("read", config.Key)
}
GO
  of_go go
  show 'openapi-generator go' go/client "$base"

  cat >Ask.java <<'JAVA'
public class Ask {
    public static void main(String[] arguments) {
        var client = new org.openapitools.client.ApiClient();
        if (arguments.length > 1) client.updateBaseUri(arguments[0]);
        try {
            System.out.println("read " + new org.openapitools.client.api.DefaultApi(client).readConfig().getKey());
        } catch (Exception refused) {
            System.out.println(refused.getMessage().replaceAll(" JSON: .*", ""));
        }
        System.exit(0);
    }
}
JAVA
  generate java native "${choices[@]}" --library native
  of_java native
  generate java okhttp "${choices[@]}" --library okhttp-gson
  sed -i 's/if (arguments.length > 1) client.updateBaseUri/client.setBasePath/' Ask.java
  of_java okhttp
  show 'openapi-generator java okhttp-gson' java -cp 'okhttp/classes:okhttp/jars/*' Ask "$base"
  show 'openapi-generator java native' java -cp 'native/classes:native/jars/*' Ask "$base" native

  generate python python "${choices[@]}"
  cat >ask.py <<'PY'
import sys
sys.path.insert(0, 'python')
import openapi_client
client = openapi_client.ApiClient(openapi_client.Configuration(host=sys.argv[1]))
print('read', openapi_client.DefaultApi(client).read_config().key)
PY
  show 'openapi-generator python' ../python/bin/python ask.py "$base"

  generate typescript-fetch typescript "${choices[@]}"
  cat >typescript/ask.ts <<'TS'
import { Configuration, DefaultApi } from './index'
declare const process: any
new DefaultApi(new Configuration({ basePath: process.argv[2] })).readConfig().then((config) => console.log('read', config.key))
TS
  ../node_modules/.bin/tsc --target es2022 --module commonjs --outDir typescript/built --skipLibCheck typescript/ask.ts >/dev/null || true
  show 'openapi-generator typescript-fetch' node typescript/built/ask.js "$base"

  if [ "$way" != option ]; then
    mkdir -p oapi/ask oapi/api ogen/ask
    ../oapi-codegen -generate types,client -package api -o oapi/api/api.go api.json 2>/dev/null
    cat >oapi/ask/main.go <<'GO'
package main

import (
	"context"
	"fmt"
	"os"

	"finding/api"
)

func main() {
	client, _ := api.NewClientWithResponses(os.Args[1])
	answer, err := client.ReadConfigWithResponse(context.Background())
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("read", answer.JSON200.Key)
}
GO
    of_go oapi
    show oapi-codegen oapi/client "$base"
    (cd ogen && go mod init finding && go get github.com/ogen-go/ogen@v1.24.0 && ../../ogen --target api --package api --clean ../api.json) >/dev/null 2>&1
    cat >ogen/ask/main.go <<'GO'
package main

import (
	"context"
	"fmt"
	"os"

	"finding/api"
)

func main() {
	client, _ := api.NewClient(os.Args[1])
	config, err := client.ReadConfig(context.Background())
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("read", config.Key)
}
GO
    of_go ogen
    show ogen ogen/client "$base"
    ../python/bin/openapi-python-client generate --path api.json --output-path client --meta none >/dev/null 2>&1
    cat >ask-client.py <<'PY'
import sys
from client import Client
from client.api.default import read_config
print('read', read_config.sync(client=Client(base_url=sys.argv[1])).key)
PY
    show openapi-python-client ../python/bin/python ask-client.py "$base"
  fi
  cd ..
done
python3 - <<'PY' | tee seen
rows = {}
for way in ('plain', 'said', 'option'):
    for name, text in (line.strip().split('|') for line in open(f'{way}/seen-here')):
        rows.setdefault(name, {})[way] = text
print(f"{'':34} {'said':9} {'option':9} plain")
for name, row in rows.items():
    print(f"{name:34} {row['said']:9} {row.get('option', ''):9} {row['plain']}")
PY
diff - seen <<'SEEN' || { echo "it is otherwise now" >&2; exit 1; }
                                   said      option    plain
openapi-generator go               read one  read one  json: unknown field "later"
openapi-generator java okhttp-gson read one  read one  The field `later` in the JSON string is not defined in the `Config` properties.
openapi-generator java native      read one  read one  read one
openapi-generator python           read one  read one  read one
openapi-generator typescript-fetch read one  read one  read one
oapi-codegen                       read one            read one
ogen                               read one            read one
openapi-python-client              read one            read one
SEEN
