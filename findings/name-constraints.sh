#!/usr/bin/env bash
# An authority that may sign for one domain only is taken in each of eight forms by three of eleven verifiers; one refuses all of them.
#
# OpenSSL 3.0.19, Go 1.26, OpenJDK 17, GnuTLS 3.7.9, NSS 3.87.1, wolfSSL 5.5.4, Mbed TLS 2.28.3 (Debian 12's), rustls-webpki 0.103.8 (Rust), cryptography
# 50.0.2 and pyhanko-certvalidator 0.33.0 (Python 3.11), pkijs 4.0.0 (JavaScript). Each certificate keeps to its authority's constraints.
#
# An authority for a team gets permitted names (team.svc), critical as RFC 5280 wants it. Mbed TLS refuses each such authority. A certificate that has
# an IP address beside its name is outside of what wolfSSL permits, though a kind of name without a constraint is free; with a constraint for addresses too
# wolfSSL and certvalidator refuse it still. A certificate for an address alone passes until it has a common name such as config-0: Java and
# GnuTLS take that for a host outside team.svc. A leading dot (.team.svc), which RFC 5280 has for URIs only, is malformed for cryptography, and permits
# nothing to certvalidator. Go, webpki and cryptography know no constraint of the subject; cryptography and wolfSSL refuse one of URIs (SPIFFE).
#
# Guess before: OpenSSL and NSS take a common name for a host and nothing else does; Java refuses the leading dot; Mbed TLS refuses all; the others take all.
# What follows for an authority: names without a leading dot, no constraint of subjects or URIs. For its certificates: names, and no IP address or
# common name; a client under wolfSSL or Mbed TLS needs an authority without constraints.
#
# Output seen: the table at the end of this file (- where a valid certificate is refused).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
apt-get -o APT::Sandbox::User=root download --quiet=2 gnutls-bin libopts25 libnss3-tools libnss3 libnspr4 libwolfssl-dev libwolfssl35 \
  libmbedtls-dev libmbedtls14 libmbedx509-1 libmbedcrypto7
