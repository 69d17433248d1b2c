#!/usr/bin/env bash
# Two of five implementations of Fernet open a token for one minute only unless told otherwise, and a third one refuses tokens of a fast clock.
#
# cryptography 46.0.3 and rfernet 0.3.6 (Python), npm fernet 0.4.0 and fernet-nodejs 1.0.6, com.macasaet.fernet:fernet-java8 1.5.0.
#
# The specification knows a time to live as a choice of the reader. With the call that each README shows, Java's and npm's first one take 60 s:
# a stored value opens in a test and not a minute later. rfernet takes no age amiss, but a token from more than a minute ahead, which
# a node with a fast clock writes, does not open until the time has come. The other two look at no time. npm's first one opens all with `ttl: 0`.
#
# Guess before: who gives no time to live has none, as in Python; then the time in a token is not looked at in either direction.
# What follows for stored values: the time is the reader's business, so say it in the documentation; a writer's clock must not run ahead.
#
# Output seen: the table at the end of this file.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv python
python/bin/pip install --quiet cryptography==46.0.3 rfernet==0.3.6
npm install --silent --prefix . fernet@0.4.0 fernet-nodejs@1.0.6 >/dev/null
mvn --quiet --batch-mode -Dstyle.color=never dependency:copy -Dartifact=com.macasaet.fernet:fernet-java8:1.5.0 -DoutputDirectory=. >maven.log 2>&1 || { cat maven.log >&2; exit 2; }

cat >Open.java <<'JAVA'
import com.macasaet.fernet.*;

public class Open {
    public static void main(String[] arguments) {
        Key key = new Key(arguments[0]);
        for (int i = 1; i < arguments.length; i++) {
            try {
                System.out.println(Token.fromString(arguments[i]).validateAndDecrypt(key, new StringValidator() {}).equals("secret"));
            } catch (TokenValidationException refused) {
                System.out.println(false);
            }
        }
    }
}
JAVA
cat >open.js <<'JS'
const fernet = require('fernet')
const { Fernet } = require('fernet-nodejs')
const [, , name, key, ...tokens] = process.argv
const open = name === 'fernet'
  ? (token) => new fernet.Token({ secret: new fernet.Secret(key), token }).decode()
  : (token) => Fernet.decrypt(token, key)
for (const token of tokens) { try { console.log(open(token) === 'secret') } catch { console.log(false) } }
JS
cat >open.py <<'PY'
import subprocess, time
import rfernet
from cryptography.fernet import Fernet

key = 'cw_0x689RpI-jtRR7oE8h_eQsKImvJapLeSbXpwF4e4='
now = int(time.time())
ages = {'now': 0, 'two minutes ago': -120, 'a year ago': -31_536_000, 'in two minutes': 120}
tokens = [Fernet(key).encrypt_at_time(b'secret', now + age).decode() for age in ages.values()]

def here(fernet, token):
    try:
        return fernet.decrypt(token) == b'secret'
    except Exception:
        return False

def others(*command):
    return [line == 'true' for line in subprocess.check_output([*command, key, *tokens], text=True).split()]

readers = {
    'cryptography': [here(Fernet(key), token) for token in tokens],
    'rfernet': [here(rfernet.Fernet(key), token) for token in tokens],
    'fernet': others('node', 'open.js', 'fernet'),
    'fernet-nodejs': others('node', 'open.js', 'fernet-nodejs'),
    'fernet-java8': others('java', '-cp', 'fernet-java8-1.5.0.jar', 'Open.java'),
}
print(f"{'':16}", *(f'{name:13}' for name in readers))
for title, row in zip(ages, zip(*readers.values())):
    print(f'{title:16}', *(f"{'opens' if one else 'refused':13}" for one in row))
PY
python/bin/python open.py | sed 's/ *$//' | tee seen
diff - seen <<'SEEN' || { echo "it is otherwise now" >&2; exit 1; }
                 cryptography  rfernet       fernet        fernet-nodejs fernet-java8
now              opens         opens         opens         opens         opens
two minutes ago  opens         opens         refused       opens         refused
a year ago       opens         opens         refused       opens         refused
in two minutes   opens         refused       refused       opens         refused
SEEN
