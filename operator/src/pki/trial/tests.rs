//! Authorities as people make them, with OpenSSL or otherwise.

use jiff::SignedDuration;
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DistinguishedName, DnType,
    GeneralSubtree, IsCa, KeyPair, KeyUsagePurpose, NameConstraints, PKCS_ECDSA_P384_SHA384,
    PKCS_RSA_SHA256, SignatureAlgorithm,
};
use time::OffsetDateTime;

use super::*;
use crate::{names::ClusterName, pki::cluster_names};

fn now() -> Timestamp {
    "2026-03-01T12:00:00Z".parse().unwrap()
}

fn names() -> AltNames {
    let name = ClusterName::new("prod").unwrap();
    cluster_names(&name, "shop", "cluster.local", &[])
}

/// An authority that a person made, with this change.
fn own(change: impl FnOnce(&mut CertificateParams)) -> Authority {
    own_with(&rcgen::PKCS_ECDSA_P256_SHA256, change)
}

fn own_with(
    algorithm: &'static SignatureAlgorithm,
    change: impl FnOnce(&mut CertificateParams),
) -> Authority {
    let key = KeyPair::generate_for(algorithm).unwrap();
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::CommonName, "config-nodes");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params.not_before = date(now() - DAY);
    params.not_after = date(now() + DAY * 3000);
    change(&mut params);
    let certificate = params.self_signed(&key).unwrap();
    Authority::read(certificate.pem().as_bytes(), &key.serialize_pem()).unwrap()
}

const DAY: SignedDuration = SignedDuration::from_hours(24);

fn date(time: Timestamp) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(time.as_second()).unwrap()
}

fn refusal(authority: &Authority) -> Option<Unusable> {
    try_out(authority, &names(), now()).err()
}

#[test]
fn what_openssl_makes_is_of_use_whatever_its_key() {
    assert_eq!(refusal(&own(|_| {})), None);
    assert_eq!(refusal(&own(|params| params.key_usages = Vec::new())), None);
    assert_eq!(refusal(&own_with(&PKCS_ECDSA_P384_SHA384, |_| {})), None);
    assert_eq!(refusal(&own_with(&PKCS_RSA_SHA256, |_| {})), None);
    let made = Authority::create("shop/prod", now()).unwrap();
    assert_eq!(refusal(&made), None);
}

#[test]
fn one_that_some_clients_would_refuse_is_refused_first() {
    let leaf = own(|params| params.is_ca = IsCa::ExplicitNoCa);
    assert_eq!(refusal(&leaf), Some(Unusable::NoAuthority));
    let without = own(|params| params.is_ca = IsCa::NoCa);
    assert_eq!(refusal(&without), Some(Unusable::NoAuthority));
    let other = own(|params| params.key_usages = vec![KeyUsagePurpose::CrlSign]);
    assert_eq!(refusal(&other), Some(Unusable::NotForSigning));
    let early = own(|params| params.not_before = date(now() + DAY));
    assert_eq!(refusal(&early), Some(Unusable::NotBegun(now() + DAY)));
    let late = own(|params| params.not_after = date(now() - SignedDuration::from_hours(1)));
    assert!(matches!(refusal(&late), Some(Unusable::Ended(_))));
}

#[test]
fn one_whose_subject_cannot_be_repeated_is_refused_before_it_signs() {
    // As DC=corp,DC=example: a kind of attribute that stands there twice.
    let twice = own(|params| {
        let name = &mut params.distinguished_name;
        name.push(DnType::OrganizationName, "one");
        name.push(DnType::CustomDnType(vec![2, 5, 4, 10]), "two");
    });
    assert_eq!(refusal(&twice), Some(Unusable::Subject));
}

#[test]
fn one_that_may_not_sign_for_the_names_of_nodes_is_refused() {
    let narrow = own(|params| {
        params.name_constraints = Some(NameConstraints {
            permitted_subtrees: vec![GeneralSubtree::DnsName("example.org".to_owned())],
            excluded_subtrees: Vec::new(),
        });
    });
    assert!(matches!(refusal(&narrow), Some(Unusable::Refused(_))));
}

#[test]
fn an_authority_whose_certificate_names_no_key_signs_leaves_that_are_known_as_its_own() {
    let unnamed = own(|params| {
        // What the library writes for an authority has such a name always.
        params.is_ca = IsCa::NoCa;
        let is_authority = vec![0x30, 0x03, 0x01, 0x01, 0xff];
        let constraints = CustomExtension::from_oid_content(&[2, 5, 29, 19], is_authority);
        params.custom_extensions.push(constraints);
    });
    let (_, parsed) = X509Certificate::from_der(&unnamed.certificate.der).unwrap();
    assert!(parsed.basic_constraints().unwrap().unwrap().value.ca);
    assert_eq!(parsed.extensions().len(), 2, "key usage is the other one");
    let leaf = unnamed.issue_node_leaf(&names(), now()).unwrap();
    assert!(leaf.certificate.is_signed_by(&unnamed.certificate));
    assert!(!leaf.certificate.is_signed_by(&own(|_| {}).certificate));
    assert_eq!(refusal(&unnamed), None);
}
