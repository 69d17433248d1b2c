#!/usr/bin/env bash
# Behind three of seven gateways a name with a slash or a percent sign is refused or becomes the name of another resource; the usual cure for Apache moves it.
#
# nginx 1.22.1, Apache 2.4.71, HAProxy 2.6.12, Varnish 7.1.1 (it needs cc), lighttpd 1.4.69, h2o 2.2.5 (Debian 12's), Caddy 2.11.9, in front of one server.
#
# Names such as tls/key or https://db stand in a path as tls%2Fkey. A gateway that decodes the path and encodes it anew hands on tls/key, which is two
# segments. nginx does so once proxy_pass has a path or a rewrite stands before it, and lighttpd always. Both make one slash of two besides, so %2Fdb, the
# name "/db", arrives as db: a PUT is answered with 200, and has changed another entry. Apache answers 404. With `AllowEncodedSlashes NoDecode`, which
# is the usual advice, slashes pass, but a name with a percent sign is refused or decoded twice: "a%2Fb" arrives as "a/b". With nocanon beside
# it all pass, as they do with the other gateways, also where these take a part of the path away.
#
# Guess before: nginx with a path and lighttpd decode a slash, Apache refuses it, and passes all with NoDecode; no name becomes another one.
# What follows for names: no slash at the beginning, no percent sign, or a gateway that is known to leave paths alone. For a gateway: proxy_pass without
# a path, ProxyPass with nocanon and NoDecode, "url-path-2f-decode" => "disable" for lighttpd.
#
# Output seen: the table at the end of this file (what arrives for each name; = as it was sent).
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
import http.server

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'

    def do_GET(self):
        body = self.path.encode()
        self.send_response(200)
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)

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
listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(10)]
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
  server { listen 127.0.0.1:${ports[0]}; location / { proxy_pass http://$server; } }
  server { listen 127.0.0.1:${ports[1]}; location / { proxy_pass http://$server/; } }
}
CONF
cat >apache.conf <<CONF
ServerRoot $folder
ServerName localhost
PidFile $folder/apache.pid
ErrorLog $folder/apache.log
$(printf 'Listen 127.0.0.1:%s\n' "${ports[@]:2:3}")
$(printf "LoadModule %s_module $folder/root/usr/lib/apache2/modules/mod_%s.so\n" mpm_event{,} authz_core{,} proxy{,} proxy_http{,})
<VirtualHost *:${ports[2]}>
ProxyPass / http://$server/
</VirtualHost>
<VirtualHost *:${ports[3]}>
AllowEncodedSlashes NoDecode
ProxyPass / http://$server/
</VirtualHost>
<VirtualHost *:${ports[4]}>
AllowEncodedSlashes NoDecode
ProxyPass / http://$server/ nocanon
</VirtualHost>
CONF
cat >haproxy.cfg <<CONF
defaults
  mode http
  timeout connect 5s
  timeout client 5s
  timeout server 5s
listen all
  bind 127.0.0.1:${ports[5]}
  http-request replace-path /osc(/.*) \\1 if { path_beg /osc/ }
  server one $server
CONF
cat >default.vcl <<CONF
vcl 4.1;
backend one { .host = "${server%:*}"; .port = "${server#*:}"; }
sub vcl_recv { set req.url = regsub(req.url, "^/osc/", "/"); return (pass); }
CONF
cat >lighttpd.conf <<CONF
server.document-root = "$folder"
server.bind = "127.0.0.1"
server.port = ${ports[7]}
server.modules = ("mod_proxy")
proxy.header = ("map-urlpath" => ("/osc/" => "/"))
proxy.server = ("" => (("host" => "${server%:*}", "port" => ${server#*:})))
CONF
cat >h2o.conf <<CONF
user: root
listen: {host: 127.0.0.1, port: ${ports[8]}}
hosts: {default: {paths: {/osc/: {proxy.reverse.url: "http://$server/"}}}}
CONF
cat >Caddyfile <<CONF
{
	admin off
}
http://127.0.0.1:${ports[9]} {
	handle_path /osc/* {
		reverse_proxy $server
	}
}
CONF
start() {
  LD_LIBRARY_PATH=$libraries HOME=$folder XDG_CONFIG_HOME=$folder XDG_DATA_HOME=$folder "$@" >"$(basename "$1").out" 2>&1 &
  started+=($!)
}
start root/usr/sbin/nginx -e "$folder/nginx.log" -c "$folder/nginx.conf"
start root/usr/sbin/apache2 -X -f "$folder/apache.conf"
start root/usr/sbin/haproxy -db -f haproxy.cfg
start root/usr/sbin/varnishd -F -n "$folder/varnish" -a "127.0.0.1:${ports[6]}" -f "$folder/default.vcl" -s malloc,16M -j none
start root/usr/sbin/lighttpd -D -m "$folder/root/usr/lib/lighttpd" -f lighttpd.conf
start root/usr/bin/h2o -c h2o.conf
start ./caddy run --config Caddyfile --adapter caddyfile

cat >client.py <<'PY'
import http.client, sys, time
gateways = ['nginx', 'nginx, path', 'Apache', 'Apache, NoDecode', 'Apache, nocanon', 'HAProxy', 'Varnish', 'lighttpd', 'h2o', 'Caddy']
named = ['tls%2Fkey', '%2Fdb', 'https:%2F%2Fdb', 'a%25b', 'a%252Fb']

def ask(port, path):
    connection = http.client.HTTPConnection('127.0.0.1', port, timeout=5)
    connection.request('GET', path)
    answer = connection.getresponse()
    return answer.status, answer.read().decode()

def wait_for(port):
    for _ in range(100):
        try:
            return ask(port, '/')
        except OSError:
            time.sleep(0.1)
    sys.exit(f'nothing answers at {port}')

def arrived(port, name):
    # The latter five take a part of the path away; nginx and Apache do what they do with and without that.
    prefix = '' if gateway.startswith(('nginx', 'Apache')) else '/osc'
    status, path = ask(port, f'{prefix}/configs/{name}')
    path = path.removeprefix('/configs/')
    return str(status) if status != 200 else '=' if path == name else path

print(f"{'':18}" + ''.join(f'{name:16}' for name in named))
for gateway, port in zip(gateways, map(int, sys.argv[1:])):
    wait_for(port)
    print(f'{gateway:18}' + ''.join(f'{arrived(port, name):16}' for name in named))
PY
python3 client.py "${ports[@]}" | sed 's/ *$//' | tee seen
diff - seen <<'SEEN' || { echo "it is otherwise now" >&2; exit 1; }
                  tls%2Fkey       %2Fdb           https:%2F%2Fdb  a%25b           a%252Fb
nginx             =               =               =               =               =
nginx, path       tls/key         db              https:/db       =               =
Apache            404             404             404             =               =
Apache, NoDecode  =               =               =               400             a%2Fb
Apache, nocanon   =               =               =               =               =
HAProxy           =               =               =               =               =
Varnish           =               =               =               =               =
lighttpd          tls/key         db              https:/db       =               =
h2o               =               =               =               =               =
Caddy             =               =               =               =               =
SEEN
