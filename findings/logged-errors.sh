#!/usr/bin/env bash
# A failed request that is logged writes the keys of its headers and the secret of its body into the log, with four of eight clients for HTTP.
#
# axios 1.21.1, got 14.6.6, ky 1.14.3, superagent 10.4.2, undici 7.30.2, ofetch 1.5.1, needle 3.5.0, wretch 2.11.1 (JavaScript) with console.error of Node.js 20,
# pino 10.4.0, winston 3.19.0; requests 2.34.2 (Python 3.11) with logging, loguru 0.7.3, structlog 26.1.0 (rich 15.0.0 beside it), rich,
# stackprinter 0.2.13, sentry-sdk 2.75.0. Each as it comes, with no setting but a place to write to.
#
# A store of secrets answers 503, or a connection breaks: the program logs the error. The errors of axios and got carry the request, and so does ky's
# where the server answered; pino and winston write each of their members, superagent's too. In Python it is the logger that shows local variables.
# structlog does so as soon as rich is installed (and with dict_tracebacks), loguru where they stand in the failing line, and Sentry hides values by a list of
# names that has x_api_key and not X-API-Key. A fault of a minute leaves keys in the logs of every service that asked.
#
# Guess before: axios with every logger, got with console.error only; in Python loguru, structlog and stackprinter; Sentry hides X-API-Key.
# What follows: log the status and the text of an error and not the object; axios has `redact`, loguru diagnose=False, structlog
# show_locals=False, Sentry include_local_variables=False. After such a fault, look into the logs, and exchange what stands there.
#
# Output seen: the tables at the end of this file (keys: the headers are in the log; value: the body is; - neither).
set -euo pipefail
folder=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server"; rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv python
python/bin/pip install --quiet --disable-pip-version-check requests==2.34.2 loguru==0.7.3 structlog==26.1.0 rich==15.0.0 stackprinter==0.2.13 sentry-sdk==2.75.0
npm install --silent --prefix . axios@1.21.1 got@14.6.6 ky@1.14.3 superagent@10.4.2 undici@7.30.2 ofetch@1.5.1 needle@3.5.0 wretch@2.11.1 \
  pino@10.4.0 winston@3.19.0 >/dev/null

cat >server.py <<'PY'
import http.server

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'

    def do_PUT(self):
        self.rfile.read(int(self.headers['Content-Length']))
        self.close_connection = True
        if self.path == '/refused':
            self.send_response(503)
            self.send_header('Content-Length', '0')
            self.end_headers()

    def log_message(self, *_):
        pass

server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)
print(server.server_port, flush=True)
server.serve_forever()
PY
cat >log.mjs <<'JS'
import { Writable } from 'node:stream'
import util from 'node:util'
import axios from 'axios'
import got from 'got'
import ky from 'ky'
import needle from 'needle'
import { ofetch } from 'ofetch'
import pino from 'pino'
import superagent from 'superagent'
import { Agent, interceptors, request } from 'undici'
import winston from 'winston'
import wretch from 'wretch'

const headers = { 'X-API-Key': 'key-of-the-service', 'X-User-Key': 'correct-horse-battery', 'Content-Type': 'application/json' }
const body = { value: { password: 'stored-secret' } }
const clients = {
  axios: (url) => axios.put(url, body, { headers }),
  got: (url) => got.put(url, { json: body, headers, retry: { limit: 0 } }),
  ky: (url) => ky.put(url, { json: body, headers, retry: 0 }),
  superagent: (url) => superagent.put(url).set(headers).send(body),
  undici: (url) => request(url, { method: 'PUT', headers, body: JSON.stringify(body), dispatcher: new Agent().compose(interceptors.responseError()) }),
  ofetch: (url) => ofetch(url, { method: 'PUT', headers, body, retry: 0 }),
  needle: async (url) => {
    const answer = await needle('put', url, body, { headers, json: true })
    if (answer.statusCode >= 400) throw new Error(`${answer.statusCode}`)
  },
  wretch: (url) => wretch(url).headers(headers).put(body).json()
}
const written = (log) => {
  let text = ''
  log(new Writable({ write (chunk, _, done) { text += chunk; done() } }))
  return text
}
const loggers = {
  'console.error': (error) => util.format(error),
  pino: (error) => written((to) => pino(to).error(error)),
  winston: (error) => written((to) => winston.createLogger({ transports: [new winston.transports.Stream({ stream: to })] }).error(error)),
  'error.stack': (error) => error.stack
}
const found = (text) => [text.includes('correct-horse') && 'keys', text.includes('stored-secret') && 'value'].filter(Boolean).join('+') || '-'
const row = (...cells) => console.log(cells.map((cell) => cell.padEnd(14)).join('').trimEnd())

