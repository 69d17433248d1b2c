#!/usr/bin/env bash
# An optional field with a default is demanded by one generator of clients and sent unasked by two; `type: object` takes no members for one.
#
# openapi-typescript 7.13.0, @hey-api/openapi-ts 0.95.0, swagger-typescript-api 13.13.0, oazapfts 7.5.0, orval 7.13.2, all with TypeScript 5.9.3;
# openapi-python-client 0.29.1, datamodel-code-generator 0.89.0 (pydantic 2.12.5). One document of OpenAPI 3.1, as utoipa writes it.
#
# openapi-typescript makes `environment` a field that every request must have, because it has a default, and {"type": "object"} an
# object that may have no member: two requests that the server takes do not compile. The other four take both. The two Python
# generators fill the default in and send it: where a body changes only what it names, the client writes "default" over another value, and a default
# that the server changes later does not reach clients that were generated before.
#
# Guess before: an optional field is optional in a request for every generator, absent when it is not given, and an object is an object.
# What follows for a document: no `default` in schemas of requests (say it in the description), `additionalProperties: true` at free objects.
#
# Output seen: the table at the end of this file.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --prefix . openapi-typescript@7.13.0 @hey-api/openapi-ts@0.95.0 swagger-typescript-api@13.13.0 oazapfts@7.5.0 orval@7.13.2 \
  typescript@5.9.3 >/dev/null
python3 -m venv python
python/bin/pip install --quiet openapi-python-client==0.29.1 datamodel-code-generator==0.89.0 pydantic==2.12.5

cat >api.json <<'JSON'
{"openapi": "3.1.0", "info": {"title": "configs", "version": "1"},
 "paths": {"/configs": {"post": {"operationId": "create",
   "requestBody": {"required": true, "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Create"}}}},
   "responses": {"200": {"description": "created"}}}}},
 "components": {"schemas": {"Create": {"type": "object", "required": ["key", "value"], "properties": {
   "key": {"type": "string"}, "value": {"type": "object"}, "environment": {"type": "string", "default": "default"}}}}}}
JSON
mkdir openapi-typescript openapi-ts swagger-typescript-api oazapfts orval
{
  npx openapi-typescript api.json -o openapi-typescript/api.ts
  npx openapi-ts -i api.json -o openapi-ts -p @hey-api/typescript
  npx swagger-typescript-api generate -p api.json -o swagger-typescript-api -n api.ts --no-client
  npx oazapfts api.json oazapfts/api.ts
  npx orval --input api.json --output orval/api.ts
} >generate.log 2>&1 || { cat generate.log >&2; exit 2; }
cat >body.ts <<'TS'
export const withoutEnvironment: Create = { key: 'database', value: {} }
export const withMembers: Create = { key: 'database', value: { port: 5432 }, environment: 'production' }
TS
for generator in openapi-typescript openapi-ts swagger-typescript-api oazapfts orval; do
  case $generator in
    openapi-typescript) import="import type { components } from './api'; type Create = components['schemas']['Create']" ;;
    openapi-ts) import="import type { Create } from './types.gen'" ;;
    *) import="import type { Create } from './api'" ;;
  esac
  { echo "$import"; cat body.ts; } >"$generator/body.ts"
  errors=$(npx tsc --noEmit --strict --skipLibCheck --moduleResolution bundler --module esnext --target es2022 "$generator/body.ts" || true)
  for number in 2 3; do
    name=$(sed -n "${number}s/.*const \([A-Za-z]*\).*/\1/p" "$generator/body.ts")
    if grep -q "body.ts($number," <<<"$errors"; then echo "$generator: $name does not compile"; else echo "$generator: $name compiles"; fi
  done
done | tee seen

python/bin/openapi-python-client generate --path api.json --output-path generated --meta none >generate.log 2>&1
python/bin/datamodel-codegen --input api.json --input-file-type openapi --output models.py --output-model-type pydantic_v2.BaseModel 2>>generate.log
cat >body.py <<'PY'
from generated.models import Create, CreateValue
from models import Create as Model
print('openapi-python-client sends', Create(key='database', value=CreateValue()).to_dict())
print('datamodel-code-generator sends', Model(key='database', value={}).model_dump(mode='json'))
PY
python/bin/python body.py | tee -a seen
diff - seen <<'SEEN' || { echo "it is otherwise now" >&2; exit 1; }
openapi-typescript: withoutEnvironment does not compile
openapi-typescript: withMembers does not compile
openapi-ts: withoutEnvironment compiles
openapi-ts: withMembers compiles
swagger-typescript-api: withoutEnvironment compiles
swagger-typescript-api: withMembers compiles
oazapfts: withoutEnvironment compiles
oazapfts: withMembers compiles
orval: withoutEnvironment compiles
orval: withMembers compiles
openapi-python-client sends {'key': 'database', 'value': {}, 'environment': 'default'}
datamodel-code-generator sends {'key': 'database', 'value': {}, 'environment': 'default'}
SEEN
