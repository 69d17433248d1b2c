//! Where clients find a cluster: never at a port that is known to be closed.

use super::{Observation, verdicts::is_https_closed};
use crate::names::{HTTP_PORT, HTTPS_PORT};

/// The address in `status.endpoint`; empty while clients have no port.
pub(super) fn endpoint(seen: &Observation<'_>) -> String {
    let tls = &seen.cluster.spec.tls;
    let (scheme, port) = if tls.serves_https() && !is_https_closed(seen) {
        ("https", HTTPS_PORT)
    } else if tls.serves_http() {
        ("http", HTTP_PORT)
    } else {
        return String::new();
    };
    let (name, namespace) = (&seen.cluster.name, &seen.cluster.namespace);
    format!("{scheme}://{name}.{namespace}.svc:{port}")
}
