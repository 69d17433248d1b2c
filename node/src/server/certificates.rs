//! Certificates of a running node: read again when their files change, put in force together, and shown.

use std::sync::Arc;

use crate::{
    config::TlsFiles,
    metrics::{CertificateFile, FileMetrics},
    os::reload::{self, Reloaded},
    tls::{Identity, InForce, Shown, TlsStatus},
};

/// One certificate, its private key and the authorities that belong to it.
#[derive(Debug, Clone)]
pub(crate) struct Certificates {
    files: TlsFiles,
    shown: Shown,
    status: Arc<TlsStatus>,
    metrics: FileMetrics,
    /// Whether other nodes judge it.
    judged: bool,
    /// The digest of what was read at the start, and is in force since.
    began: Option<[u8; 32]>,
}

impl Certificates {
    pub(crate) fn new(
        files: TlsFiles,
        shown: Shown,
        status: Arc<TlsStatus>,
        metrics: FileMetrics,
    ) -> Self {
        Self {
            files,
            shown,
            status,
            metrics,
            judged: false,
            began: None,
        }
    }

    /// For a certificate that a node shows to other nodes: a certificate that they refuse replaces none that they accept.
    pub(crate) fn judged(self) -> Self {
        Self {
            judged: true,
            ..self
        }
    }

    fn judge(&self, identity: &Identity) -> anyhow::Result<()> {
        if self.judged {
            identity.verify()?;
        }
        Ok(())
    }

    /// Reads them for the first time. The caller puts them in force.
    ///
    /// # Errors
    /// Where they cannot be used.
    pub(crate) fn read(&mut self) -> anyhow::Result<Identity> {
        let identity = Identity::read(&self.files)?;
        self.began = Some(identity.digest());
        self.show(&identity);
        Ok(identity)
    }

    /// Puts the certificates in force whenever they change, until the future is dropped, and at the beginning where they are
    /// others than [`Self::read`] found. Unusable ones change nothing.
    pub(crate) async fn follow(
        self,
        mut put_in_force: impl FnMut(&Identity) -> anyhow::Result<()>,
    ) {
        let files = self.files.paths();
        let mut last: Option<Identity> = None;
        let mut told = None;
        reload::until_settled(files, || {
            let mut fault = None;
            let taken = Identity::read(&self.files).and_then(|identity| {
                if let Err(error) = self.judge(&identity) {
                    if last.as_ref().is_some_and(|last| self.judge(last).is_ok()) {
                        return Err(error);
                    }
                    // The certificate in force is no better.
                    fault = Some(error);
                }
                let known = last.as_ref().map(Identity::in_force);
                // Connections would end for nothing.
                let as_it_began = last.is_none() && self.began == Some(identity.digest());
                if !as_it_began && (fault.is_none() || known != Some(identity.in_force())) {
                    put_in_force(&identity)?;
                }
                Ok(identity)
            });
            let in_force = taken.is_ok();
            match taken {
                Ok(identity) => {
                    self.show(&identity);
                    let (now, digest) = (identity.in_force(), identity.digest());
                    let before = last.replace(identity).map(|last| last.in_force());
                    let mended = told.is_some() && fault.is_none();
                    let as_it_began = self.began.is_none_or(|began| began == digest);
                    if before.map_or(!as_it_began, |before| before != now || mended) {
                        self.tell(&now);
                    }
                }
                // Often one file of a pair is written before the other.
                Err(error) => fault = Some(error),
            }
            let fault = fault.map(|fault| format!("{fault:#}"));
            if let Some(error) = &fault {
                self.status.refuses(self.shown, error.clone());
                let certificate = self.name();
                if told.as_ref() != Some(error) && in_force {
                    tracing::error!(certificate, error, "certificates_refused_by_nodes");
                } else if told.as_ref() != Some(error) {
                    tracing::error!(certificate, error, "certificates_not_reloaded");
                }
            }
            let settled = fault.is_none();
            told = fault;
            if settled {
                Reloaded::Settled
            } else {
                Reloaded::TryAgain
            }
        })
        .await;
    }

    fn tell(&self, now: &InForce) {
        tracing::info!(
            certificate = self.name(),
            leaf = now.leaf,
            authorities = now.authorities.len(),
            "certificates_reloaded"
        );
    }

    fn show(&self, identity: &Identity) {
        let in_force = identity.in_force();
        let (chain, authorities) = match self.shown {
            Shown::ToNodes => (
                CertificateFile::NodeCertificate,
                CertificateFile::NodeAuthorities,
            ),
            Shown::ToClients => (CertificateFile::Certificate, CertificateFile::Authorities),
        };
        self.metrics.certificate_ends(chain, in_force.chain_ends);
        if let Some(ends) = in_force.authorities_end {
            self.metrics.certificate_ends(authorities, ends);
        }
        self.status.takes(self.shown, in_force);
    }

    fn name(&self) -> &'static str {
        match self.shown {
            Shown::ToNodes => "node",
            Shown::ToClients => "clients",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path, time::Duration};

    use rcgen::generate_simple_self_signed;
    use tempfile::TempDir;
    use tokio::{sync::mpsc, time::timeout};

    use super::*;
    use crate::metrics::Metrics;

    fn write(folder: &Path) {
        let made = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        fs::write(folder.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
        fs::write(folder.join("crt.pem"), made.cert.pem()).unwrap();
    }

    #[tokio::test]
    async fn what_is_in_force_since_the_start_is_put_in_force_no_second_time() {
        let folder = TempDir::new().unwrap();
        write(folder.path());
        let files = TlsFiles {
            certificate: folder.path().join("crt.pem"),
            key: folder.path().join("key.pem"),
            key_password: None,
            client_authorities: None,
        };
        let (status, metrics) = (Arc::default(), Metrics::new().unwrap().files);
        let mut certificates = Certificates::new(files, Shown::ToClients, status, metrics);
        let began = certificates.read().unwrap().digest();
        let (taken, mut in_force) = mpsc::unbounded_channel();
        let following = tokio::spawn(certificates.follow(move |identity| {
            let _ = taken.send(identity.digest());
            Ok(())
        }));
        let early = timeout(Duration::from_millis(500), in_force.recv()).await;
        assert!(early.is_err(), "connections would end for nothing");
        write(folder.path());
        assert_ne!(in_force.recv().await.unwrap(), began);
        following.abort();
    }
}
