#!/usr/bin/env bash
# Three of seven gateways send a request a second time unasked when its connection to the server ends: Varnish a DELETE too, nginx a PUT and a DELETE.
#
# nginx 1.22.1, Apache 2.4.71, HAProxy 2.6.12, Varnish 7.1.1 (it needs cc), lighttpd 1.4.69, h2o 2.2.5 (Debian 12's), Caddy 2.11.9. Each as it comes; nginx
# with keepalive to its servers, as its documentation advises.
#
# A server that is killed after it has carried a request out ends the connection without an answer. Where that connection had carried a request before,
# nginx, Varnish and Caddy take it for one that was closed while idle, and send the request again: Caddy GET alone, Varnish what has no body, nginx all
# but POST. With a second server nginx does so on new connections as well. A PUT with If-Match reads 412 of what was its own write, and a DELETE 404.
# nginx then counts a failure against each server that it asked, and one is enough (max_fails): after a single such PUT it asks none of its two servers
# for ten seconds, and answers 502 to all that comes.
#
# Guess before: nginx repeats PUT and DELETE where it has a second server, Caddy repeats GET, and all else is sent once.
# What follows for a client: read before a 404 or 412 is judged, also where its own library repeats nothing. For nginx: `proxy_next_upstream off` sends
# each request once (seen with both), max_fails=0 keeps the servers in use.
#
# Output seen: the table at the end of this file (how often each request reached the server; used: the connection had carried a request before).
set -euo pipefail
folder=$(mktemp -d)
started=()
trap '[ ${#started[@]} = 0 ] || kill "${started[@]}" 2>/dev/null; wait; rm -rf "$folder"' EXIT
cd "$folder"
apt-get -o APT::Sandbox::User=root download --quiet=2 nginx apache2-bin libapr1 libaprutil1 haproxy liblua5.3-0 liblua5.4-0 libopentracing1 \
  libopentracing-c-wrapper0 varnish libvarnishapi3 libjemalloc2 lighttpd h2o libh2o0.13 libwslay1
