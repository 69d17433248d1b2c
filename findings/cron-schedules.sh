#!/usr/bin/env bash
# Of twelve cron schedules twelve libraries agree on the plainest one alone; `0 22-2 * * *` never comes with one of them, which drops Sunday from 6-7 too, without a word.
#
# robfig/cron 3.0.1 (with which Kubernetes starts CronJobs), netresearch/go-cron 0.9.1 (its fork), adhocore/gronx 1.20.4, hashicorp/cronexpr 1.1.3 (Go 1.26);
# croniter 7.0.0, cronsim 2.8 (Python 3.11); cron-parser 5.10.6, croner 11.0.1, cron 4.4.0, cron-schedule 6.0.0 (Node.js 20); spring-context 6.2.19, cron-utils
# 9.2.1 as UNIX (OpenJDK 17). Each has five fields and its own defaults; Spring has a 0 for its seconds in front.
#
# Where both days are given, most take a night that fits one of them, and go-cron (a drop-in for robfig by its own word, which names this change) and Spring one
# that fits both. `*/2` counts as a star for cronsim and gronx, 1-31 for cron and cron-schedule: odd days and Saturdays are 2 nights in three weeks or 12.
# hashicorp's takes a span that runs backwards and never comes; croniter and go-cron read it as a night. gronx leaves an hour of an hourly schedule out where
# the clock goes back. Where it goes forward, five skip the night, four come at 03:00, two at 03:30. cron-schedule reads 5/15 as 5; Spring begins */7 on Monday.
#
# Guess before: all join the two days with "or", except cronsim for */2; 7 is refused by robfig; backward spans are refused by all; hourly stays hourly.
# What follows: for a window, a CronJob for backups and what watches over them, one of the two days is a lone star, Sunday is SUN, a span runs forwards and
# the zone is UTC; a calendar that shows the next nights asks the library that starts them.
#
# Output seen: the table at the end of this file (days of March 2026 at 02:00 UTC, unless hours are named, which are UTC too).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv python
python/bin/pip install --quiet --disable-pip-version-check croniter==7.0.0 cronsim==2.8 tzdata==2025.2
npm install --silent --prefix . cron-parser@5.10.6 croner@11.0.1 cron@4.4.0 cron-schedule@6.0.0 >/dev/null
cat >pom.xml <<'XML'
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>finding</groupId>
  <artifactId>finding</artifactId>
  <version>1</version>
  <dependencies>
    <dependency><groupId>com.cronutils</groupId><artifactId>cron-utils</artifactId><version>9.2.1</version></dependency>
    <dependency><groupId>org.springframework</groupId><artifactId>spring-context</artifactId><version>6.2.19</version></dependency>
  </dependencies>
</project>
XML
mvn --quiet --batch-mode -Dstyle.color=never org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies -DoutputDirectory=jars >/dev/null
cat >go.mod <<'MODULE'
module finding

go 1.26

require (
	github.com/adhocore/gronx v1.20.4
	github.com/hashicorp/cronexpr v1.1.3
	github.com/netresearch/go-cron v0.9.1
	github.com/robfig/cron/v3 v3.0.1
)
MODULE

# Schedule, zone, and the moments between which it is asked (Rome's clock goes forward on 29 March 2026, and back on 25 October).
cat >cases <<'CASES'
0 2 * * 6|UTC|2026-03-01T00:00:00Z|2026-03-22T00:00:00Z
0 2 1-7 * 6|UTC|2026-03-01T00:00:00Z|2026-03-22T00:00:00Z
0 2 */2 * 6|UTC|2026-03-01T00:00:00Z|2026-03-22T00:00:00Z
0 2 1-31 * 6|UTC|2026-03-01T00:00:00Z|2026-03-15T00:00:00Z
0 2 * * 7|UTC|2026-03-01T00:00:00Z|2026-03-15T00:00:00Z
0 2 * * 6-7|UTC|2026-03-01T00:00:00Z|2026-03-15T00:00:00Z
0 2 * * */7|UTC|2026-03-01T00:00:00Z|2026-03-15T00:00:00Z
0 22-2 * * *|UTC|2026-03-01T00:00:00Z|2026-03-02T00:00:00Z
5/15 * * * *|UTC|2026-03-01T00:00:00Z|2026-03-01T01:00:00Z
30 2 * * *|Europe/Rome|2026-03-28T12:00:00Z|2026-03-30T12:00:00Z
30 2 * * *|Europe/Rome|2026-10-24T12:00:00Z|2026-10-26T12:00:00Z
0 * * * *|Europe/Rome|2026-10-24T22:00:00Z|2026-10-25T03:00:00Z
CASES
# Each program prints lines of: number of the case, library, moments or `refused`.
cat >fire.py <<'PY'
from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo
from croniter import croniter
from cronsim import CronSim, CronSimError

def with_croniter(schedule, start):
    moments = croniter(schedule, start)
    while True:
        yield moments.get_next(datetime)

