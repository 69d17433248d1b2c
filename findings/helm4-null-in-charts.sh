#!/usr/bin/env bash
# Helm 4: a chart that takes a default of its subchart away with null gets it back, and a null of its own is no key any more.
#
# Helm 3.22.0 and 4.3.1. Its makers have reports of it since 4.2.
#
# null in values deletes a default. Charts that wrap others use it in their own values.yaml, say to run without a limit that the wrapped
# chart has. Helm 3 deletes it. Helm 4 drops the nulls of a chart's own values.yaml before it merges those with the subchart's, so the default is
# there again: the same chart, the same command, no message, other objects. With -f or --set the same null still deletes. A key that is
# null in values.yaml, often there as documentation, is gone in Helm 4 too: hasKey and toYaml see none.
#
# Guess before: null deletes in every place that values come from, and Helm 4 renders charts of apiVersion v2 as Helm 3 does.
# What follows for a chart that is wrapped: each default that a wrapper may want to be rid of needs a switch, or a value that means none.
#
# Output seen: the table at the end of this file.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
helm3=$("$here/../e2e/charts/helm.sh" 3)
helm4=$("$here/../e2e/charts/helm.sh" 4)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
mkdir -p shop/templates shop/charts/store/templates
printf 'apiVersion: v2\nname: shop\nversion: 0.1.0\n' >shop/Chart.yaml
printf 'apiVersion: v2\nname: store\nversion: 0.1.0\n' >shop/charts/store/Chart.yaml
echo 'limits: {memory: 256Mi, cpu: 1}' >shop/charts/store/values.yaml
echo 'store: {{ .Values.limits | toJson }}' >shop/charts/store/templates/store.yaml
echo 'shop: {{ omit .Values "store" | toJson }}' >shop/templates/shop.yaml
echo 'store: {limits: {cpu: null}}' >without-cpu.yaml

rendered() { # HELM, more arguments
  "$1" template shop shop "${@:2}" | sed -n 's/^\(shop\|store\): /\1 /p' | sort | paste -sd ' '
}
for helm in "$helm3" "$helm4"; do
  "$helm" version --template '{{.Version}}{{"\n"}}'
  echo 'class: null' >shop/values.yaml
  echo "  null in a file of -f:      $(rendered "$helm" -f without-cpu.yaml)"
  echo "  null by --set:             $(rendered "$helm" --set store.limits.cpu=null)"
  echo "  null in the outer chart:   $(cat without-cpu.yaml >>shop/values.yaml; rendered "$helm")"
done | tee seen
diff - seen <<'SEEN' || { echo "it is otherwise now" >&2; exit 1; }
v3.22.0
  null in a file of -f:      shop {"class":null} store {"memory":"256Mi"}
  null by --set:             shop {"class":null} store {"memory":"256Mi"}
  null in the outer chart:   shop {"class":null} store {"memory":"256Mi"}
v4.3.1
  null in a file of -f:      shop {} store {"memory":"256Mi"}
  null by --set:             shop {} store {"memory":"256Mi"}
  null in the outer chart:   shop {} store {"cpu":1,"memory":"256Mi"}
SEEN