for package in *.deb; do dpkg-deb --extract "$package" root; done
GOBIN=$folder go install github.com/caddyserver/caddy/v2/cmd/caddy@v2.11.9 2>/dev/null
libraries=$(echo "$folder"/root/usr/lib/*-linux-gnu)

cat >server.py <<'PY'
import collections, http.server, threading
counts = collections.Counter()

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'

    def answer(self):
        self.rfile.read(int(self.headers.get('Content-Length', 0)))
        if self.path.startswith('/cut'):
            counts[self.command + self.path] += 1
            self.close_connection = True
            return
        body = str(counts[self.path.removeprefix('/count/')]).encode()
        self.send_response(200)
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_PUT = do_POST = do_DELETE = answer

    def log_message(self, *_):
        pass

servers = [http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler) for _ in range(2)]
print(*[server.server_port for server in servers], flush=True)
threading.Thread(target=servers[0].serve_forever, daemon=True).start()
servers[1].serve_forever()
PY
python3 server.py >port 2>/dev/null &
started+=($!)
for _ in $(seq 100); do [ -s port ] && break; sleep 0.1; done
read -r first second <port
server=127.0.0.1:$first
mapfile -t ports < <(python3 -c '
import socket
listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(9)]
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
  proxy_http_version 1.1;
  proxy_set_header Connection "";
  upstream one { server $server; keepalive 8; }
  upstream two { server $server max_fails=0; server 127.0.0.1:$second max_fails=0; keepalive 8; }
  upstream two_as_it_comes { server $server; server 127.0.0.1:$second; keepalive 8; }
  server { listen 127.0.0.1:${ports[0]}; location / { proxy_pass http://one; } }
  server { listen 127.0.0.1:${ports[1]}; location / { proxy_pass http://two; } }
  server { listen 127.0.0.1:${ports[8]}; location / { proxy_pass http://two_as_it_comes; } }
}
CONF
cat >apache.conf <<CONF
ServerRoot $folder
ServerName localhost
PidFile $folder/apache.pid
ErrorLog $folder/apache.log
Listen 127.0.0.1:${ports[2]}
$(printf "LoadModule %s_module $folder/root/usr/lib/apache2/modules/mod_%s.so\n" mpm_event{,} authz_core{,} proxy{,} proxy_http{,})
ProxyPass / http://$server/
CONF
cat >haproxy.cfg <<CONF
defaults
  mode http
  timeout connect 5s
  timeout client 5s
  timeout server 5s
listen all
  bind 127.0.0.1:${ports[3]}
  server one $server
CONF
cat >default.vcl <<CONF
vcl 4.1;
backend one { .host = "${server%:*}"; .port = "${server#*:}"; }
sub vcl_recv { return (pass); }
CONF
cat >lighttpd.conf <<CONF
server.document-root = "$folder"
server.bind = "127.0.0.1"
server.port = ${ports[5]}
server.modules = ("mod_proxy")
proxy.server = ("" => (("host" => "${server%:*}", "port" => ${server#*:})))
CONF
cat >h2o.conf <<CONF
user: root
listen: {host: 127.0.0.1, port: ${ports[6]}}
hosts: {default: {paths: {/: {proxy.reverse.url: "http://$server/"}}}}
CONF
cat >Caddyfile <<CONF
{
	admin off
}
http://127.0.0.1:${ports[7]} {
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
start root/usr/sbin/varnishd -F -n "$folder/varnish" -a "127.0.0.1:${ports[4]}" -f "$folder/default.vcl" -s malloc,16M -j none
start root/usr/sbin/lighttpd -D -m "$folder/root/usr/lib/lighttpd" -f lighttpd.conf
start root/usr/bin/h2o -c h2o.conf
start ./caddy run --config Caddyfile --adapter caddyfile

cat >client.py <<'PY'
import http.client, sys, time
gateways = ['nginx', 'nginx, 2 servers', 'Apache', 'HAProxy', 'Varnish', 'lighttpd', 'h2o', 'Caddy']
methods = ['GET', 'PUT', 'POST', 'DELETE']

def ask(port, method, path):
    connection = http.client.HTTPConnection('127.0.0.1', port, timeout=10)
    connection.request(method, path, b'{}' if method in ('PUT', 'POST') else None)
    answer = connection.getresponse()
    return answer.status, answer.read().decode()

def wait_for(port):
    for _ in range(100):
        try:
            if ask(port, 'GET', '/')[0] == 200:
                return
        except OSError:
            pass
        time.sleep(0.1)
    sys.exit(f'nothing answers at {port}')

def reached(port, method, path):
    status, _ = ask(port, method, path)
    assert status >= 500
    return ask(server, 'GET', f'/count/{method}{path}')[1]

server, *ports, unhurt = map(int, sys.argv[1:])
for port in [*ports, unhurt]:
    wait_for(port)
print(f"{'':18}" + ''.join(f'{method + when:14}' for when in [' used', ' new'] for method in methods))
for gateway, port in zip(gateways, ports):
    row = []
    for when in ['used', 'new']:
        for method in methods:
            # Two for each server: what takes them in turns has a connection to both.
            for _ in range(4 if when == 'used' else 0):
                assert ask(port, 'GET', '/')[0] == 200
            row.append(reached(port, method, f'/cut/{when}/{port}'))
    print(f'{gateway:18}' + ''.join(f'{count:14}' for count in row))
print('nginx, 2 servers, max_fails as it comes: a GET', ask(unhurt, 'GET', '/')[0], '- a PUT that is cut', ask(unhurt, 'PUT', '/cut')[0],
      '- a GET', ask(unhurt, 'GET', '/')[0])
PY
python3 client.py "$first" "${ports[@]}" | sed 's/ *$//' | tee seen
diff - seen <<'SEEN' || { echo "it is otherwise now" >&2; exit 1; }
                  GET used      PUT used      POST used     DELETE used   GET new       PUT new       POST new      DELETE new
nginx             2             2             1             2             1             1             1             1
nginx, 2 servers  2             2             1             2             2             2             1             2
Apache            1             1             1             1             1             1             1             1
HAProxy           1             1             1             1             1             1             1             1
Varnish           2             1             1             2             1             1             1             1
lighttpd          1             1             1             1             1             1             1             1
h2o               1             1             1             1             1             1             1             1
Caddy             2             1             1             1             1             1             1             1
nginx, 2 servers, max_fails as it comes: a GET 200 - a PUT that is cut 502 - a GET 502
SEEN
