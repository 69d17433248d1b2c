use super::*;

/// Everything that a status may say.
const WHOLE: &str = r#"{"enabled":true,"mode":"federated","node_id":"prod-0","total_nodes":2,"healthy_nodes":1,"details":{"version":"0.1.0","incarnation":"3f1d2c5b7a904e21","state":"member","cluster_uid":"51b2c8d0e7f94a63","ready":false,"reasons":["draining"],"suspended":"it may have missed deletes","fenced":"below_purge_mark","salt_fingerprint":"6cfeeb3aa25d3f41","entries":7,"digest":{"before":"2026-01-15T10:10:45.000001Z","root":"00000000000000ff","mismatches":0},"writes":"refused: not ready","members":[{"name":"prod-1","incarnation":"0123456789abcdef","state":"leaving","reachable":true,"healthy":false,"ready":true,"lag":3,"behind":4,"clock_offset_seconds":-0.000125,"version":"0.1.0","salt_fingerprint":null,"entries":5,"digest":null}],"unknown_nodes":1,"unreachable_nodes":[{"address":"prod-2:9001","error":"connection refused"}],"schema":3,"api_keys":["00c0ffee00c0ffee"],"peer_proof":"require","tls":{"node":{"leaf":"aa","leaf_ends":"2027-01-15T10:10:45.000000Z","authorities":["bb"],"error":null},"clients":{"open":false,"leaf":null,"leaf_ends":null,"error":"no such file"}}}}"#;

fn whole() -> NodeStatus {
    NodeStatus {
        enabled: true,
        mode: Some(Sharing::Federated),
        node_id: Some("prod-0".into()),
        total_nodes: Some(2),
        healthy_nodes: Some(1),
        details: Some(NodeDetails {
            version: "0.1.0".into(),
            incarnation: "3f1d2c5b7a904e21".into(),
            state: MemberState::Member,
            cluster_uid: Some("51b2c8d0e7f94a63".into()),
            ready: false,
            reasons: vec!["draining".into()],
            suspended: Some("it may have missed deletes".into()),
            fenced: Some(FenceReason::BelowPurgeMark),
            salt_fingerprint: Some("6cfeeb3aa25d3f41".into()),
            entries: 7,
            digest: Some(RowsDigest {
                before: "2026-01-15T10:10:45.000001Z".into(),
                root: "00000000000000ff".into(),
                mismatches: 0,
            }),
            writes: Some(WRITES_NOT_READY.into()),
            database: None,
            members: vec![NodeMember {
                name: "prod-1".into(),
                incarnation: "0123456789abcdef".into(),
                state: MemberState::Leaving,
                reachable: true,
                healthy: false,
                ready: true,
                lag: 3,
                behind: 4,
                clock_offset_seconds: -0.000_125,
                version: "0.1.0".into(),
                salt_fingerprint: None,
                entries: 5,
                digest: None,
            }],
            unknown_nodes: 1,
            unreachable_nodes: vec![UnreachableNode {
                address: "prod-2:9001".into(),
                error: "connection refused".into(),
            }],
            schema: Some(3),
            api_keys: Some(vec!["00c0ffee00c0ffee".into()]),
            peer_proof: PeerProof::Require,
            tls: Some(NodeTls {
                node: Some(NodeCertificates {
                    leaf: Some("aa".into()),
                    leaf_ends: Some("2027-01-15T10:10:45.000000Z".into()),
                    authorities: Some(vec!["bb".into()]),
                    error: None,
                }),
                clients: Some(ClientCertificate {
                    open: false,
                    leaf: None,
                    leaf_ends: None,
                    error: Some("no such file".into()),
                }),
            }),
        }),
    }
}

#[test]
fn a_status_is_written_and_read_to_the_byte() {
    assert_eq!(serde_json::to_string(&whole()).unwrap(), WHOLE);
    assert_eq!(serde_json::from_str::<NodeStatus>(WHOLE).unwrap(), whole());
}

#[test]
fn outside_a_cluster_it_is_the_originals() {
    assert_eq!(
        serde_json::to_string(&NodeStatus::default()).unwrap(),
        r#"{"enabled":false,"mode":null,"node_id":null,"total_nodes":null,"healthy_nodes":null}"#
    );
}

#[test]
fn a_node_of_a_shared_database_tells_of_that() {
    let text = r#"{"uid":"0f","cluster":"prod","server":{"version":"18.1","timeline":2,"synchronous_commit":"on","synchronous_standby_names":"","standbys":1,"synchronous_standbys":null},"error":null}"#;
    let read: SharedDatabase = serde_json::from_str(text).unwrap();
    assert_eq!(read.server.as_ref().map(|server| server.timeline), Some(2));
    assert_eq!(serde_json::to_string(&read).unwrap(), text);
    let mode = serde_json::to_string(&Sharing::Shared).unwrap();
    assert_eq!(mode, format!("\"{}\"", Sharing::Shared.text()));
}

#[test]
fn certificates_that_are_not_in_force_are_null_or_absent() {
    let only_node = NodeTls {
        node: Some(NodeCertificates::default()),
        clients: None,
    };
    let text = r#"{"node":{"leaf":null,"leaf_ends":null,"authorities":null,"error":null}}"#;
    assert_eq!(serde_json::to_string(&only_node).unwrap(), text);
    assert_eq!(serde_json::from_str::<NodeTls>(text).unwrap(), only_node);
}

#[test]
fn another_release_says_more_or_less() {
    let less = r#"{"details":{"version":"0.0.9","incarnation":"a","state":"member","ready":true,"reasons":[],"entries":0,"members":[]}}"#;
    let read: NodeStatus = serde_json::from_str(less).unwrap();
    let details = read.details.unwrap();
    assert_eq!((details.fenced, details.tls), (None, None));

    let more = r#"{"details":{"version":"9.0.0","incarnation":"a","state":"observing","ready":true,"reasons":[],"fenced":"too_slow","entries":0,"members":[],"mood":"good"}}"#;
    let read: NodeStatus = serde_json::from_str(more).unwrap();
    let details = read.details.unwrap();
    assert_eq!(
        (details.state, details.fenced),
        (MemberState::Unknown, Some(FenceReason::Unknown))
    );
}

#[test]
fn what_is_no_status_is_not_read_as_one() {
    for text in ["{\"details\":{}}", "[]", "\"details\""] {
        assert!(serde_json::from_str::<NodeStatus>(text).is_err(), "{text}");
    }
}
