//! The subject of an authority's certificate, as the issuer of what it signs: byte for byte, or verifiers do not find the authority.

use rcgen::{DistinguishedName, DnType, DnValue};
use rustls::pki_types::CertificateDer;
use x509_parser::{
    der_parser::asn1_rs::Tag,
    prelude::{FromDer, X509Certificate},
    x509::AttributeTypeAndValue,
};

/// The subject of a certificate, for an issuer; `None` where it has parts that cannot be written as they are.
pub(super) fn of(certificate: &CertificateDer<'_>) -> Option<DistinguishedName> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    let mut name = DistinguishedName::new();
    for part in parsed.subject().iter() {
        let mut attributes = part.iter();
        let attribute = attributes.next()?;
        let kind = DnType::from_oid(&attribute.attr_type().iter()?.collect::<Vec<_>>());
        // A name here has each kind of attribute once.
        if attributes.next().is_some() || name.get(&kind).is_some() {
            return None;
        }
        name.push(kind, value(attribute)?);
    }
    Some(name)
}

/// Whether the issuer of one certificate is the subject of the other.
pub(super) fn is_issuer(leaf: &CertificateDer<'_>, authority: &CertificateDer<'_>) -> bool {
    let parse = |der| Some(X509Certificate::from_der(der).ok()?.1);
    let (Some(leaf), Some(authority)) = (parse(leaf), parse(authority)) else {
        return false;
    };
    leaf.issuer().as_raw() == authority.subject().as_raw()
}

fn value(attribute: &AttributeTypeAndValue<'_>) -> Option<DnValue> {
    let text = str::from_utf8(attribute.attr_value().data).ok()?;
    Some(match attribute.attr_value().header.tag() {
        Tag::Utf8String => DnValue::Utf8String(text.to_owned()),
        Tag::PrintableString => DnValue::PrintableString(text.try_into().ok()?),
        Tag::Ia5String => DnValue::Ia5String(text.try_into().ok()?),
        Tag::T61String => DnValue::TeletexString(text.try_into().ok()?),
        _ => return None,
    })
}
