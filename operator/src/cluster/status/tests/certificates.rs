//! Certificates of nodes and for clients.

use super::*;

/// (status, reason, message) of `TlsReady` with this `spec.tls`, and with a node that reports this.
fn tls_ready(spec: &str, tls: Tls<'_>, report: impl Fn(&mut NodeTls)) -> (String, String, String) {
    let cluster = validate(&prod(&format!("{{replicas: 1, tls: {spec}}}")), "node:1").unwrap();
    let mut details = answer("aa", 1);
    report(details.as_mut().unwrap().tls.as_mut().unwrap());
    let (stateful_set, pods) = (stateful_set(1, 1), [(pod(0, true), details)]);
    let seen = Observation {
        tls,
        ..seen(&cluster, &stateful_set, &pods)
    };
    let status = observed(&seen, &ClusterStatus::default(), &time(1));
    let mut conditions = status.conditions.into_iter();
    let ready = conditions
        .find(|condition| condition.type_ == "TlsReady")
        .unwrap();
    (ready.status, ready.reason, ready.message)
}

#[test]
fn tls_is_ready_once_every_node_that_answers_serves_it() {
    let (status, reason, message) = tls_ready("{}", Tls::default(), |_| {});
    assert_eq!(
        (status.as_str(), reason.as_str()),
        ("True", "CertificatesServed")
    );
    assert!(message.contains("port 9000 is not encrypted"), "{message}");
    let (_, _, message) = tls_ready("{plainHttp: Forbidden}", Tls::default(), |_| {});
    assert!(!message.contains("not encrypted"), "{message}");
    let (status, reason, _) = tls_ready("{mode: Disabled}", Tls::default(), |_| {});
    assert_eq!((status.as_str(), reason.as_str()), ("False", "Disabled"));
}

#[test]
fn what_keeps_certificates_from_being_served_is_told() {
    let own = "{mode: Secret, secretRef: {name: mine}}";
    let issued = "{mode: Issuer, issuerRef: {name: ours}}";
    let served = Tls {
        certificates: Some(&OptionalKind::Served),
        ..Tls::default()
    };
    let found = Tls {
        client_secret_found: true,
        ..Tls::default()
    };
    let closed = |tls: &mut NodeTls| {
        tls.clients = Some(ClientCertificate {
            open: false,
            error: Some("the key is another certificate's".into()),
            ..ClientCertificate::default()
        });
    };
    let refused = |tls: &mut NodeTls| {
        tls.node = Some(NodeCertificates {
            error: Some("tls.crt ends within it".into()),
            ..NodeCertificates::default()
        });
    };
    let overdue = Waiting {
        nodes: vec!["prod-1".into()],
        overdue: true,
    };
    let waiting = Tls {
        waiting: Some(&overdue),
        ..Tls::default()
    };
    for (outcome, reason, word) in [
        (
            tls_ready(own, Tls::default(), closed),
            "CertificateMissing",
            "Secret mine",
        ),
        (
            tls_ready(issued, Tls::default(), closed),
            "CertManagerMissing",
            "install cert-manager",
        ),
        (
            tls_ready(issued, served, closed),
            "CertificateMissing",
            "prod-client-tls",
        ),
        (
            tls_ready(own, found, closed),
            "ClientCertificateRefused",
            "another certificate's",
        ),
        (
            tls_ready("{}", Tls::default(), refused),
            "NodeCertificateRefused",
            "ends within it",
        ),
        (
            tls_ready("{}", waiting, |_| {}),
            "AuthorityNotDistributed",
            "prod-1",
        ),
    ] {
        assert_eq!((outcome.0.as_str(), outcome.1.as_str()), ("False", reason));
        assert!(outcome.2.contains(word), "{}", outcome.2);
    }
}

/// The status of a cluster with this `spec.tls`, whose node serves HTTPS or not; `None` where the node does not answer.
fn with_https(tls_spec: &str, tls: Tls<'_>, open: Option<bool>) -> ClusterStatus {
    let mut cluster = prod(&format!("{{replicas: 1, tls: {tls_spec}}}"));
    cluster.metadata.namespace = Some("shop".to_owned());
    let cluster = validate(&cluster, "node:1").unwrap();
    let details = open.and_then(|open| {
        let mut details = answer("aa", 1);
        let tls = details.as_mut()?.tls.as_mut()?;
        tls.clients = Some(ClientCertificate {
            open,
            ..ClientCertificate::default()
        });
        details
    });
    let (set, pods) = (stateful_set(1, 1), [(pod(0, true), details)]);
    let seen = Observation {
        tls,
        ..seen(&cluster, &set, &pods)
    };
    observed(&seen, &ClusterStatus::default(), &time(1))
}

#[test]
fn the_endpoint_promises_no_https_while_its_certificate_keeps_it_closed() {
    let own = "{mode: Secret, secretRef: {name: mine}}";
    let issued = "{mode: Issuer, issuerRef: {name: ours}}";
    let alone = "{mode: Secret, secretRef: {name: mine}, plainHttp: Forbidden}";
    let found = Tls {
        client_secret_found: true,
        ..Tls::default()
    };
    let (https, http) = ("https://prod.shop.svc:9443", "http://prod.shop.svc:9000");
    for (spec, tls, open, wanted) in [
        (own, Tls::default(), None, http),
        (own, found, None, https),
        (own, found, Some(false), http),
        (own, found, Some(true), https),
        // The nodes go on with the certificate that they have.
        (own, Tls::default(), Some(true), https),
        (issued, Tls::default(), Some(false), http),
        (alone, Tls::default(), Some(false), ""),
        ("{}", Tls::default(), None, https),
    ] {
        let status = with_https(spec, tls, open);
        assert_eq!(status.endpoint, wanted, "{spec} {open:?}");
        let mut conditions = status.conditions.iter();
        let ready = conditions
            .find(|condition| condition.type_ == "Ready")
            .unwrap();
        let told = ready.message.contains("port 9443 (HTTPS) is closed");
        assert_eq!(told, ready.status == "True" && wanted != https, "{ready:?}");
        let mut conditions = status.conditions.iter();
        let tls_ready = conditions
            .find(|condition| condition.type_ == "TlsReady")
            .unwrap();
        let told = tls_ready.message.contains(" until then");
        let is_missing = spec != "{}" && !tls.client_secret_found;
        assert_eq!(told, is_missing && wanted != https, "{tls_ready:?}");
    }
}

