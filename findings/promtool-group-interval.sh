#!/usr/bin/env bash
# promtool's tests of rules take no notice of the interval of a group: an alert passes there that fires much later, or never.
#
# promtool 2.42.0, 2.53.3 and 3.5.3 (Debian's).
#
# Prometheus evaluates a group with `interval: 10m` each ten minutes. `promtool test rules` evaluates it each evaluation_interval of the
# file of tests, a minute where that says nothing. So an alert with `for: 1m` fires a minute after the fault in the test; in Prometheus it is
# pending from one evaluation to the next, for ten. A fault between two evaluations is an alert in the test and nothing in
# Prometheus. Other fields of a group, such as `limit`, do count in the test.
#
# Guess before: the interval of a group counts, as in Prometheus, and evaluation_interval is for groups that have none.
# What follows: one file of tests for each interval that groups have, with that as its evaluation_interval.
#
# Output seen: the table at the end of this file (evaluations of the group in half an hour; what fired).
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
"$promtool" --version | head -1
cat >rules.yml <<'RULES'
groups:
  - name: seldom
    interval: 10m
    rules:
      - alert: Down
        expr: up == 0
        for: 1m
      - record: evaluated
        expr: time()
RULES
# `up` is 0 from 2m to 4m only, so evaluations at 0m and at 10m see nothing of it.
tests() { # EVALUATION-INTERVAL
  cat <<TESTS
rule_files: [rules.yml]
evaluation_interval: $1
tests:
  - interval: 1m
    input_series: [{series: up, values: 1 1 0x2 1x30}]
    alert_rule_test: [{eval_time: 4m, alertname: Down, exp_alerts: []}]
    promql_expr_test: [{expr: 'count_over_time(evaluated[31m])', eval_time: 30m, exp_samples: []}]
TESTS
}
for interval in 1m 10m; do
  tests "$interval" >tests.yml
  output=$("$promtool" test rules tests.yml 2>&1) && { echo "$output" >&2; exit 1; }
  echo "evaluation_interval $interval: $(sed -n 's/.*got: {} \(.*\)E+\(..\)$/\1E\2/p' <<<"$output" | xargs printf '%.0f') evaluations," \
    "$(grep -o 'alertname="Down"' <<<"$output" || echo 'no alert')"
done | tee seen
diff - seen <<'SEEN' || { echo "it is otherwise now" >&2; exit 1; }
evaluation_interval 1m: 31 evaluations, alertname="Down"
evaluation_interval 10m: 4 evaluations, no alert
SEEN
