#!/usr/bin/env bash
# Four implementations of Fernet disagree on which spellings of one token they open.
#
# cryptography 46.0.3 (Python), npm fernet 0.4.0, fernet-go of 2024-01-19, the crate fernet 0.2.2 with "rustcrypto".
#
# The specification says base64url with padding. A token that was copied through a file, a shell or a form gains a newline, loses
# its `=` or comes in the other alphabet. Python opens what has blanks, newlines or `+/` and refuses a missing `=`; Rust
# does the opposite; Go takes a newline and no other change; JavaScript opens all of them; one `=` more is fine everywhere. So a database that one of them wrote and
# another one edited may hold tokens that only some readers open.
#
# Guess before: all are as strict as Rust but for a newline at the end, and Go takes tokens without padding.
# What follows for a reader of others' tokens: bring them into one spelling first.
#
# Output seen: the table at the end of this file.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv python
python/bin/pip install --quiet cryptography==46.0.3
npm install --silent --prefix . fernet@0.4.0 >/dev/null
mkdir go rust rust/src
cat >go/go.mod <<'GO'
module forms
go 1.22
require github.com/fernet/fernet-go v0.0.0-20240119011108-303da6aec611
GO
cat >go/main.go <<'GO'
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"

	"github.com/fernet/fernet-go"
)

func main() {
	keys, _ := fernet.DecodeKeys(os.Args[1])
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		var token string
		json.Unmarshal(lines.Bytes(), &token)
		fmt.Println(fernet.VerifyAndDecrypt([]byte(token), 0, keys) != nil)
	}
}
GO
(cd go && go mod tidy 2>/dev/null && go build -o ../go-forms .)
cat >rust/Cargo.toml <<'RUST'
[package]
name = "forms"
version = "0.1.0"
edition = "2021"
[dependencies]
fernet = { version = "=0.2.2", default-features = false, features = ["rustcrypto"] }
serde_json = "1"
RUST
cat >rust/src/main.rs <<'RUST'
fn main() {
    let fernet = fernet::Fernet::new(&std::env::args().nth(1).unwrap()).unwrap();
    for line in std::io::stdin().lines() {
        let token: String = serde_json::from_str(&line.unwrap()).unwrap();
        println!("{}", fernet.decrypt(&token).is_ok());
    }
}
RUST
cargo build --quiet --manifest-path rust/Cargo.toml
cat >forms.js <<'JS'
const fernet = require('fernet')
const secret = new fernet.Secret(process.argv[2])
for (const line of require('fs').readFileSync(0, 'utf8').trim().split('\n')) {
  try { console.log(new fernet.Token({ secret, token: JSON.parse(line), ttl: 0 }).decode() === '{"a": 1}') } catch { console.log(false) }
}
JS
cat >forms.py <<'PY'
import json, subprocess
from cryptography.fernet import Fernet
key = 'cw_0x689RpI-jtRR7oE8h_eQsKImvJapLeSbXpwF4e4='
fernet = Fernet(key)
made = (fernet.encrypt_at_time(b'{"a": 1}', 1_700_000_000).decode() for _ in range(1000))
token = next(token for token in made if '-' in token and '_' in token and token.endswith('='))
forms = {
    'as it was made': token,
    'newline at the end': token + '\n',
    'without =': token.rstrip('='),
    'alphabet with + and /': token.replace('-', '+').replace('_', '/'),
    'blank in front': ' ' + token,
    'one = more': token + '=',
}

def python(token):
    try:
        return fernet.decrypt(token.encode()) is not None
    except Exception:
        return False

def others(*command):
    lines = '\n'.join(json.dumps(token) for token in forms.values()) + '\n'
    out = subprocess.run([*command, key], input=lines, text=True, capture_output=True, check=True).stdout
    return [line == 'true' for line in out.split()]

columns = [[python(token) for token in forms.values()], others('node', 'forms.js'), others('./go-forms'), others('rust/target/debug/forms')]
print(f"{'':22} Python JavaScript Go    Rust")
for name, row in zip(forms, zip(*columns)):
    print(f'{name:22} {row[0]!s:6} {row[1]!s:10} {row[2]!s:5} {row[3]!s}')
PY
python/bin/python forms.py | tee seen
diff - seen <<'SEEN'
                       Python JavaScript Go    Rust
as it was made         True   True       True  True
newline at the end     True   True       True  False
without =              False  True       False True
alphabet with + and /  True   True       False False
blank in front         True   True       False False
one = more             True   True       True  True
SEEN
