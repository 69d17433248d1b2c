#!/usr/bin/env bash
# Behind six of seven gateways that compress answers no write with If-Match ever succeeds: each gives the client an ETag that the server has not.
#
# nginx 1.22.1, Apache 2.4.71, HAProxy 2.6.12, Varnish 7.1.1 (it needs cc), lighttpd 1.4.69, h2o 2.2.5 (Debian 12's), Caddy 2.11.9, each with its
# compression for JSON switched on and in front of one server.
#
# A gateway that compresses has another representation in its hands, so it must not call it "v1": it writes W/"v1" or "v1-gzip". For If-None-Match
# most translate back or compare weakly. If-Match goes on as it is, and compares strongly: 412, with what was read a moment ago. A client that
# reads again and tries again, as it should on 412, does so for ever. Tests without the gateway pass, and so do curl and short bodies, for
# these are not compressed. "Cache-Control: no-transform" keeps HAProxy and Caddy from compressing, and no other one.
#
# Guess before: nginx and Apache do this; the others give the server's own ETag, or translate it back on the way in; all heed no-transform.
# What follows for a client: take the version from a header that gateways leave alone, or read with Accept-Encoding: identity (not through Varnish).
#
# Output seen: the table at the end of this file (Accept-Encoding: gzip but in the last column).
set -euo pipefail
folder=$(mktemp -d)
started=()
trap '[ ${#started[@]} = 0 ] || kill "${started[@]}" 2>/dev/null; wait; rm -rf "$folder"' EXIT
cd "$folder"
apt-get -o APT::Sandbox::User=root download --quiet=2 nginx apache2-bin libapr1 libaprutil1 haproxy liblua5.3-0 liblua5.4-0 libopentracing1 \
  libopentracing-c-wrapper0 varnish libvarnishapi3 libjemalloc2 lighttpd lighttpd-mod-deflate h2o libh2o0.13 libwslay1
