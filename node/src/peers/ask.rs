//! Questions to other nodes about the values that they have.

use std::time::Duration;

use super::PeerClient;
use crate::cluster::{Address, VALUES_PATH, ValueAnswer, ValueRequest};

impl PeerClient {
    /// Asks a node and waits for its answer.
    pub async fn ask(&self, to: &Address, request: &ValueRequest) -> anyhow::Result<ValueAnswer> {
        let timeout = Duration::from_millis(request.timeout_ms);
        let answer = self.post(to.as_str(), VALUES_PATH, request, timeout).await;
        answer.map_err(|error| anyhow::anyhow!(error.chain()))
    }
}
