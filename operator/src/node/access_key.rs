//! A key that the operator shows to nodes.

use reqwest::header::HeaderValue;

/// An API key or a cluster key. Never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct AccessKey(pub Vec<u8>);

impl AccessKey {
    /// As a header that no log shows; `None` where no header carries it.
    pub(super) fn header(&self) -> Option<HeaderValue> {
        let mut value = HeaderValue::from_bytes(&self.0).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}

impl std::fmt::Debug for AccessKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AccessKey(***)")
    }
}
