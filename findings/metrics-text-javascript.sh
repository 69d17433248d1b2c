#!/usr/bin/env bash
# parse-prometheus-text-format makes one histogram of all series with labels, and keeps the buckets of the last one alone.
#
# parse-prometheus-text-format 1.1.1, prom2javascript 0.2.0 (JavaScript); prometheus_client 0.26.0 (Python) reads all of it right.
#
# Histograms and summaries with a label, such as the route of a request, come as one series for each value of it. parse-prometheus-text-format
# lays them over each other: the buckets are those of the last route in the text, its label is gone, and so are sum and count, which it
# keeps only where there is no label. Counters and gauges stay right, so a page that shows both looks alive. Blanks around the parts of two
# labels, which the format allows, make both readers in JavaScript refuse the whole text. A name in quotes (Prometheus 3) becomes a part of a label.
#
# Guess before: both read labels of every kind of metric, and neither reads a name in quotes.
# What follows: ask Prometheus for quantiles, or read the text with a library that hands out single samples.
#
# Output seen: the table at the end of this file (samples as each reader has them; route /a has 2 requests, route /b has 50).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv python
python/bin/pip install --quiet --disable-pip-version-check prometheus_client==0.26.0
npm install --silent --force --prefix . parse-prometheus-text-format@1.1.1 prom2javascript@0.2.0 >/dev/null
cat >histogram <<'TEXT'
# TYPE seconds histogram
seconds_bucket{route="/a",le="0.1"} 1
seconds_bucket{route="/a",le="+Inf"} 2
seconds_sum{route="/a"} 3
seconds_count{route="/a"} 2
seconds_bucket{route="/b",le="0.1"} 40
seconds_bucket{route="/b",le="+Inf"} 50
seconds_sum{route="/b"} 60
seconds_count{route="/b"} 50
TEXT
cat >unlabelled <<'TEXT'
# TYPE seconds histogram
seconds_bucket{le="0.1"} 1
seconds_bucket{le="+Inf"} 2
seconds_sum 3
seconds_count 2
TEXT
printf '# TYPE requests_total counter\nrequests_total{route="/a"} 2\nrequests_total{route="/b"} 50\n' >counter
printf '# TYPE requests_total counter\nrequests_total{ route = "/a" , node = "b" } 2\n' >blanks
printf '# TYPE "requests.total" counter\n{"requests.total",route="/a"} 2\n' >quoted

cat >read.mjs <<'JS'
import { createReadStream, readFileSync } from 'fs'
import parse from 'parse-prometheus-text-format'
import { getMetricsFromStream } from 'prom2javascript'
const short = (metric) => JSON.stringify(metric, (_, value) => (value instanceof Map ? [...value.values()] : value))
for (const file of ['counter', 'unlabelled', 'histogram', 'blanks', 'quoted']) {
  let seen
  try {
    seen = parse(readFileSync(file, 'utf8')).flatMap(({ metrics }) => metrics).map(short).join(' ') || '(nothing)'
  } catch (error) {
    seen = 'refused'
  }
  console.log(`parse-prometheus-text-format ${file.padEnd(10)} ${seen}`)
}
for (const file of ['counter', 'unlabelled', 'histogram', 'blanks', 'quoted']) {
  const seen = await getMetricsFromStream(createReadStream(file)).then(short, () => 'refused')
  console.log(`prom2javascript              ${file.padEnd(10)} ${seen}`)
}
JS
cat >read.py <<'PY'
from prometheus_client.parser import text_string_to_metric_families as parse
for file in ('counter', 'unlabelled', 'histogram', 'blanks', 'quoted'):
    samples = [sample for family in parse(open(file).read()) for sample in family.samples]
    print(f'prometheus_client            {file:10} {len(samples)} samples')
PY
{
  node read.mjs
  python/bin/python read.py
} | tee seen
diff - seen <<'SEEN' || { echo "it is otherwise now" >&2; exit 1; }
parse-prometheus-text-format counter    {"value":"2","labels":{"route":"/a"}} {"value":"50","labels":{"route":"/b"}}
parse-prometheus-text-format unlabelled {"buckets":{"0.1":"1","+Inf":"2"},"count":"2","sum":"3"}
parse-prometheus-text-format histogram  {"buckets":{"0.1":"40","+Inf":"50"}}
parse-prometheus-text-format blanks     refused
parse-prometheus-text-format quoted     {"labels":{"\"requests.total\",route":"/a"}}
prom2javascript              counter    {"requests_total":{"type":"counter","help":"","data":[{"labels":{"route":"/a"},"value":2},{"labels":{"route":"/b"},"value":50}]}}
prom2javascript              unlabelled {"seconds":{"type":"histogram","help":"","data":[{"labels":{},"buckets":{"0.1":1,"+Inf":2},"count":2,"sum":3}]}}
prom2javascript              histogram  {"seconds":{"type":"histogram","help":"","data":[{"labels":{"route":"/a"},"buckets":{"0.1":1,"+Inf":2},"count":2,"sum":3},{"labels":{"route":"/b"},"buckets":{"0.1":40,"+Inf":50},"count":50,"sum":60}]}}
prom2javascript              blanks     refused
prom2javascript              quoted     refused
prometheus_client            counter    2 samples
prometheus_client            unlabelled 4 samples
prometheus_client            histogram  8 samples
prometheus_client            blanks     1 samples
prometheus_client            quoted     1 samples
SEEN
