//! Whether clients and nodes are served with the certificates that are wanted.

use kube::ResourceExt;

use super::{Reports, Truth, Verdict, authority, reports, unverified, verdict};
use crate::{
    cluster::{
        dereference::OptionalKind,
        resource::{ClusterStatus, TlsMode},
        secrets::ManagedSecret,
        status::Observation,
    },
    node::{ClientCertificate, NodeTls},
};

/// The end of messages while port 9000 is open.
pub(super) const PLAIN_HTTP: &str = "; port 9000 is not encrypted (tls.plainHttp: Allowed)";

/// The end of `Ready` while port 9443 is wanted and closed.
pub(super) const HTTPS_CLOSED: &str =
    "; port 9443 (HTTPS) is closed, and condition TlsReady says why";

/// Whether port 9443 is wanted and closed, because of a certificate that is not the nodes' own: no node serves it, or the certificate
/// is not there where none has answered.
pub(in crate::cluster::status) fn is_https_closed(seen: &Observation<'_>) -> bool {
    if seen.cluster.client_certificate_secret().is_none() {
        return false;
    }
    let details = seen.pods.iter().filter_map(|(_, details)| details.as_ref());
    let mut reported = details
        .filter_map(|details| details.tls.as_ref())
        .peekable();
    if reported.peek().is_none() {
        return !seen.tls.client_secret_found;
    }
    reported.all(|tls| !tls.clients.as_ref().is_some_and(|clients| clients.open))
}

/// That the certificate is for no name of the Service, where that is so.
fn unnamed(seen: &Observation<'_>) -> String {
    if seen.tls.unnamed.is_empty() {
        return String::new();
    }
    format!(
        "; its certificate is for none of the Service's names ({}), so clients that call one of them refuse it",
        seen.tls.unnamed.join(", ")
    )
}

/// Condition `TlsReady`.
pub(super) fn ready(seen: &Observation<'_>, before: &ClusterStatus) -> Verdict {
    authority::with_refusal(seen, of_certificates(seen, before))
}

fn of_certificates(seen: &Observation<'_>, before: &ClusterStatus) -> Verdict {
    let overdue = seen.tls.waiting.filter(|waiting| waiting.overdue);
    // A renewal waits for such a pod, too: the cause comes first. Of a node that lacks the newest authority that is the renewal.
    if (overdue.is_none() || !authority::explains_refusals(seen))
        && let Some(unverified) = unverified::condition(seen, "TlsReady", Truth::False)
    {
        return unverified;
    }
    if let Some(waiting) = overdue {
        let (nodes, namespace) = (waiting.nodes.join(", "), &seen.cluster.namespace);
        let first = waiting.nodes.first().map_or("", String::as_str);
        let message = format!(
            "another authority waits for {nodes}, which does not show that it has the new certificates; look at its log (`kubectl logs {first} -n \
             {namespace} -c node`), or delete the pod, which reads them when it starts: `kubectl delete pod {first} -n {namespace} --wait=false`"
        );
        return verdict("TlsReady", false, "AuthorityNotDistributed", message);
    }
    if let Some(problem) = client_certificate(seen) {
        return problem;
    }
    let tls = &seen.cluster.spec.tls;
    let reported: Vec<(String, &NodeTls)> = seen
        .pods
        .iter()
        .filter_map(|(pod, details)| Some((pod.name_any(), details.as_ref()?.tls.as_ref()?)))
        .collect();
    if reported.is_empty() {
        let message = "no node has reported its certificates yet";
        return verdict("TlsReady", Truth::Unknown, "NodesUnreachable", message);
    }
    let wrong = reported.iter().find_map(|(name, tls)| {
        let error = tls.node.as_ref()?.error.as_ref()?;
        Some(format!(
            "{name} does not use the certificates of nodes that it has: {error}; {}",
            others_issued(seen)
        ))
    });
    if let Some(message) = wrong {
        return verdict("TlsReady", false, "NodeCertificateRefused", message);
    }
    if tls.mode == TlsMode::Disabled {
        let message = format!("tls.mode is Disabled: port 9443 is closed{PLAIN_HTTP}");
        return verdict("TlsReady", false, "Disabled", message);
    }
    let wrong = reported.iter().find_map(|(name, tls)| match &tls.clients {
        Some(ClientCertificate {
            open: true,
            error: None,
            ..
        }) => None,
        Some(ClientCertificate { open, error, .. }) => {
            let state = if *open {
                "still shows the one before"
            } else {
                "keeps port 9443 closed"
            };
            let error = error
                .as_deref()
                .unwrap_or("the certificate is not there yet");
            Some(format!("{name} {state}: {error}; {}", correction(seen)))
        }
        None => Some(format!(
            "{name} does not serve port 9443 yet: it does once its pod is replaced; condition Ready says what that waits for"
        )),
    });
    if let Some(message) = wrong {
        return verdict("TlsReady", false, "ClientCertificateRefused", message);
    }
    let plain = if tls.serves_http() { PLAIN_HTTP } else { "" };
    if let Some((words, secret)) = seen
        .tls
        .not_valid
        .zip(seen.cluster.client_certificate_secret())
    {
        let message = format!(
            "port 9443 is served with a certificate that clients refuse: that of Secret {secret} {words}; put a valid one there{plain}"
        );
        return verdict("TlsReady", false, "ClientCertificateNotValid", message);
    }
    let about = ("TlsReady", "certificates");
    let end = match reports(seen, before, about, |node| node.tls.is_some()) {
        Reports::Whole => String::new(),
        Reports::Standing(end) => end,
        Reports::Lacking(message) => {
            return verdict("TlsReady", Truth::Unknown, "NodesUnreachable", message);
        }
    };
    served(seen, &end, plain)
}

