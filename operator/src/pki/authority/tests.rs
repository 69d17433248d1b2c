//! Demands of strict verifiers on certificates. Python is one of them since 3.13: its default contexts verify by the letter of
//! RFC 5280, as OpenSSL does with `-x509_strict`.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use rcgen::DnValue;
use x509_parser::{
    oid_registry::{OID_EC_P256, OID_KEY_TYPE_EC_PUBLIC_KEY},
    prelude::{FromDer, ParsedExtension, X509Certificate},
};

use super::*;
use crate::{
    names::ClusterName,
    pki::{bundle, cluster_names, local_names},
};

fn now() -> Timestamp {
    "2026-03-01T12:00:00Z".parse().unwrap()
}

fn names() -> AltNames {
    let name = ClusterName::new("prod").unwrap();
    cluster_names(&name, "shop", "cluster.local", &[])
}

fn parsed(certificate: &Certificate) -> X509Certificate<'_> {
    let (rest, parsed) = X509Certificate::from_der(&certificate.der).unwrap();
    assert!(rest.is_empty());
    parsed
}

fn days(days: i64) -> SignedDuration {
    SignedDuration::from_hours(24 * days)
}

/// Whether an extension is marked as critical.
fn is_critical(
    certificate: &X509Certificate<'_>,
    wanted: impl Fn(&ParsedExtension<'_>) -> bool,
) -> bool {
    let found: Vec<_> = certificate
        .extensions()
        .iter()
        .filter(|extension| wanted(extension.parsed_extension()))
        .collect();
    assert_eq!(found.len(), 1, "it stands there once");
    found[0].critical
}

struct Files {
    folder: tempfile::TempDir,
}

impl Files {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { folder }
    }

    fn write(&self, name: &str, certificates: &[Certificate]) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::write(&path, bundle(certificates)).unwrap();
        path
    }
}

/// OpenSSL's error for a leaf; `None` where it accepts it.
fn refusal(leaf: &Path, authorities: &Path, more: &[&str]) -> Option<String> {
    let output = Command::new("openssl")
        .args(["verify", "-x509_strict", "-check_ss_sig", "-attime"])
        .arg(now().as_second().to_string())
        .args(more)
        .args(["-no-CAfile", "-no-CApath", "-trusted"])
        .args([authorities, leaf])
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    (!output.status.success()).then(|| String::from_utf8_lossy(&said).into_owned())
}

#[test]
fn an_authority_says_what_it_is_for_and_which_key_it_has() {
    let authority = Authority::create("shop/prod", now()).unwrap();
    let certificate = parsed(&authority.certificate);
    let constraints = certificate.basic_constraints().unwrap().unwrap();
    assert!(constraints.critical && constraints.value.ca);
    assert_eq!(constraints.value.path_len_constraint, Some(0));
    let usage = certificate.key_usage().unwrap().unwrap();
    assert!(usage.critical && usage.value.key_cert_sign() && usage.value.crl_sign());
    assert!(!usage.value.digital_signature());
    assert!(!is_critical(&certificate, |it| matches!(
        it,
        ParsedExtension::SubjectKeyIdentifier(id) if !id.0.is_empty()
    )));
    assert_eq!(certificate.subject(), certificate.issuer());
    assert!(certificate.raw_serial().len() <= 20 && certificate.serial.bits() > 64);
}

#[test]
fn leaves_say_what_they_are_for_and_which_key_signed_them() {
    let authority = Authority::create("shop/prod", now()).unwrap();
    let node = authority.issue_node_leaf(&names(), now()).unwrap();
    let local = authority.issue_node_leaf(&local_names(&[]), now()).unwrap();
    let operator = authority.issue_operator_leaf(now()).unwrap();
    for (leaf, serves) in [(node, true), (local, true), (operator, false)] {
        let certificate = parsed(&leaf.certificate);
        let constraints = certificate.basic_constraints().unwrap().unwrap();
        assert!(constraints.critical && !constraints.value.ca);
        let usage = certificate.key_usage().unwrap().unwrap();
        assert!(usage.critical && usage.value.digital_signature());
        assert!(!usage.value.key_cert_sign());
        let extended = certificate.extended_key_usage().unwrap().unwrap().value;
        assert!(extended.client_auth && !extended.any);
        assert_eq!(extended.server_auth, serves);
        assert_eq!(
            leaf.certificate.issuer_key_id.as_ref(),
            Some(&authority.certificate.key_id)
        );
        assert!(!is_critical(&certificate, |it| matches!(
            it,
            ParsedExtension::AuthorityKeyIdentifier(id) if id.key_identifier.is_some()
        )));
        assert_eq!(
            certificate.issuer(),
            parsed(&authority.certificate).subject()
        );
        assert!(!leaf.certificate.names.is_empty());
        assert!(certificate.raw_serial().len() <= 20 && certificate.serial.bits() > 64);
    }
}

