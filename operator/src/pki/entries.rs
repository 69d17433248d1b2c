//! Authority and leaf as they are stored: entries of two Secrets, or files of two folders.

use std::collections::BTreeMap;

use super::{Authority, Certificate, Leaf, PreviousAuthority, PrivateKeyPem, StoredPki};
use crate::names::{
    AUTHORITIES_ENTRY, CERTIFICATE_ENTRY, PREVIOUS_CERTIFICATE_ENTRY, PREVIOUS_PRIVATE_KEY_ENTRY,
    PRIVATE_KEY_ENTRY,
};

/// The entries that were read, by name.
pub type StoredEntries = BTreeMap<String, Vec<u8>>;

/// The stored certificates. An unreadable one counts as lost: the operator makes another.
pub fn from_entries(authority: Option<&StoredEntries>, tls: Option<&StoredEntries>) -> StoredPki {
    let text = |entries: &StoredEntries, name: &str| {
        let text = std::str::from_utf8(entries.get(name)?).ok()?;
        Some(text.to_owned())
    };
    let previous = authority.and_then(|entries| {
        let certificates = Certificate::read_all(entries.get(PREVIOUS_CERTIFICATE_ENTRY)?);
        (!certificates.is_empty()).then(|| PreviousAuthority {
            certificates,
            key: text(entries, PREVIOUS_PRIVATE_KEY_ENTRY).map(PrivateKeyPem::new),
        })
    });
    StoredPki {
        authority: authority.and_then(|entries| {
            let key = text(entries, PRIVATE_KEY_ENTRY)?;
            Authority::read(entries.get(CERTIFICATE_ENTRY)?, &key)
        }),
        previous,
        leaf: tls.and_then(|entries| {
            let key = text(entries, PRIVATE_KEY_ENTRY)?;
            Leaf::read(entries.get(CERTIFICATE_ENTRY)?, &key)
        }),
        bundle: tls
            .and_then(|entries| entries.get(AUTHORITIES_ENTRY))
            .map(|pem| Certificate::read_all(pem))
            .unwrap_or_default(),
    }
}

/// The stored entries of the authority.
pub fn authority_entries(pki: &StoredPki) -> BTreeMap<String, String> {
    let mut entries = BTreeMap::new();
    if let Some(authority) = &pki.authority {
        entries.insert(CERTIFICATE_ENTRY, authority.certificate.pem());
        entries.insert(PRIVATE_KEY_ENTRY, authority.key.pem().to_owned());
    }
    if let Some(previous) = &pki.previous {
        entries.insert(PREVIOUS_CERTIFICATE_ENTRY, bundle(&previous.certificates));
        if let Some(key) = &previous.key {
            entries.insert(PREVIOUS_PRIVATE_KEY_ENTRY, key.pem().to_owned());
        }
    }
    named(entries)
}

/// The stored entries of the nodes.
pub fn tls_entries(pki: &StoredPki) -> BTreeMap<String, String> {
    let mut entries = BTreeMap::new();
    if let Some(leaf) = &pki.leaf {
        entries.insert(CERTIFICATE_ENTRY, leaf.certificate.pem());
        entries.insert(PRIVATE_KEY_ENTRY, leaf.key.pem().to_owned());
    }
    entries.insert(AUTHORITIES_ENTRY, bundle(&pki.bundle));
    named(entries)
}

fn named(entries: BTreeMap<&str, String>) -> BTreeMap<String, String> {
    entries
        .into_iter()
        .map(|(name, text)| (name.to_owned(), text))
        .collect()
}

/// Certificates in one PEM text.
pub fn bundle(certificates: &[Certificate]) -> String {
    certificates.iter().map(Certificate::pem).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pki::{AuthorityStep, LeafStep, PkiPlan, Signer, execute, local_names};

    fn bytes(entries: BTreeMap<String, String>) -> StoredEntries {
        let entries = entries.into_iter();
        entries
            .map(|(name, text)| (name, text.into_bytes()))
            .collect()
    }

    #[test]
    fn what_is_written_is_read_again_at_each_step_of_a_renewal() {
        let now = "2026-03-01T12:00:00Z".parse().unwrap();
        let mut pki = StoredPki::default();
        for (authority, leaf) in [
            (AuthorityStep::Create, LeafStep::Issue(Signer::Newest)),
            (AuthorityStep::Rotate, LeafStep::Keep),
            (AuthorityStep::Keep, LeafStep::Issue(Signer::Newest)),
            (AuthorityStep::DropPrevious, LeafStep::Keep),
        ] {
            let plan = PkiPlan {
                authority,
                leaf,
                waiting: None,
            };
            pki = execute(&pki, &plan, "shop/prod", &local_names(&[]), now).unwrap();
            let (authority, tls) = (bytes(authority_entries(&pki)), bytes(tls_entries(&pki)));
            assert_eq!(from_entries(Some(&authority), Some(&tls)), pki);
        }
    }

    #[test]
    fn what_cannot_be_read_counts_as_lost() {
        assert_eq!(from_entries(None, None), StoredPki::default());
        let nonsense = [CERTIFICATE_ENTRY, PRIVATE_KEY_ENTRY, AUTHORITIES_ENTRY]
            .map(|name| (name.to_owned(), b"none".to_vec()))
            .into();
        let read = from_entries(Some(&nonsense), Some(&nonsense));
        assert_eq!(read, StoredPki::default());
    }
}
