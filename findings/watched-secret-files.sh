#!/usr/bin/env bash
# A program that watches a key in a mounted Secret sees its first exchange and no later one, or none at all, with three of four watchers.
#
# watchfiles 1.3.0, watchdog 7.1.0 (Python 3.11); fs.watch of Node.js 20, chokidar 5.0.0 (JavaScript); WatchService of OpenJDK 17.
#
# The kubelet writes a Secret into a new folder, renames the link ..data to it and removes the folder before; api-key is a link to
# ..data/api-key that is never touched. A watch of the file is a watch of the first folder's file: it tells "modified" and "deleted" as that
# is removed, and nothing ever after. A test with one exchange passes. watchdog tells of nothing at all. A watch of the folder hears of every
# exchange, but its events are about ..data: a filter by the name of the file drops them all. chokidar tells of both, either way.
#
# Guess before: a watch of the file tells of the first exchange only with watchfiles and fs.watch, and of both with the others.
# What follows for who reads a key: look at the text itself every few seconds, or read it anew after a refusal.
#
# Output seen: the table at the end of this file (told: an event; named: one that has the name of the file; - none, within three seconds).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv python
python/bin/pip install --quiet --disable-pip-version-check watchfiles==1.3.0 watchdog==7.1.0
npm install --silent --force --prefix . chokidar@5.0.0 >/dev/null

cat >kubelet.sh <<'SH'
# kubelet.sh VOLUME TEXT: writes as the kubelet's atomic writer does
set -eu
before=$(readlink "$1/..data" || true)
new=..$(date +%Y_%m_%d_%H_%M_%S.%N)
mkdir "$1/$new"
printf %s "$2" >"$1/$new/api-key"
ln -s "$new" "$1/..data_tmp"
mv -T "$1/..data_tmp" "$1/..data"
[ -L "$1/api-key" ] || ln -s ..data/api-key "$1/api-key"
[ -z "$before" ] || rm -r "${1:?}/$before"
SH
cat >watch.py <<'PY'
import os, subprocess, tempfile, threading, time
import watchdog.events, watchdog.observers, watchfiles

def with_watchfiles(path, tell):
    def run():
        for changes in watchfiles.watch(path):
            for _, changed in changes:
                tell(changed)
    threading.Thread(target=run, daemon=True).start()

def with_watchdog(path, tell):
    class Handler(watchdog.events.FileSystemEventHandler):
        def on_any_event(self, event):
            if event.event_type not in ('opened', 'closed_no_write'):
                tell(event.src_path)
    observer = watchdog.observers.Observer()
    observer.schedule(Handler(), path)
    observer.start()

def story(name, start, of_file):
    volume = tempfile.mkdtemp(dir='.')
    volume = os.path.abspath(volume)
    exchange = lambda text: subprocess.run(['bash', 'kubelet.sh', volume, text], check=True)
    exchange('one')
    told, row = [], []
    start(volume + '/api-key' if of_file else volume, told.append)
    time.sleep(1)
    for text in ('two', 'three'):
        told.clear()
        exchange(text)
        time.sleep(3)
        row.append('-' if not told else 'named' if volume + '/api-key' in told else 'told')
    print(f"{name:14} {'file' if of_file else 'folder':8}", *(f'{one:8}' for one in row), flush=True)

print(' ' * 23, 'first    second')
for of_file in (True, False):
    story('watchfiles', with_watchfiles, of_file)
    story('watchdog', with_watchdog, of_file)
os._exit(0)
PY
cat >watch.mjs <<'JS'
import { execFileSync } from 'child_process'
import { mkdtempSync, watch } from 'fs'
import chokidar from 'chokidar'
const pause = (time) => new Promise((done) => setTimeout(done, time))
const watchers = {
  'fs.watch': (path, tell) => watch(path, (kind, name) => tell(name)),
  chokidar: (path, tell) => chokidar.watch(path, { ignoreInitial: true }).on('all', (kind, name) => tell(name)),
}
for (const ofFile of [true, false]) {
  for (const [name, start] of Object.entries(watchers)) {
    const volume = mkdtempSync('./v')
    const exchange = (text) => execFileSync('bash', ['kubelet.sh', volume, text])
    exchange('one')
    const row = []
    let told = []
    start(ofFile ? `${volume}/api-key` : volume, (one) => told.push(one))
    await pause(1000)
    for (const text of ['two', 'three']) {
      told = []
      exchange(text)
      await pause(3000)
      row.push(told.length === 0 ? '-' : told.some((one) => one.replace(/^.*\/(?=v[^/]*\/)/, '').replace(/^v[^/]*\//, '') === 'api-key') ? 'named' : 'told')
    }
    console.log(name.padEnd(14), (ofFile ? 'file' : 'folder').padEnd(8), ...row.map((one) => one.padEnd(8)))
  }
}
process.exit()
JS
cat >Watch.java <<'JAVA'
import java.nio.file.*;
import java.util.concurrent.TimeUnit;

public class Watch {
    static void exchange(Path volume, String text) throws Exception {
        new ProcessBuilder("bash", "kubelet.sh", volume.toString(), text).inheritIO().start().waitFor();
    }

    public static void main(String[] arguments) throws Exception {
        var volume = Files.createTempDirectory(Path.of("").toAbsolutePath(), "v");
        exchange(volume, "one");
        var service = FileSystems.getDefault().newWatchService();
        volume.register(service, StandardWatchEventKinds.ENTRY_CREATE, StandardWatchEventKinds.ENTRY_MODIFY, StandardWatchEventKinds.ENTRY_DELETE);
        System.out.printf("%-14s %-8s", "WatchService", "folder");
        for (var text : new String[] {"two", "three"}) {
            exchange(volume, text);
            var seen = "-";
            for (var key = service.poll(3, TimeUnit.SECONDS); key != null; key = service.poll(1, TimeUnit.SECONDS)) {
                for (var event : key.pollEvents()) {
                    seen = event.context().toString().equals("api-key") ? "named" : seen.equals("named") ? seen : "told";
                }
                key.reset();
            }
            System.out.printf(" %-8s", seen);
        }
        System.out.println();
    }
}
JAVA
{
  python/bin/python watch.py
  node watch.mjs
  java Watch.java
} | sed 's/ *$//' | tee seen
diff - seen <<'SEEN' || { echo "it is otherwise now" >&2; exit 1; }
                        first    second
watchfiles     file     named    -
watchdog       file     -        -
watchfiles     folder   told     told
watchdog       folder   told     told
fs.watch       file     named    -
chokidar       file     named    named
fs.watch       folder   told     told
chokidar       folder   named    named
WatchService   folder   told     told
SEEN
