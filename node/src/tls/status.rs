//! Which certificates are in force, as the status shows them.

use std::{
    fmt::Write,
    sync::{PoisonError, RwLock},
};

use rustls::pki_types::CertificateDer;
use sha2::{Digest, Sha256};

use super::certificate::{end, first_end};

/// Certificates that a process shows and accepts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InForce {
    /// SHA-256 of the certificate that it shows, over its DER, in lower-case hexadecimal.
    pub leaf: String,
    /// When that ends, in seconds since 1970.
    pub leaf_ends: i64,
    /// When the first certificate of the chain ends.
    pub chain_ends: i64,
    /// SHA-256 of each authority that it accepts; empty where it asks for no certificates.
    pub authorities: Vec<String>,
    /// When the first of these ends.
    pub authorities_end: Option<i64>,
}

impl InForce {
    pub(super) fn of(
        chain: &[CertificateDer<'_>],
        authorities: Option<&[CertificateDer<'_>]>,
    ) -> Self {
        let authorities = authorities.unwrap_or_default();
        Self {
            leaf: chain.first().map(fingerprint).unwrap_or_default(),
            leaf_ends: chain.first().and_then(end).unwrap_or_default(),
            chain_ends: first_end(chain).unwrap_or_default(),
            authorities: authorities.iter().map(fingerprint).collect(),
            authorities_end: first_end(authorities),
        }
    }
}

fn fingerprint(der: &CertificateDer<'_>) -> String {
    let digest = Sha256::digest(der);
    digest.iter().fold(String::new(), |mut text, byte| {
        // Writing into a string does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The state of the files of one certificate.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Presented {
    /// The certificate in force; `None` where none ever was.
    pub in_force: Option<InForce>,
    /// Why the files, as they are now, are not.
    pub error: Option<String>,
}

/// Whether the port for HTTPS listens.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Door {
    /// It does.
    #[default]
    Open,
    /// It waits for a certificate.
    Waiting,
    /// There is a certificate, but not the port, for this reason. It is tried again.
    Taken(String),
}

/// The certificates in a running node's status.
#[derive(Debug, Default)]
pub struct TlsStatus {
    node: RwLock<Option<Presented>>,
    clients: RwLock<Option<Presented>>,
    door: RwLock<Door>,
}

/// Which certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shown {
    /// The certificate that proves the process to be a node.
    ToNodes,
    /// That of HTTPS for clients.
    ToClients,
}

impl TlsStatus {
    /// The certificate that proves the process to be a node; `None` where it has none.
    pub fn node(&self) -> Option<Presented> {
        self.now(Shown::ToNodes)
    }

    /// The certificate that clients see; `None` where there is no HTTPS for them.
    pub fn clients(&self) -> Option<Presented> {
        self.now(Shown::ToClients)
    }

    /// Whether clients reach this node over HTTPS.
    pub fn is_open(&self) -> bool {
        let certified = self.clients().is_some_and(|it| it.in_force.is_some());
        certified && self.door() == Door::Open
    }

    /// Why clients do not reach this node over HTTPS, or why a newer certificate is not in force; `None` where all is well.
    pub fn fault_of_clients(&self) -> Option<String> {
        let of_files = self.clients().and_then(|it| it.error);
        match self.door() {
            Door::Taken(error) => Some(error),
            Door::Open | Door::Waiting => of_files,
        }
    }

    fn door(&self) -> Door {
        let door = self.door.read();
        door.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The port for HTTPS opens when there is a certificate.
    pub(crate) fn opens_late(&self) {
        self.port_of_clients(Door::Waiting);
        // Known from the start, whatever happens later.
        self.change(Shown::ToClients, |_| {});
    }

    /// The state of the port for HTTPS.
    pub(crate) fn port_of_clients(&self, door: Door) {
        *self.door.write().unwrap_or_else(PoisonError::into_inner) = door;
    }

    /// Puts these certificates in force.
    pub(crate) fn takes(&self, shown: Shown, in_force: InForce) {
        self.change(shown, |presented| {
            *presented = Presented {
                in_force: Some(in_force),
                error: None,
            };
        });
    }

    /// The files are useless; the certificate in force stays.
    pub(crate) fn refuses(&self, shown: Shown, error: String) {
        self.change(shown, |presented| presented.error = Some(error));
    }

    fn now(&self, shown: Shown) -> Option<Presented> {
        let place = self.place(shown).read();
        place.unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn change(&self, shown: Shown, change: impl FnOnce(&mut Presented)) {
        let mut place = self
            .place(shown)
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        change(place.get_or_insert_default());
    }

    fn place(&self, shown: Shown) -> &RwLock<Option<Presented>> {
        match shown {
            Shown::ToNodes => &self.node,
            Shown::ToClients => &self.clients,
        }
    }
}