for number, case in enumerate(open('cases')):
    schedule, zone, start, end = case.strip().split('|')
    start, end = datetime.fromisoformat(start), datetime.fromisoformat(end)
    for name, library in (('croniter', with_croniter), ('cronsim', CronSim)):
        seen = []
        try:
            for moment in library(schedule, (start - timedelta(seconds=1)).astimezone(ZoneInfo(zone))):
                moment = moment.astimezone(timezone.utc)
                if moment >= end:
                    break
                seen.append(f'{moment:%dT%H:%M}')
        except (ValueError, CronSimError):
            seen = ['refused']
        print(number, name, *seen)
PY
cat >fire.mjs <<'JS'
import { readFileSync } from 'fs'
import { CronTime } from 'cron'
import { CronExpressionParser } from 'cron-parser'
import { parseCronExpression } from 'cron-schedule'
import { Cron } from 'croner'
import { DateTime } from 'luxon'
// Each makes of a schedule and a zone what tells the next moment after one.
const libraries = {
  'cron-parser': (schedule, tz) => (after) => CronExpressionParser.parse(schedule, { currentDate: after, tz }).next().toDate(),
  croner: (schedule, timezone) => (after) => new Cron(schedule, { timezone, paused: true }).nextRun(after),
  cron: (schedule, zone) => (after) => new CronTime(schedule, zone).getNextDateFrom(DateTime.fromJSDate(after, { zone }), zone).toJSDate(),
  'cron-schedule': (schedule, zone) => (zone === 'UTC' ? (after) => parseCronExpression(schedule).getNextDate(after) : undefined),
}
readFileSync('cases', 'utf8').trim().split('\n').forEach((line, number) => {
  const [schedule, zone, start, end] = line.split('|')
  for (const [name, library] of Object.entries(libraries)) {
    const next = library(schedule, zone)
    if (!next) continue // knows no zones
    let seen = []
    try {
      for (let moment = next(new Date(Date.parse(start) - 1000)); moment < new Date(end); moment = next(moment)) seen.push(moment.toISOString().slice(8, 16))
    } catch {
      seen = ['refused']
    }
    console.log(number, name, ...seen)
  }
})
JS
cat >main.go <<'GO'
package main

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/adhocore/gronx"
	"github.com/hashicorp/cronexpr"
	fork "github.com/netresearch/go-cron"
	"github.com/robfig/cron/v3"
)

type next func(time.Time) time.Time

func main() {
	cases, err := os.ReadFile("cases")
	if err != nil {
		panic(err)
	}
	libraries := map[string]func(string) (next, error){
		"robfig": func(schedule string) (next, error) {
			read, err := cron.ParseStandard(schedule)
			if err != nil {
				return nil, err
			}
			return read.Next, nil
		},
		"go-cron": func(schedule string) (next, error) {
			read, err := fork.ParseStandard(schedule)
			if err != nil {
				return nil, err
			}
			return read.Next, nil
		},
		"hashicorp": func(schedule string) (next, error) {
			read, err := cronexpr.Parse(schedule)
			if err != nil {
				return nil, err
			}
			return read.Next, nil
		},
		"gronx": func(schedule string) (next, error) {
			if !gronx.IsValid(schedule) {
				return nil, errors.New("invalid")
			}
			return func(after time.Time) time.Time {
				moment, err := gronx.NextTickAfter(schedule, after, false)
				if err != nil {
					panic(err)
				}
				return moment
			}, nil
		},
	}
	for number, line := range strings.Split(strings.TrimSpace(string(cases)), "\n") {
		parts := strings.Split(line, "|")
		zone, _ := time.LoadLocation(parts[1])
		start, _ := time.Parse(time.RFC3339, parts[2])
		end, _ := time.Parse(time.RFC3339, parts[3])
		for name, library := range libraries {
			seen := []string{fmt.Sprint(number), name}
			if after, err := library(parts[0]); err != nil {
				seen = append(seen, "refused")
			} else {
				for moment := after(start.Add(-time.Second).In(zone)); !moment.IsZero() && moment.Before(end); moment = after(moment) {
					seen = append(seen, moment.UTC().Format("02T15:04"))
				}
			}
			fmt.Println(strings.Join(seen, " "))
		}
	}
}
GO
cat >Fire.java <<'JAVA'
import com.cronutils.model.CronType;
import com.cronutils.model.definition.CronDefinitionBuilder;
import com.cronutils.model.time.ExecutionTime;
import com.cronutils.parser.CronParser;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.*;
import java.util.Map;
import java.util.function.Function;
import java.util.function.UnaryOperator;
import org.springframework.scheduling.support.CronExpression;