#[test]
fn a_certificate_for_none_of_the_services_names_is_told_of() {
    let unnamed = ["prod".to_owned(), "prod.shop.svc".to_owned()];
    let tls = Tls {
        client_secret_found: true,
        unnamed: &unnamed,
        ..Tls::default()
    };
    let own = "{mode: Secret, secretRef: {name: mine}}";
    let (status, _, message) = tls_ready(own, tls, |_| {});
    assert_eq!(status, "True");
    assert!(
        message.contains("none of the Service's names (prod, prod.shop.svc)"),
        "{message}"
    );
}

#[test]
fn a_certificate_that_clients_refuse_for_its_time_is_told_of() {
    let tls = Tls {
        client_secret_found: true,
        not_valid: Some("has ended on 2026-01-01T00:00:00Z"),
        ..Tls::default()
    };
    let own = "{mode: Secret, secretRef: {name: mine}}";
    let (status, reason, message) = tls_ready(own, tls, |_| {});
    assert_eq!(
        (status.as_str(), reason.as_str()),
        ("False", "ClientCertificateNotValid")
    );
    assert!(
        message.contains("Secret mine has ended on 2026-01-01T00:00:00Z; put a valid one there"),
        "{message}"
    );
}

#[test]
fn a_refused_authority_is_told_whatever_else_holds_and_after_what_keeps_clients_apart() {
    let refused = Tls {
        authority_refused: Some("it has ended on 2026-01-01T00:00:00Z"),
        ..Tls::default()
    };
    let own = "{mode: Secret, secretRef: {name: mine}}";
    let exchanging = Waiting {
        nodes: vec!["prod-0".into()],
        overdue: false,
    };
    let on_its_way = Tls {
        waiting: Some(&exchanging),
        ..refused
    };
    let overdue = Waiting {
        overdue: true,
        ..exchanging.clone()
    };
    let overdue = Tls {
        waiting: Some(&overdue),
        ..refused
    };
    let refusing = [("prod-0".to_owned(), Unverified::EndsHandshake)];
    let refusing = Tls {
        unverified: &refusing,
        ..on_its_way
    };
    let open = |_: &mut NodeTls| {};
    for (spec, tls, reason, beside) in [
        ("{}", refused, "AuthorityRefused", "port 9443 is served"),
        (
            "{mode: Disabled}",
            refused,
            "AuthorityRefused",
            "tls.mode is Disabled",
        ),
        (
            "{}",
            on_its_way,
            "AuthorityRefused",
            "is being given to prod-0",
        ),
        // The node does not accept the authority in the place of the refused one yet.
        ("{}", refusing, "AuthorityRefused", "ends the handshake"),
        (own, refused, "CertificateMissing", "Secret mine"),
        ("{}", overdue, "AuthorityNotDistributed", "delete the pod"),
    ] {
        let (status, told, message) = tls_ready(spec, tls, open);
        assert_eq!((status.as_str(), told.as_str()), ("False", reason));
        for words in ["it has ended on 2026", "kubectl annotate secret", beside] {
            assert!(message.contains(words), "{reason}: {message}");
        }
    }
}

#[test]
fn a_node_that_lacks_the_newest_authority_is_told_apart_from_a_stranger() {
    let waiting = |nodes: &[&str], overdue| Waiting {
        nodes: nodes.iter().map(|node| (*node).to_owned()).collect(),
        overdue,
    };
    let found = |found: &[(&str, &Unverified)]| -> Vec<_> {
        let found = found.iter();
        found
            .map(|(pod, why)| ((*pod).to_owned(), (*why).clone()))
            .collect()
    };
    let (refuses, strange) = (Unverified::EndsHandshake, Unverified::OtherAuthority);
    for (unverified, waiting, reason) in [
        (
            found(&[("prod-0", &refuses)]),
            waiting(&["prod-0"], true),
            "AuthorityNotDistributed",
        ),
        (
            found(&[("prod-0", &refuses)]),
            waiting(&["prod-0"], false),
            "NodeNotVerified",
        ),
        // It has the newest authority, and refuses the operator all the same.
        (
            found(&[("prod-0", &refuses)]),
            waiting(&["prod-1"], true),
            "NodeNotVerified",
        ),
        (
            found(&[("prod-0", &refuses), ("prod-1", &strange)]),
            waiting(&["prod-0", "prod-1"], true),
            "NodeNotVerified",
        ),
        (
            found(&[]),
            waiting(&["prod-0"], true),
            "AuthorityNotDistributed",
        ),
    ] {
        let tls = Tls {
            waiting: Some(&waiting),
            unverified: &unverified,
            ..Tls::default()
        };
        let (_, told, message) = tls_ready("{}", tls, |_| {});
        assert_eq!(told, reason, "{unverified:?} {waiting:?}: {message}");
    }
}