row('', '', ...Object.keys(loggers))
for (const path of ['refused', 'cut']) {
  for (const [name, client] of Object.entries(clients)) {
    const error = await client(`http://127.0.0.1:${process.argv[2]}/${path}`).then(() => { throw new Error('no error') }, (error) => error)
    row(path, name, ...Object.values(loggers).map((log) => found(log(error))))
  }
}
process.exit()
JS
cat >log.py <<'PY'
import io, logging, os, sys
import loguru, requests, rich.console, rich.logging, sentry_sdk, stackprinter, structlog

written = io.StringIO()
logger = logging.getLogger('service')
logger.propagate = False

def by(handler):
    logger.handlers = [handler]
    logger.exception('failed')

def by_loguru():
    loguru.logger.remove()
    loguru.logger.add(written)
    loguru.logger.exception('failed')

def by_structlog():
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(written))
    structlog.get_logger().exception('failed')

class Envelopes(sentry_sdk.transport.Transport):
    def capture_envelope(self, envelope):
        written.write(envelope.serialize().decode())

def by_sentry():
    sentry_sdk.init(dsn='http://public@127.0.0.1/1', transport=Envelopes)
    sentry_sdk.capture_exception()

loggers = {
    'logging': lambda: by(logging.StreamHandler(written)),
    'loguru': by_loguru,
    'structlog': by_structlog,
    'rich': lambda: by(rich.logging.RichHandler(console=rich.console.Console(file=written, width=200), rich_tracebacks=True)),
    'stackprinter': lambda: written.write(stackprinter.format()),
    'sentry-sdk': by_sentry,
}

def write(path):
    headers = {'X-API-Key': os.environ['API_KEY'], 'X-User-Key': os.environ['USER_KEY']}
    body = {'value': {'password': os.environ['PASSWORD']}}
    answer = requests.put(f'http://127.0.0.1:{sys.argv[1]}/{path}', headers=headers, json=body)
    answer.raise_for_status()

try:
    write(sys.argv[2])
except requests.RequestException:
    loggers[sys.argv[3]]()
text = written.getvalue()
assert text
found = '+'.join(word for word, mark in [('keys', 'correct-horse'), ('value', 'stored-secret')] if mark in text)
print(f"{sys.argv[2]:14}{sys.argv[3]:14}{found or '-'}")
PY
python3 server.py >port 2>/dev/null &
server=$!
for _ in $(seq 100); do [ -s port ] && break; sleep 0.1; done
{
  node log.mjs "$(cat port)"
  for path in refused cut; do
    for logger in logging loguru structlog rich stackprinter sentry-sdk; do
      API_KEY=key-of-the-service USER_KEY=correct-horse-battery PASSWORD=stored-secret python/bin/python log.py "$(cat port)" "$path" "$logger"
    done
  done
} | tee seen
diff - seen <<'SEEN' || { echo "it is otherwise now" >&2; exit 1; }
                            console.error pino          winston       error.stack
refused       axios         keys+value    keys+value    keys+value    -
refused       got           keys+value    keys+value    keys+value    -
refused       ky            keys+value    value         value         -
refused       superagent    keys          keys+value    keys+value    -
refused       undici        -             -             -             -
refused       ofetch        -             -             -             -
refused       needle        -             -             -             -
refused       wretch        -             -             -             -
cut           axios         keys+value    keys+value    keys+value    -
cut           got           keys+value    keys+value    keys+value    -
cut           ky            -             -             -             -
cut           superagent    -             -             -             -
cut           undici        -             -             -             -
cut           ofetch        -             -             -             -
cut           needle        -             -             -             -
cut           wretch        -             -             -             -
refused       logging       -
refused       loguru        -
refused       structlog     keys+value
refused       rich          -
refused       stackprinter  keys+value
refused       sentry-sdk    keys+value
cut           logging       -
cut           loguru        keys+value
cut           structlog     keys+value
cut           rich          -
cut           stackprinter  keys+value
cut           sentry-sdk    keys+value
SEEN
