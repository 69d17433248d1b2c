#!/usr/bin/env bash
# vmalert-tool begins tests of rules in the year 2000 and promtool in 1970, so that one file of tests cannot pass both where a rule reads the clock.
#
# vmalert-tool 1.148.0 (VictoriaMetrics, Go 1.26), promtool 2.42.0 (Debian's).
#
# The operator of VictoriaMetrics takes the rules that charts ship for Prometheus, and vmalert-tool takes files of promtool's form. A test that gives a
# time as a number, such as when a certificate ends, compares it with time(): minute 6 is 360 for promtool and 946685160 for vmalert-tool. So all that is
# young for one is decades old for the other: an alert fires in a test, or stays silent there, for no fault of the rule. One more difference is none of
# the tests' but of the servers': a counter that comes into being with its first event (a label that was not there before) has an increase of 1 in
# VictoriaMetrics, and of 0 in Prometheus, which misses that event. With 500 it is 0 for both.
#
# Guess before: increase() counts a new counter from zero, whatever its value; all else is the same.
# What follows for rules: counters exist, with 0, before their first event. For their tests: times as distances from a metric that is in the test too,
# or a file for each of the two, with --disableAlertgroupLabel.
#
# Output seen: the table at the end of this file (the minutes at which an alert fires; each series begins in minute 4).
#   PROMTOOL=PROGRAM   else promtool, else that of Debian's package
set -euo pipefail
promtool=$(command -v "${PROMTOOL:-promtool}" || true)
[ -z "$promtool" ] || promtool=$(realpath "$promtool")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
if [ -z "$promtool" ]; then
  apt-get -o APT::Sandbox::User=root download --quiet=2 prometheus
  dpkg-deb --fsys-tarfile prometheus_*.deb | tar -x --strip-components=3 ./usr/bin/promtool
  promtool=./promtool
fi
GOBIN=$folder go install github.com/VictoriaMetrics/VictoriaMetrics/app/vmalert-tool@v1.148.0 2>/dev/null

cat >rules.yaml <<'YAML'
groups:
  - name: example
    rules:
      - {alert: first event, expr: 'increase(failures_total{labels="few"}[2m]) > 0'}
      - {alert: many events, expr: 'increase(failures_total{labels="many"}[2m]) > 0'}
      - {alert: a day old, expr: 'oldest_timestamp_seconds < time() - 86400'}
      - {alert: ends in a day, expr: 'expiry_timestamp_seconds < time() + 86400'}
      - {alert: a difference, expr: 'oldest_timestamp_seconds < started_timestamp_seconds - 86400'}
YAML
cat >write.py <<'PY'
import json
series = {
    'failures_total{labels="few"}': '_x4 1x5',
    'failures_total{labels="many"}': '_x4 500x5',
    'oldest_timestamp_seconds': '_x4 300x5',          # five minutes, by promtool's clock
    'expiry_timestamp_seconds': '_x4 172800x5',       # two days
    'started_timestamp_seconds': '_x4 300x5',
}
alerts = ['first event', 'many events', 'a day old', 'ends in a day', 'a difference']
quiet = [{'alertname': alert, 'eval_time': f'{minute}m', 'exp_alerts': []} for alert in alerts for minute in range(4, 10)]
test = {'interval': '1m', 'input_series': [{'series': name, 'values': values} for name, values in series.items()], 'alert_rule_test': quiet}
json.dump({'rule_files': ['rules.yaml'], 'evaluation_interval': '1m', 'tests': [test]}, open('test.yaml', 'w'))
PY
cat >read.py <<'PY'
import re, sys
fired = {tool: re.findall(r'alertname: ([a-z ]+),\s*time: (\d+)m', open(f'{tool}.out').read()) for tool in sys.argv[1:]}
print(f"{'':16}" + ''.join(f'{tool:16}' for tool in fired))
for alert in ['first event', 'many events', 'a day old', 'ends in a day', 'a difference']:
    minutes = [' '.join(minute for name, minute in found if name == alert) or '-' for found in fired.values()]
    print(f'{alert:16}' + ''.join(f'{one:16}' for one in minutes))
PY
python3 write.py
"$promtool" test rules test.yaml >promtool.out 2>&1 || true
./vmalert-tool unittest --disableAlertgroupLabel --files test.yaml >vmalert-tool.out 2>&1 || true
python3 read.py promtool vmalert-tool | sed 's/ *$//' | tee seen
diff - seen <<'SEEN' || { echo "it is otherwise now" >&2; exit 1; }
                promtool        vmalert-tool
first event     -               4 5
many events     -               -
a day old       -               4 5 6 7 8 9
ends in a day   -               4 5 6 7 8 9
a difference    -               -
SEEN
