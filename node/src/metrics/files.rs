//! Files that a person must look after.

use prometheus::{IntGauge, IntGaugeVec, Opts, Registry};

use super::register;

/// A file with certificates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CertificateFile {
    /// The certificate that clients see.
    Certificate,
    /// The authorities whose certificates a port for clients accepts.
    Authorities,
    /// The certificate with which the process proves that it is a node.
    NodeCertificate,
    /// The authorities whose certificates nodes accept.
    NodeAuthorities,
}

impl CertificateFile {
    const ALL: [Self; 4] = [
        Self::Certificate,
        Self::Authorities,
        Self::NodeCertificate,
        Self::NodeAuthorities,
    ];

    fn label(self) -> &'static str {
        match self {
            Self::Certificate => "certificate",
            Self::Authorities => "authorities",
            Self::NodeCertificate => "node_certificate",
            Self::NodeAuthorities => "node_authorities",
        }
    }
}

/// Metrics of files.
#[derive(Debug, Clone)]
pub struct FileMetrics {
    wide: IntGauge,
    certificate_ends: IntGaugeVec,
}

impl FileMetrics {
    pub(super) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let certificate_ends = register(
            registry,
            IntGaugeVec::new(
                Opts::new(
                    "osc_certificate_expiry_timestamp_seconds",
                    "When the first certificate of a file ends, as it is in force; 0 where there is none",
                ),
                &["file"],
            )?,
        )?;
        for file in CertificateFile::ALL {
            certificate_ends.with_label_values(&[file.label()]).set(0);
        }
        Ok(Self {
            wide: register(
                registry,
                IntGauge::new(
                    "osc_files_with_open_permissions",
                    "Files with secrets that others than the node may read or change, as of the last look",
                )?,
            )?,
            certificate_ends,
        })
    }

    /// How many files are wide.
    pub fn wide(&self, files: usize) {
        self.wide.set(i64::try_from(files).unwrap_or(i64::MAX));
    }

    /// When the first certificate of a file ends, in seconds since 1970.
    pub fn certificate_ends(&self, file: CertificateFile, at: i64) {
        let gauge = self.certificate_ends.with_label_values(&[file.label()]);
        gauge.set(at);
    }

    #[cfg(test)]
    pub(crate) fn ends(&self, file: CertificateFile) -> i64 {
        self.certificate_ends
            .with_label_values(&[file.label()])
            .get()
    }
}