for package in *.deb; do dpkg-deb --extract "$package" root; done
GOBIN=$folder go install github.com/caddyserver/caddy/v2/cmd/caddy@v2.11.9 2>/dev/null
libraries=$(echo "$folder"/root/usr/lib/*-linux-gnu)

cat >server.py <<'PY'
import http.server, json
body = json.dumps({'value': ['configuration'] * 400}).encode()

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'

    def answer(self, status, body=b'', **headers):
        self.send_response(status)
        if status != 304:
            self.send_header('Content-Length', str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace('_', '-'), value)
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        caching = 'no-store' + ', no-transform' * self.path.startswith('/untouched')
        if self.headers.get('If-None-Match', '').removeprefix('W/') == '"v1"':
            return self.answer(304, ETag='"v1"', Cache_Control=caching)
        self.answer(200, body, ETag='"v1"', Cache_Control=caching, Content_Type='application/json')

    def do_PUT(self):
        self.rfile.read(int(self.headers.get('Content-Length', 0)))
        self.answer(200 if self.headers.get('If-Match') == '"v1"' else 412)

    def log_message(self, *_):
        pass

server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)
print(server.server_port, flush=True)
server.serve_forever()
PY
python3 server.py >port 2>/dev/null &
started+=($!)
for _ in $(seq 100); do [ -s port ] && break; sleep 0.1; done
server=127.0.0.1:$(cat port)
mapfile -t ports < <(python3 -c '
import socket
listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(7)]
for listener in listeners: print(listener.getsockname()[1])')

cat >nginx.conf <<CONF
daemon off;
pid $folder/nginx.pid;
user root;
events {}
http {
  access_log off;
  client_body_temp_path $folder/body;
  proxy_temp_path $folder/proxy;
  fastcgi_temp_path $folder/fastcgi;
  uwsgi_temp_path $folder/uwsgi;
  scgi_temp_path $folder/scgi;
  gzip on;
  gzip_types application/json;
  server { listen 127.0.0.1:${ports[0]}; location / { proxy_pass http://$server; } }
}
CONF
cat >apache.conf <<CONF
ServerRoot $folder
ServerName localhost
PidFile $folder/apache.pid
ErrorLog $folder/apache.log
Listen 127.0.0.1:${ports[1]}
$(printf "LoadModule %s_module $folder/root/usr/lib/apache2/modules/mod_%s.so\n" mpm_event{,} authz_core{,} filter{,} deflate{,} proxy{,} proxy_http{,})
AddOutputFilterByType DEFLATE application/json
ProxyPass / http://$server/
CONF
cat >haproxy.cfg <<CONF
defaults
  mode http
  timeout connect 5s
  timeout client 5s
  timeout server 5s
listen all
  bind 127.0.0.1:${ports[2]}
  compression algo gzip
  compression type application/json
  server one $server
CONF
cat >default.vcl <<CONF
vcl 4.1;
backend one { .host = "${server%:*}"; .port = "${server#*:}"; }
sub vcl_backend_response { set beresp.do_gzip = true; }
CONF
cat >lighttpd.conf <<CONF
server.document-root = "$folder"
server.bind = "127.0.0.1"
server.port = ${ports[4]}
server.modules = ("mod_deflate", "mod_proxy")
deflate.mimetypes = ("application/json")
deflate.allowed-encodings = ("gzip")
proxy.server = ("" => (("host" => "${server%:*}", "port" => ${server#*:})))
CONF
cat >h2o.conf <<CONF
user: root
listen: {host: 127.0.0.1, port: ${ports[5]}}
compress: [gzip]
hosts: {default: {paths: {/: {proxy.reverse.url: "http://$server/"}}}}
CONF
cat >Caddyfile <<CONF
{
	admin off
}
http://127.0.0.1:${ports[6]} {
	encode gzip
	reverse_proxy $server
}
CONF
start() {
  LD_LIBRARY_PATH=$libraries HOME=$folder XDG_CONFIG_HOME=$folder XDG_DATA_HOME=$folder "$@" >"$(basename "$1").out" 2>&1 &
  started+=($!)
}
start root/usr/sbin/nginx -e "$folder/nginx.log" -c "$folder/nginx.conf"
start root/usr/sbin/apache2 -X -f "$folder/apache.conf"
start root/usr/sbin/haproxy -db -f haproxy.cfg
start root/usr/sbin/varnishd -F -n "$folder/varnish" -a "127.0.0.1:${ports[3]}" -f "$folder/default.vcl" -s malloc,16M -j none
start root/usr/sbin/lighttpd -D -m "$folder/root/usr/lib/lighttpd" -f lighttpd.conf
start root/usr/bin/h2o -c h2o.conf
start ./caddy run --config Caddyfile --adapter caddyfile

cat >client.py <<'PY'
import http.client, sys, time
names = ['nginx', 'Apache', 'HAProxy', 'Varnish', 'lighttpd', 'h2o', 'Caddy']

def ask(port, method, path, **headers):
    connection = http.client.HTTPConnection('127.0.0.1', port, timeout=5)
    connection.request(method, path, b'{}' if method == 'PUT' else None, {name.replace('_', '-'): value for name, value in headers.items()})
    answer = connection.getresponse()
    answer.read()
    return answer

def wait_for(port):
    for _ in range(100):
        try:
            return ask(port, 'GET', '/')
        except OSError:
            time.sleep(0.1)
    sys.exit(f'nothing answers at {port}')

def written(port, path, encoding):
    return ask(port, 'PUT', path, If_Match=ask(port, 'GET', path, Accept_Encoding=encoding).headers['ETag']).status

print(f"{'':10} {'ETag':10} {'If-None-Match':14} {'If-Match':9} {'no-transform':13} identity")
for name, port in zip(names, map(int, sys.argv[1:])):
    wait_for(port)
    tag = ask(port, 'GET', '/', Accept_Encoding='gzip').headers['ETag']
    known = ask(port, 'GET', '/', Accept_Encoding='gzip', If_None_Match=tag).status
    print(f"{name:10} {tag:10} {known:<14} {written(port, '/', 'gzip'):<9} {written(port, '/untouched', 'gzip'):<13} {written(port, '/', 'identity')}")
PY
python3 client.py "${ports[@]}" | tee seen
diff - seen <<'SEEN' || { echo "it is otherwise now" >&2; exit 1; }
           ETag       If-None-Match  If-Match  no-transform  identity
nginx      W/"v1"     304            412       412           200
Apache     "v1-gzip"  200            412       412           200
HAProxy    W/"v1"     304            412       200           200
Varnish    W/"v1"     304            412       412           412
lighttpd   "v1-gzip"  304            412       412           200
h2o        "v1"       304            200       200           200
Caddy      "v1-gzip"  304            412       200           200
SEEN