fn served(seen: &Observation<'_>, end: &str, plain: &str) -> Verdict {
    match seen.tls.waiting {
        Some(waiting) => {
            let to = if waiting.nodes.is_empty() {
                "clients".to_owned()
            } else {
                waiting.nodes.join(", ")
            };
            verdict(
                "TlsReady",
                true,
                "AuthorityExchanging",
                format!(
                    "port 9443 is served; another authority is being given to {to}{end}{plain}"
                ),
            )
        }
        None => verdict(
            "TlsReady",
            true,
            "CertificatesServed",
            format!("port 9443 is served{}{end}{plain}", unnamed(seen)),
        ),
    }
}

/// What mends the certificate that nodes read for clients.
fn correction(seen: &Observation<'_>) -> String {
    match seen.cluster.client_certificate_secret() {
        Some(secret) => format!("correct tls.crt and tls.key in Secret {secret}"),
        None => others_issued(seen),
    }
}

/// The command that has the nodes' certificates issued anew.
fn others_issued(seen: &Observation<'_>) -> String {
    format!(
        "if that does not pass, have others issued: `kubectl delete secret {} -n {} --wait=false`",
        ManagedSecret::NodeTls.name(&seen.cluster.name),
        seen.cluster.namespace
    )
}

/// The fault of the Secret with the clients' certificate, as far as it shows without asking a node.
fn client_certificate(seen: &Observation<'_>) -> Option<Verdict> {
    let secret = seen.cluster.client_certificate_secret()?;
    if seen.tls.client_secret_found {
        return None;
    }
    let closed = match (is_https_closed(seen), seen.cluster.spec.tls.serves_http()) {
        (false, _) => "nodes that have the certificate before go on with it",
        (true, true) => "port 9443 is closed until then",
        (true, false) => "clients have no port until then",
    };
    Some(match (seen.cluster.spec.tls.mode, seen.tls.certificates) {
        (TlsMode::Issuer, Some(OptionalKind::Forbidden(words))) => verdict(
            "TlsReady",
            false,
            "CertificateForbidden",
            format!(
                "the operator may not ask cert-manager for a certificate: {words}; grant it, or choose another tls.mode; {closed}"
            ),
        ),
        (TlsMode::Issuer, None | Some(OptionalKind::Unknown)) => verdict(
            "TlsReady",
            false,
            "CertManagerMissing",
            format!(
                "this cluster knows no Certificates; install cert-manager, or choose another tls.mode; {closed}"
            ),
        ),
        (TlsMode::Issuer, Some(OptionalKind::Served)) => verdict(
            "TlsReady",
            false,
            "CertificateMissing",
            format!(
                "cert-manager has not made Secret {secret} yet; see what it waits for: `kubectl describe certificate {} -n {}`; {closed}",
                seen.cluster.name, seen.cluster.namespace
            ),
        ),
        (TlsMode::Auto | TlsMode::Secret | TlsMode::Disabled, _) => verdict(
            "TlsReady",
            false,
            "CertificateMissing",
            format!(
                "Secret {secret} does not exist (tls.secretRef); create it: `kubectl create secret tls {secret} -n {} --cert=tls.crt \
                 --key=tls.key`; {closed}",
                seen.cluster.namespace
            ),
        ),
    })
}
