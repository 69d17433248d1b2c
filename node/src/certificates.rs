//! Certificates of a running node: read again when their files change, put in force together, and shown.

use std::sync::Arc;

use crate::{
    config::TlsFiles,
    metrics::{CertificateFile, FileMetrics},
    reload,
    tls::{Identity, InForce, Shown, TlsStatus},
};

/// One certificate, its private key and the authorities that go with it.
#[derive(Debug, Clone)]
pub(crate) struct Certificates {
    files: TlsFiles,
    shown: Shown,
    status: Arc<TlsStatus>,
    metrics: FileMetrics,
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
        }
    }

    /// Reads them for the first time.
    ///
    /// # Errors
    /// Where they cannot be used.
    pub(crate) fn read(&self) -> anyhow::Result<Identity> {
        let identity = Identity::read(&self.files)?;
        self.show(&identity);
        Ok(identity)
    }

    /// Puts them in force whenever they change, until the future is dropped; also once at the beginning. Where they cannot be
    /// used, what was in force stays.
    pub(crate) async fn follow(
        self,
        mut put_in_force: impl FnMut(&Identity) -> anyhow::Result<()>,
    ) {
        let files = self.files.paths();
        let mut last = None;
        reload::on_change(files, || {
            let taken = Identity::read(&self.files).and_then(|identity| {
                put_in_force(&identity)?;
                Ok(identity)
            });
            match taken {
                Ok(identity) => {
                    self.show(&identity);
                    let now = identity.in_force();
                    let changed = last.replace(now.clone()).is_some();
                    if changed {
                        self.tell(&now);
                    }
                }
                // Often one file of a pair is written before the other.
                Err(error) => {
                    let error = format!("{error:#}");
                    tracing::error!(
                        certificate = self.name(),
                        error,
                        "certificates_not_reloaded"
                    );
                    self.status.refuses(self.shown, error);
                }
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