class Fire {
    public static void main(String[] arguments) throws Exception {
        Map<String, Function<String, UnaryOperator<ZonedDateTime>>> libraries = Map.of(
            "spring", schedule -> CronExpression.parse("0 " + schedule)::next,
            "cron-utils", schedule -> {
                var read = ExecutionTime.forCron(new CronParser(CronDefinitionBuilder.instanceDefinitionFor(CronType.UNIX)).parse(schedule));
                return after -> read.nextExecution(after).orElse(null);
            });
        int number = 0;
        for (String line : Files.readAllLines(Path.of("cases"))) {
            String[] parts = line.split("\\|");
            for (var library : libraries.entrySet()) {
                var seen = new StringBuilder(number + " " + library.getKey());
                try {
                    var next = library.getValue().apply(parts[0]);
                    var moment = next.apply(Instant.parse(parts[2]).minusSeconds(1).atZone(ZoneId.of(parts[1])));
                    for (; moment != null && moment.toInstant().isBefore(Instant.parse(parts[3])); moment = next.apply(moment))
                        seen.append(" ").append(moment.toInstant().toString(), 8, 16);
                } catch (IllegalArgumentException error) {
                    seen.append(" refused");
                }
                System.out.println(seen);
            }
            number++;
        }
    }
}
JAVA
cat >table.py <<'PY'
import sys

cases = [line.split('|')[:2] for line in open('cases')]
answers = [{} for _ in cases]
for line in sys.stdin:
    number, library, *moments = line.split()
    days = all(moment.endswith('T02:00') for moment in moments) and cases[int(number)][0].startswith('0 2 ')
    seen = ' '.join(moment.removesuffix('T02:00').lstrip('0') if days else moment for moment in moments) or 'never'
    answers[int(number)].setdefault(seen, []).append(library)
for (schedule, zone), seen in zip(cases, answers):
    print(schedule, zone)
    for moments, libraries in sorted(seen.items()):
        print(f'    {moments:44} {" ".join(sorted(libraries))}')
PY
go mod tidy >/dev/null 2>&1
{
  python/bin/python fire.py
  TZ=UTC node fire.mjs
  go run .
  java -cp 'jars/*' Fire.java 2>/dev/null
} >fired
python3 table.py <fired | tee seen
diff - seen <<'SEEN' || { echo "it is otherwise now" >&2; exit 1; }
0 2 * * 6 UTC
    7 14 21                                      cron cron-parser cron-schedule cron-utils croner croniter cronsim go-cron gronx hashicorp robfig spring
0 2 1-7 * 6 UTC
    1 2 3 4 5 6 7 14 21                          cron cron-parser cron-schedule cron-utils croner croniter cronsim gronx hashicorp robfig
    7                                            go-cron spring
0 2 */2 * 6 UTC
    1 3 5 7 9 11 13 14 15 17 19 21               cron cron-parser cron-schedule cron-utils croner croniter hashicorp robfig
    7 21                                         cronsim go-cron gronx spring
0 2 1-31 * 6 UTC
    1 2 3 4 5 6 7 8 9 10 11 12 13 14             cron-parser cron-utils croner croniter cronsim gronx hashicorp robfig
    7 14                                         cron cron-schedule go-cron spring
0 2 * * 7 UTC
    1 8                                          cron cron-parser cron-schedule cron-utils croner croniter cronsim go-cron gronx hashicorp spring
    refused                                      robfig
0 2 * * 6-7 UTC
    1 7 8 14                                     cron cron-parser cron-schedule cron-utils croner croniter cronsim go-cron gronx spring
    7 14                                         hashicorp
    refused                                      robfig
0 2 * * */7 UTC
    1 8                                          cron cron-parser cron-schedule cron-utils croner croniter cronsim go-cron gronx robfig
    2 9                                          spring
    refused                                      hashicorp
0 22-2 * * * UTC
    01T00:00 01T01:00 01T02:00 01T22:00 01T23:00 croniter go-cron
    never                                        hashicorp
    refused                                      cron cron-parser cron-schedule cron-utils croner cronsim gronx robfig spring
5/15 * * * * UTC
    01T00:05                                     cron-schedule
    01T00:05 01T00:20 01T00:35 01T00:50          cron cron-parser cron-utils croniter cronsim go-cron gronx hashicorp robfig spring
    refused                                      croner
30 2 * * * Europe/Rome
    29T01:00 30T00:30                            cron croner croniter cronsim
    29T01:30 30T00:30                            cron-parser go-cron
    30T00:30                                     cron-utils gronx hashicorp robfig spring
30 2 * * * Europe/Rome
    25T00:30 25T01:30 26T01:30                   croniter go-cron hashicorp robfig spring
    25T00:30 26T01:30                            cron cron-parser cron-utils croner cronsim
    25T01:30 26T01:30                            gronx
0 * * * * Europe/Rome
    24T22:00 24T23:00 25T00:00 25T01:00 25T02:00 cron cron-parser cron-utils croner croniter cronsim go-cron hashicorp robfig spring
    24T22:00 24T23:00 25T01:00 25T02:00          gronx
SEEN