for package in *.deb; do dpkg-deb --extract "$package" root; done
libraries=$(echo "$folder"/root/usr/lib/*-linux-gnu)
python3 -m venv python
python/bin/pip install --quiet --disable-pip-version-check cryptography==50.0.2 pyhanko-certvalidator==0.33.0
npm install --silent --prefix . pkijs@4.0.0 >/dev/null

cat >make.py <<'PY'
import datetime, ipaddress
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

begin, end = datetime.datetime(2026, 1, 1), datetime.datetime(2046, 1, 1)
dns, uri = x509.DNSName, x509.UniformResourceIdentifier
address, addresses = x509.IPAddress(ipaddress.ip_address('10.0.0.7')), x509.IPAddress(ipaddress.ip_network('10.0.0.0/8'))

def name(organization=None, common=None):
    parts = [(NameOID.ORGANIZATION_NAME, organization), (NameOID.COMMON_NAME, common)]
    return x509.Name([x509.NameAttribute(oid, value) for oid, value in parts if value])

def certificate(subject, public, issuer, key, usage, *extensions):
    builder = x509.CertificateBuilder(issuer, subject, public, x509.random_serial_number(), begin, end)
    fixed = [(x509.SubjectKeyIdentifier.from_public_key(public), False), (x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), False),
             (x509.KeyUsage(usage == 'leaf', False, False, False, False, usage == 'ca', usage == 'ca', False, False), True),
             (x509.BasicConstraints(usage == 'ca', None), True)]
    for extension, critical in [*fixed, *extensions]:
        builder = builder.add_extension(extension, critical)
    return builder.sign(key, hashes.SHA256())

def case(title, permitted, names, subject=name()):
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(3)]
    root, issuer = name(common=f'root {title}'), name(common=f'issuer {title}')
    constraints = x509.NameConstraints(permitted, None)
    made = {
        'root': certificate(root, keys[0].public_key(), root, keys[0], 'ca'),
        'issuer': certificate(issuer, keys[1].public_key(), root, keys[0], 'ca', (constraints, True)),
        'leaf': certificate(subject, keys[2].public_key(), issuer, keys[1], 'leaf', (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False),
                            (x509.SubjectAlternativeName(names), not list(subject))),
    }
    for part, one in made.items():
        open(f'{title}.{part}.pem', 'wb').write(one.public_bytes(serialization.Encoding.PEM))

host = [dns('config.team.svc')]
case('name', [dns('team.svc')], host)
case('leading-dot', [dns('.team.svc')], host)
case('name-and-address', [dns('team.svc')], [*host, address])
case('both-permitted', [dns('team.svc'), addresses], [*host, address])
case('address', [dns('team.svc')], [address])
case('address-and-common-name', [dns('team.svc')], [address], name(common='config-0'))
case('subject-permitted', [dns('team.svc'), x509.DirectoryName(name('Team'))], host, name('Team'))
case('uri-permitted', [dns('team.svc'), uri('team.svc')], [*host, uri('spiffe://team.svc/config')])
PY
python/bin/python make.py
cases=(name leading-dot name-and-address both-permitted address address-and-common-name subject-permitted uri-permitted)

mkdir go rust rust/src
cat >go/main.go <<'GO'
package main

import (
	"crypto/x509"
	"encoding/pem"
	"os"
)

func load(path string) *x509.Certificate {
	text, err := os.ReadFile(path)
	if err != nil {
		panic(err)
	}
	block, _ := pem.Decode(text)
	one, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		panic(err)
	}
	return one
}

func main() {
	roots, between := x509.NewCertPool(), x509.NewCertPool()
	roots.AddCert(load(os.Args[1] + ".root.pem"))
	between.AddCert(load(os.Args[1] + ".issuer.pem"))
	if _, err := load(os.Args[1] + ".leaf.pem").Verify(x509.VerifyOptions{Roots: roots, Intermediates: between}); err != nil {
		println(err.Error())
		os.Exit(1)
	}
}
GO
go build -o verify-go go/main.go
cat >rust/Cargo.toml <<'TOML'
[package]
name = "verify"
version = "0.1.0"
edition = "2024"

[dependencies]
rustls-webpki = { version = "=0.103.8", features = ["ring", "std"] }
rustls-pki-types = { version = "1", features = ["std"] }
TOML
cat >rust/src/main.rs <<'RUST'
use rustls_pki_types::{CertificateDer, UnixTime, pem::PemObject};

fn main() {
    let title = std::env::args().nth(1).unwrap();
    let load = |part: &str| CertificateDer::from_pem_file(format!("{title}.{part}.pem")).unwrap();
    let (root, issuer, leaf) = (load("root"), load("issuer"), load("leaf"));
    webpki::EndEntityCert::try_from(&leaf)
        .unwrap()
        .verify_for_usage(
            webpki::ALL_VERIFICATION_ALGS,
            &[webpki::anchor_from_trusted_cert(&root).unwrap()],
            &[issuer],
            UnixTime::now(),
            webpki::KeyUsage::server_auth(),
            None,
            None,
        )
        .map(drop)
        .unwrap();
}
RUST
cargo build --quiet --manifest-path rust/Cargo.toml --target-dir rust/target
cat >Verify.java <<'JAVA'
import java.io.FileInputStream;
import java.security.KeyStore;
import java.security.cert.*;
import javax.net.ssl.*;

public class Verify {
    static X509Certificate load(String path) throws Exception {
        return (X509Certificate) CertificateFactory.getInstance("X.509").generateCertificate(new FileInputStream(path));
    }

    public static void main(String[] arguments) throws Exception {
        String title = arguments[0];
        KeyStore roots = KeyStore.getInstance("PKCS12");
        roots.load(null, null);
        roots.setCertificateEntry("root", load(title + ".root.pem"));
        TrustManagerFactory factory = TrustManagerFactory.getInstance("PKIX");
        factory.init(roots);
        X509Certificate[] chain = {load(title + ".leaf.pem"), load(title + ".issuer.pem")};
        ((X509TrustManager) factory.getTrustManagers()[0]).checkServerTrusted(chain, "ECDHE_ECDSA");
    }
}
JAVA
cat >wolf.c <<'C'
#include <stdio.h>
#include <wolfssl/options.h>
#include <wolfssl/ssl.h>

int main(int count, char **arguments) {
    char path[3][100];
    const char *parts[] = {"root", "issuer", "leaf"};
    for (int i = 0; i < 3; i++) snprintf(path[i], sizeof path[i], "%s.%s.pem", arguments[count - 1], parts[i]);
    wolfSSL_Init();
    WOLFSSL_CERT_MANAGER *manager = wolfSSL_CertManagerNew();
    return wolfSSL_CertManagerLoadCA(manager, path[0], NULL) != WOLFSSL_SUCCESS || wolfSSL_CertManagerLoadCA(manager, path[1], NULL) != WOLFSSL_SUCCESS
        || wolfSSL_CertManagerVerify(manager, path[2], WOLFSSL_FILETYPE_PEM) != WOLFSSL_SUCCESS;
}
C
cat >mbed.c <<'C'
#include <mbedtls/x509_crt.h>
#include <stdio.h>

int main(int count, char **arguments) {
    char path[3][100];
    const char *parts[] = {"root", "leaf", "issuer"};
    for (int i = 0; i < 3; i++) snprintf(path[i], sizeof path[i], "%s.%s.pem", arguments[count - 1], parts[i]);
    mbedtls_x509_crt roots, chain;
    mbedtls_x509_crt_init(&roots);
    mbedtls_x509_crt_init(&chain);
    uint32_t flags;
    return mbedtls_x509_crt_parse_file(&roots, path[0]) || mbedtls_x509_crt_parse_file(&chain, path[1]) || mbedtls_x509_crt_parse_file(&chain, path[2])
        || mbedtls_x509_crt_verify(&chain, &roots, NULL, NULL, &flags, NULL, NULL);
}
C
for one in wolf:wolfssl mbed:mbedx509; do
  gcc -w -Iroot/usr/include -o "verify-${one%:*}" "${one%:*}.c" -L"$libraries" "-l${one#*:}" -lm -Wl,--allow-shlib-undefined
done
cat >verify.mjs <<'JS'
import { readFileSync } from 'node:fs'
import { webcrypto } from 'node:crypto'
import { Certificate, CertificateChainValidationEngine, CryptoEngine, setEngine } from 'pkijs'

setEngine('node', new CryptoEngine({ name: 'node', crypto: webcrypto }))
const load = (part) => Certificate.fromBER(Buffer.from(readFileSync(`${process.argv[2]}.${part}.pem`, 'utf8').replace(/-----[^-]+-----|\s/g, ''), 'base64'))
const engine = new CertificateChainValidationEngine({ trustedCerts: [load('root')], certs: [load('issuer'), load('leaf')] })
const { result, resultMessage } = await engine.verify()
if (!result) throw new Error(resultMessage)
JS
cat >verify.py <<'PY'
import sys
who, title = sys.argv[1:]
text = {part: open(f'{title}.{part}.pem', 'rb').read() for part in ['root', 'issuer', 'leaf']}
if who == 'cryptography':
    import ipaddress
    from cryptography import x509
    from cryptography.x509.verification import PolicyBuilder, Store
    one = {part: x509.load_pem_x509_certificate(text[part]) for part in text}
    subject = x509.IPAddress(ipaddress.ip_address('10.0.0.7')) if title.startswith('address') else x509.DNSName('config.team.svc')
    PolicyBuilder().store(Store([one['root']])).build_server_verifier(subject).verify(one['leaf'], [one['issuer']])
else:
    import asyncio
    from asn1crypto import pem, x509
    from pyhanko_certvalidator import CertificateValidator, ValidationContext
    one = {part: x509.Certificate.load(pem.unarmor(text[part])[2]) for part in text}
    context = ValidationContext(trust_roots=[one['root']], allow_fetching=False)
    asyncio.run(CertificateValidator(one['leaf'], [one['issuer']], validation_context=context).async_validate_usage({'digital_signature'}))
PY

with() { LD_LIBRARY_PATH=$libraries:$libraries/nss "$@"; }
verify() {
  case $1 in
    OpenSSL) openssl verify -CAfile "$2.root.pem" -untrusted "$2.issuer.pem" "$2.leaf.pem" ;;
    Go) ./verify-go "$2" ;;
    Java) java Verify.java "$2" ;;
    GnuTLS)
      cat "$2.leaf.pem" "$2.issuer.pem" >chain.pem
      with root/usr/bin/certtool --verify --load-ca-certificate "$2.root.pem" --infile chain.pem
      ;;
    NSS)
      rm -rf db
      mkdir db
      with root/usr/bin/certutil -N -d db --empty-password
      with root/usr/bin/certutil -A -d db -n root -t C,, -a -i "$2.root.pem"
      with root/usr/bin/certutil -A -d db -n issuer -t ,, -a -i "$2.issuer.pem"
      with root/usr/bin/vfychain -d db -pp -u 1 -a "$2.leaf.pem"
      ;;
    wolfSSL | mbedTLS) with "./verify-${1:0:4}" "$2" ;;
    webpki) rust/target/debug/verify "$2" ;;
    pkijs) node verify.mjs "$2" ;;
    *) python/bin/python verify.py "$1" "$2" ;;
  esac >output 2>&1
}
verifiers=(OpenSSL Go Java GnuTLS NSS wolfSSL mbedTLS webpki cryptography certvalidator pkijs)
{
  printf '%-24s' ''
  for verifier in "${verifiers[@]}"; do printf "%-$((${#verifier} > 8 ? ${#verifier} + 2 : 10))s" "$verifier"; done
  echo
  for title in "${cases[@]}"; do
    printf '%-24s' "$title"
    for verifier in "${verifiers[@]}"; do
      if verify "$verifier" "$title"; then answer=taken; else answer=-; fi
      printf "%-$((${#verifier} > 8 ? ${#verifier} + 2 : 10))s" "$answer"
    done
    echo
  done
} | sed 's/ *$//' | tee seen
diff - seen <<'SEEN' || { echo "it is otherwise now" >&2; exit 1; }
                        OpenSSL   Go        Java      GnuTLS    NSS       wolfSSL   mbedTLS   webpki    cryptography  certvalidator  pkijs
name                    taken     taken     taken     taken     taken     taken     -         taken     taken         taken          taken
leading-dot             taken     taken     taken     taken     taken     taken     -         taken     -             -              taken
name-and-address        taken     taken     taken     taken     taken     -         -         taken     taken         taken          taken
both-permitted          taken     taken     taken     taken     taken     -         -         taken     taken         -              taken
address                 taken     taken     taken     taken     taken     -         -         taken     taken         taken          taken
address-and-common-name taken     taken     -         -         taken     -         -         taken     taken         taken          taken
subject-permitted       taken     -         taken     taken     taken     taken     -         -         -             taken          taken
uri-permitted           taken     taken     taken     taken     taken     -         -         taken     -             taken          taken
SEEN
