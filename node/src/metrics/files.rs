//! Files that a person must look after.

use prometheus::{IntGauge, IntGaugeVec, Opts, Registry};

use super::register;

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
                    "When the first certificate of a file ends; 0 without HTTPS",
                ),
                &["file"],
            )?,
        )?;
        for file in ["certificate", "authorities"] {
            certificate_ends.with_label_values(&[file]).set(0);
        }
        Ok(Self {
            wide: register(
                registry,
                IntGauge::new(
                    "osc_wide_files",
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

    /// When the first certificate of a file ends, in seconds since 1970. `file` is `certificate` or `authorities`.
    pub fn certificate_ends(&self, file: &'static str, at: i64) {
        self.certificate_ends.with_label_values(&[file]).set(at);
    }
}
