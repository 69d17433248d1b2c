//! Private keys and certificates as the real OpenSSL writes them: the node reads them, or its refusal says what helps.

use std::{fs, path::Path, process::Command};

use tempfile::TempDir;

use crate::process::{Process, osc_node};

const REMEDY: &str = "openssl pkcs8 -topk8 -v2 aes-256-cbc -in OLD.pem -out NEW.pem";

fn openssl(folder: &Path, arguments: &str) {
    let output = Command::new("openssl")
        .args(arguments.split(' '))
        .current_dir(folder)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "openssl {arguments}: {text}");
}

/// A folder with a certificate, which is none of an authority, and its plain key.
fn with_certificate() -> TempDir {
    let folder = TempDir::new().unwrap();
    openssl(
        folder.path(),
        "req -x509 -newkey rsa:2048 -nodes -keyout plain.pem -out cert.pem -days 90 -subj /CN=node -addext basicConstraints=critical,CA:FALSE",
    );
    folder
}

fn start(folder: &Path, key: &str, certificate: &str) -> Command {
    let mut command = osc_node(folder);
    command
        .env("OSC_HOST_PORT", "0")
        .env("OSC_API_KEY_REQUIRED", "false")
        .env("OSC_HTTPS_ENABLED", "true")
        .env("OSC_SSL_CERTFILE", certificate)
        .env("OSC_SSL_KEYFILE", key)
        .env("OSC_SSL_KEYFILE_PASSWORD", "secret");
    command
}

#[test]
fn keys_in_every_form_that_is_allowed_are_read() {
    let folder = with_certificate();
    let forms = [
        "pkcs8 -topk8 -in plain.pem -out key.pem -nocrypt",
        "rsa -in plain.pem -out key.pem -traditional",
        "pkcs8 -topk8 -in plain.pem -out key.pem -passout pass:secret",
        "pkcs8 -topk8 -v2 des3 -in plain.pem -out key.pem -passout pass:secret",
        "pkcs8 -topk8 -v2 des3 -v2prf hmacWithSHA1 -in plain.pem -out key.pem -passout pass:secret",
    ];
    for form in forms {
        openssl(folder.path(), form);
        let node = Process::start_command(&mut start(folder.path(), "key.pem", "cert.pem"));
        assert!(node.url.starts_with("https://"), "{form}");
        drop(node);
        // As `openssl pkcs12` writes above it, with a name in Latin-1.
        for file in ["key.pem", "cert.pem"] {
            let mut text = b"Bag Attributes\n    friendlyName: Schl\xfcssel\n".to_vec();
            text.extend(fs::read(folder.path().join(file)).unwrap());
            fs::write(folder.path().join(format!("named-{file}")), text).unwrap();
        }
        let mut named = start(folder.path(), "named-key.pem", "named-cert.pem");
        drop(Process::start_command(&mut named));
    }
}

#[test]
fn keys_of_elliptic_curves_are_read_in_the_form_of_sec1() {
    let folder = TempDir::new().unwrap();
    let path = folder.path();
    // Above the key OpenSSL writes which curve it is of.
    openssl(path, "ecparam -name prime256v1 -genkey -out first.pem");
    openssl(
        path,
        "req -x509 -key first.pem -out cert.pem -days 90 -subj /CN=node -addext basicConstraints=critical,CA:FALSE",
    );
    openssl(path, "ec -in first.pem -out again.pem");
    for (key, names_curve) in [("first.pem", true), ("again.pem", false)] {
        let text = fs::read_to_string(path.join(key)).unwrap();
        assert!(text.contains("-----BEGIN EC PRIVATE KEY-----"), "{key}");
        assert_eq!(text.contains("-----BEGIN EC PARAMETERS-----"), names_curve);
        let node = Process::start_command(&mut start(path, key, "cert.pem"));
        assert!(node.url.starts_with("https://"), "{key}");
    }
}

#[test]
fn keys_in_outdated_forms_are_refused_with_what_helps() {
    let folder = with_certificate();
    let forms = [
        "rsa -in plain.pem -out key.pem -traditional -aes128 -passout pass:secret",
        "rsa -in plain.pem -out key.pem -traditional -des3 -passout pass:secret",
        "pkcs8 -topk8 -v1 PBE-SHA1-3DES -in plain.pem -out key.pem -passout pass:secret",
        "pkcs8 -topk8 -v1 PBE-MD5-DES -in plain.pem -out key.pem -passout pass:secret -provider legacy -provider default",
    ];
    for form in forms {
        openssl(folder.path(), form);
        let output = start(folder.path(), "key.pem", "cert.pem")
            .output()
            .unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{form}: {text}");
        assert!(text.contains(REMEDY), "{form}: {text}");
    }
}

#[test]
fn a_key_of_another_certificate_is_told_with_both_reasons() {
    let folder = with_certificate();
    openssl(
        folder.path(),
        "genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out other.pem",
    );
    let output = start(folder.path(), "other.pem", "cert.pem").output();
    let text = String::from_utf8(output.unwrap().stderr).unwrap();
    assert!(
        text.contains("or the chain does not begin with the node's own certificate"),
        "{text}"
    );
}

#[test]
fn a_certificate_without_extensions_is_named_as_one_of_version_1() {
    let folder = TempDir::new().unwrap();
    openssl(
        folder.path(),
        "req -newkey rsa:2048 -nodes -keyout key.pem -out request.pem -subj /CN=node",
    );
    openssl(
        folder.path(),
        "x509 -req -in request.pem -signkey key.pem -out cert.pem",
    );
    let output = start(folder.path(), "key.pem", "cert.pem").output();
    let text = String::from_utf8(output.unwrap().stderr).unwrap();
    assert!(
        text.contains("cert.pem is of X.509 version 1, and version 3 is needed"),
        "{text}"
    );
    assert!(!text.contains("do not fit together"), "{text}");
}

#[test]
fn a_certificate_of_an_authority_and_one_that_ends_soon_are_told_at_the_start() {
    let folder = TempDir::new().unwrap();
    openssl(
        folder.path(),
        "req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -days 10 -subj /CN=node",
    );
    let node = Process::start_command(&mut start(folder.path(), "key.pem", "cert.pem"));
    let log = node.log();
    let line = |event: &str| log.lines().find(|line| line.contains(event)).unwrap();
    assert!(line("certificate_is_authority").contains("basicConstraints=critical,CA:FALSE"));
    assert!(line("certificate_ends_soon").contains("cert.pem"), "{log}");
    drop(node);

    let folder = with_certificate();
    let node = Process::start_command(&mut start(folder.path(), "plain.pem", "cert.pem"));
    assert!(!node.log().contains("certificate_"), "{}", node.log());
}
