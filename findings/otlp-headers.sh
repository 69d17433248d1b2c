#!/usr/bin/env bash
# OTEL_EXPORTER_OTLP_HEADERS: a plus in a key is a blank for OpenTelemetry's Java SDK alone, so that a key in base64 is another key there.
#
# opentelemetry-exporter-otlp-proto-http 1.45.2 (Python 3.11), @opentelemetry/exporter-trace-otlp-proto 0.301.1 (Node.js 20), go.opentelemetry.io/otel/exporters/
# otlp/otlptrace/otlptracehttp v1.47.0 (Go 1.26), io.opentelemetry:opentelemetry-sdk-extension-autoconfigure 1.68.0 (OpenJDK 17).
#
# The variable is the same for all SDKs, and a cluster sets it once for all its workloads, from a Secret. Its values are written as those of W3C baggage, where
# %2B is a plus and a plus is one too. Java reads them as a form is read. Half of all random keys of 32 bytes have a plus in base64, so it is an exchange
# of the key that ends the traces of the services in Java, with a 401 in their logs. A semicolon, which baggage has a meaning for, ends the key in Node.js and
# stays in Go and Java; Python sends no header at all then, and warns. (=, /, : and quoted percent signs arrive everywhere.)
#
# Guess before: all four decode percent signs, and a plus stays a plus.
# What follows: keys of letters and digits, or every other character as a percent sign with its two digits, which all four read.
#
# Output seen: the table at the end of this file (the header that the collector gets).
set -euo pipefail
folder=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server"; rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv python
python/bin/pip install --quiet --disable-pip-version-check opentelemetry-exporter-otlp-proto-http==1.45.2 opentelemetry-sdk==1.45.2
npm install --silent --force --prefix . @opentelemetry/exporter-trace-otlp-proto@0.301.1 @opentelemetry/sdk-trace-base@2.12.1 >/dev/null
cat >pom.xml <<'XML'
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>finding</groupId>
  <artifactId>finding</artifactId>
  <version>1</version>
  <dependencies>
    <dependency><groupId>io.opentelemetry</groupId><artifactId>opentelemetry-sdk-extension-autoconfigure</artifactId><version>1.68.0</version></dependency>
    <dependency><groupId>io.opentelemetry</groupId><artifactId>opentelemetry-exporter-otlp</artifactId><version>1.68.0</version></dependency>
  </dependencies>
</project>
XML
mvn --quiet --batch-mode -Dstyle.color=never org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies -DoutputDirectory=jars >/dev/null
mkdir go
cat >go/go.mod <<'MODULE'
module finding

go 1.26

require (
	go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp v1.47.0
	go.opentelemetry.io/otel/sdk v1.47.0
)
MODULE
cat >go/main.go <<'GO'
package main

import (
	"context"

	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/trace"
)

func main() {
	exporter, err := otlptracehttp.New(context.Background())
	if err != nil {
		panic(err)
	}
	provider := trace.NewTracerProvider(trace.WithSyncer(exporter))
	_, span := provider.Tracer("finding").Start(context.Background(), "one")
	span.End()
	provider.Shutdown(context.Background())
}
GO
(cd go && go mod tidy >/dev/null 2>&1 && go build -o ../client .)
cat >client.py <<'PY'
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter()))
with provider.get_tracer('finding').start_as_current_span('one'):
    pass
provider.shutdown()
PY
cat >client.mjs <<'JS'
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-proto'
import { BasicTracerProvider, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-base'
const provider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(new OTLPTraceExporter())] })
provider.getTracer('finding').startSpan('one').end()
await provider.forceFlush()
await provider.shutdown()
JS
cat >Client.java <<'JAVA'
import io.opentelemetry.sdk.autoconfigure.AutoConfiguredOpenTelemetrySdk;
import java.util.concurrent.TimeUnit;

public class Client {
    public static void main(String[] arguments) {
        var sdk = AutoConfiguredOpenTelemetrySdk.initialize().getOpenTelemetrySdk();
        sdk.getTracer("finding").spanBuilder("one").startSpan().end();
        sdk.getSdkTracerProvider().forceFlush().join(10, TimeUnit.SECONDS);
        System.exit(0);
    }
}
JAVA
javac -cp 'jars/*' Client.java
cat >server.py <<'PY'
import http.server

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    def do_POST(self):
        body = self.rfile.read(int(self.headers.get('Content-Length') or 0))
        while not self.headers.get('Content-Length'):
            size = int(self.rfile.readline(), 16)
            self.rfile.read(size + 2)
            if not size:
                break
        with open('came', 'a') as came:
            print(self.headers.get('x-api-key', '(none)'), file=came)
        self.send_response(200)
        self.send_header('Content-Type', 'application/x-protobuf')
        self.send_header('Content-Length', '0')
        self.end_headers()

    def log_message(self, *_):
        pass

server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)
print(server.server_port, flush=True)
server.serve_forever()
PY
python/bin/python server.py >port 2>/dev/null &
server=$!
for _ in $(seq 100); do [ -s port ] && break; sleep 0.1; done
OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:$(cat port)
export OTEL_EXPORTER_OTLP_ENDPOINT OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf OTEL_METRICS_EXPORTER=none OTEL_LOGS_EXPORTER=none
header() { # COMMAND...: the first one that came
  : >came
  "$@" >/dev/null 2>&1
  head -n 1 came
}
{
  printf '%-24s %-16s %-16s %-16s %s\n' x-api-key= Python Node.js Go Java
  for value in 'YWI+Yw==' 'YWI%2BYw%3D%3D' 'a/b:c@d' 'Basic%20dXNlcg%3D%3D' 'Basic dXNlcg==' 'a%25b' 'a%3Bb' 'a;b'; do
    export OTEL_EXPORTER_OTLP_HEADERS="x-api-key=$value"
    printf '%-24s %-16s %-16s %-16s %s\n' "$value" "$(header python/bin/python client.py)" "$(header node client.mjs)" "$(header ./client)" \
      "$(header java -cp '.:jars/*' Client)"
  done
} | tee seen
diff - seen <<'SEEN' || { echo "it is otherwise now" >&2; exit 1; }
x-api-key=               Python           Node.js          Go               Java
YWI+Yw==                 YWI+Yw==         YWI+Yw==         YWI+Yw==         YWI Yw==
YWI%2BYw%3D%3D           YWI+Yw==         YWI+Yw==         YWI+Yw==         YWI+Yw==
a/b:c@d                  a/b:c@d          a/b:c@d          a/b:c@d          a/b:c@d
Basic%20dXNlcg%3D%3D     Basic dXNlcg==   Basic dXNlcg==   Basic dXNlcg==   Basic dXNlcg==
Basic dXNlcg==           Basic dXNlcg==   Basic dXNlcg==   Basic dXNlcg==   Basic dXNlcg==
a%25b                    a%b              a%b              a%b              a%b
a%3Bb                    a;b              a;b              a;b              a;b
a;b                      (none)           a                a;b              a;b
SEEN
