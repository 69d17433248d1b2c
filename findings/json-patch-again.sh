#!/usr/bin/env bash
# fast-json-patch changes the patch that it applies: the same patch over another document, as after a conflict, does more than it says.
#
# fast-json-patch 3.1.1, rfc6902 5.4.0, immutable-json-patch 6.0.3 (JavaScript); jsonpatch 1.48 (Python); zjsonpatch 0.4.16 and json-patch 1.13
# of com.github.java-json-tools (Java).
#
# Who changes a stored value reads it, applies a patch, writes with If-Match, and on 412 reads again and applies the same patch. A patch that adds a
# list or an object and then something inside it gets that something into its own first operation, for what is added is the patch's own
# object and no copy. So the second document holds two entries, the third one three, and the documents share the list. `mutateDocument`
# false spares the document and not the patch.
#
# Guess before: jsonpatch for Python does that, and none of the others.
# What follows: have the patch anew for each try (structuredClone), or use one of the others.
#
# Output seen: the table at the end of this file (hosts after the patch was applied to a first, a second and a third empty document).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv python
python/bin/pip install --quiet --disable-pip-version-check jsonpatch==1.48
npm install --silent --force --prefix . fast-json-patch@3.1.1 rfc6902@5.4.0 immutable-json-patch@6.0.3 >/dev/null
cat >pom.xml <<'XML'
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>finding</groupId>
  <artifactId>finding</artifactId>
  <version>1</version>
  <dependencies>
    <dependency><groupId>com.flipkart.zjsonpatch</groupId><artifactId>zjsonpatch</artifactId><version>0.4.16</version></dependency>
    <dependency><groupId>com.github.java-json-tools</groupId><artifactId>json-patch</artifactId><version>1.13</version></dependency>
  </dependencies>
</project>
XML
mvn --quiet --batch-mode -Dstyle.color=never org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies -DoutputDirectory=jars >/dev/null

cat >patch.json <<'JSON'
[{"op": "add", "path": "/hosts", "value": []}, {"op": "add", "path": "/hosts/-", "value": "db-1"}]
JSON
cat >apply.mjs <<'JS'
import { readFileSync } from 'fs'
import fast from 'fast-json-patch'
import { immutableJSONPatch } from 'immutable-json-patch'
import { applyPatch } from 'rfc6902'
const libraries = {
  'fast-json-patch': (patch) => fast.applyPatch({}, patch).newDocument,
  '  mutateDocument false': (patch) => fast.applyPatch({}, patch, false, false).newDocument,
  rfc6902: (patch) => { const document = {}; applyPatch(document, patch); return document },
  'immutable-json-patch': (patch) => immutableJSONPatch({}, patch),
}
for (const [name, apply] of Object.entries(libraries)) {
  const patch = JSON.parse(readFileSync('patch.json', 'utf8'))
  console.log(name.padEnd(24), ...[1, 2, 3].map(() => JSON.stringify(apply(patch).hosts).padEnd(24)))
}
JS
cat >apply.py <<'PY'
import json, jsonpatch
patch = jsonpatch.JsonPatch(json.load(open('patch.json')))
print(f"{'jsonpatch':24}", *(f"{json.dumps(patch.apply({})['hosts']):24}" for _ in range(3)))
PY
cat >Apply.java <<'JAVA'
import com.fasterxml.jackson.databind.*;
import com.flipkart.zjsonpatch.JsonPatch;
import java.io.File;

public class Apply {
    public static void main(String[] arguments) throws Exception {
        var mapper = new ObjectMapper();
        var patch = mapper.readTree(new File("patch.json"));
        System.out.printf("%-24s", "zjsonpatch");
        for (int i = 0; i < 3; i++) System.out.printf(" %-24s", JsonPatch.apply(patch, mapper.createObjectNode()).get("hosts"));
        System.out.println();
        var other = com.github.fge.jsonpatch.JsonPatch.fromJson(mapper.readTree(new File("patch.json")));
        System.out.printf("%-24s", "json-patch");
        for (int i = 0; i < 3; i++) System.out.printf(" %-24s", other.apply(mapper.createObjectNode()).get("hosts"));
        System.out.println();
    }
}
JAVA
{
  node apply.mjs
  python/bin/python apply.py
  java -cp 'jars/*' Apply.java
} | sed 's/ *$//' | tee seen
diff - seen <<'SEEN' || { echo "it is otherwise now" >&2; exit 1; }
fast-json-patch          ["db-1"]                 ["db-1","db-1"]          ["db-1","db-1","db-1"]
  mutateDocument false   ["db-1"]                 ["db-1","db-1"]          ["db-1","db-1","db-1"]
rfc6902                  ["db-1"]                 ["db-1"]                 ["db-1"]
immutable-json-patch     ["db-1"]                 ["db-1"]                 ["db-1"]
jsonpatch                ["db-1"]                 ["db-1"]                 ["db-1"]
zjsonpatch               ["db-1"]                 ["db-1"]                 ["db-1"]
json-patch               ["db-1"]                 ["db-1"]                 ["db-1"]
SEEN