#[test]
fn keys_are_of_the_curve_p256_and_certificates_last_as_long_as_they_are_said_to() {
    let authority = Authority::create("shop/prod", now()).unwrap();
    let node = authority.issue_node_leaf(&names(), now()).unwrap();
    let operator = authority.issue_operator_leaf(now()).unwrap();
    for (certificate, lasts) in [
        (&authority.certificate, days(3652)),
        (&node.certificate, days(365)),
        (&operator.certificate, days(365)),
    ] {
        let read = parsed(certificate);
        let algorithm = &read.public_key().algorithm;
        assert_eq!(algorithm.algorithm, OID_KEY_TYPE_EC_PUBLIC_KEY);
        let curve = algorithm.parameters.as_ref().unwrap();
        assert_eq!(curve.as_oid().unwrap(), OID_EC_P256);
        assert_eq!(certificate.ends, now() + lasts);
        assert_eq!(certificate.begins, now() - SignedDuration::from_hours(1));
    }
    // No leaf outlives its authority.
    let late = now() + days(3652 - 100);
    let last = authority.issue_node_leaf(&names(), late).unwrap();
    assert_eq!(last.certificate.ends, authority.certificate.ends);
}

#[test]
fn the_strictest_verifiers_accept_leaves_also_while_authorities_are_exchanged() {
    let files = Files::new();
    let old = Authority::create("shop/prod", now()).unwrap();
    let new = Authority::create("shop/prod", now() + SignedDuration::from_secs(1)).unwrap();
    let both = [new.certificate.clone(), old.certificate.clone()];
    let one = files.write("one.crt", &both[..1]);
    let both = files.write("both.crt", &both);
    for (authority, accepted) in [(&new, &[&one, &both][..]), (&old, &[&both])] {
        let leaf = authority.issue_node_leaf(&names(), now()).unwrap();
        let leaf = files.write("node.crt", &[leaf.certificate]);
        let own = authority.issue_operator_leaf(now()).unwrap();
        let own = files.write("operator.crt", &[own.certificate]);
        for authorities in accepted {
            for name in ["prod.shop.svc", "localhost", "prod-2.prod-nodes.shop.svc"] {
                let more = ["-purpose", "sslserver", "-verify_hostname", name];
                assert_eq!(refusal(&leaf, authorities, &more), None, "{name}");
            }
            for address in ["127.0.0.1", "::1"] {
                let more = ["-purpose", "sslserver", "-verify_ip", address];
                assert_eq!(refusal(&leaf, authorities, &more), None, "{address}");
            }
            for leaf in [&leaf, &own] {
                let more = ["-purpose", "sslclient"];
                assert_eq!(refusal(leaf, authorities, &more), None);
            }
            assert!(refusal(&own, authorities, &["-purpose", "sslserver"]).is_some());
        }
    }
    let elsewhere = ["-purpose", "sslserver", "-verify_hostname", "other.svc"];
    assert!(refusal(&files.folder.path().join("node.crt"), &both, &elsewhere).is_some());
}

#[test]
fn an_authority_that_another_program_made_signs_by_the_name_of_its_key() {
    // Another release, or another program, may name a key by another digest of it.
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
    let mut params = subject("OpenSecureConf node authority 1", "shop/prod");
    params.not_before = date(now() - DATED_BACK);
    params.not_after = date(after_days(now(), AUTHORITY_DAYS));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.key_identifier_method = KeyIdMethod::PreSpecified(vec![7; 20]);
    let made = params.self_signed(&key).unwrap();
    let authority = Authority::read(made.pem().as_bytes(), &key.serialize_pem()).unwrap();
    let leaf = authority.issue_node_leaf(&names(), now()).unwrap();
    assert_eq!(leaf.certificate.issuer_key_id, Some(vec![7; 20]));
    assert!(leaf.certificate.is_signed_by(&authority.certificate));
    let files = Files::new();
    let authorities = files.write("ca.crt", &[authority.certificate]);
    let leaf = files.write("tls.crt", &[leaf.certificate]);
    let more = ["-purpose", "sslserver", "-verify_hostname", "prod.shop.svc"];
    assert_eq!(refusal(&leaf, &authorities, &more), None);
}

/// An authority that a person made, with this subject.
fn own_authority(subject: &[(DnType, DnValue)]) -> Authority {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    for (kind, value) in subject {
        params.distinguished_name.push(kind.clone(), value.clone());
    }
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params.not_before = date(now() - days(1));
    params.not_after = date(now() + days(3000));
    let certificate = params.self_signed(&key).unwrap();
    Authority::read(certificate.pem().as_bytes(), &key.serialize_pem()).unwrap()
}

#[test]
fn an_authority_of_ones_own_issues_whatever_its_subject() {
    let text = |text: &str| DnValue::Utf8String(text.to_owned());
    let printable = |text: &str| DnValue::PrintableString(text.try_into().unwrap());
    for subject in [
        vec![(DnType::CommonName, text("config-nodes"))],
        vec![
            (DnType::CountryName, printable("DE")),
            (DnType::StateOrProvinceName, text("Hessen")),
            (DnType::LocalityName, text("Frankfurt am Main")),
            (DnType::OrganizationName, text("Example")),
            (DnType::OrganizationalUnitName, text("Platform")),
            (DnType::CommonName, printable("nodes")),
        ],
    ] {
        let authority = own_authority(&subject);
        let leaf = authority.issue_node_leaf(&names(), now()).unwrap();
        let issuer = parsed(&leaf.certificate).issuer().as_raw().to_vec();
        assert_eq!(issuer, parsed(&authority.certificate).subject().as_raw());
        authority.issue_operator_leaf(now()).unwrap();
    }
}
