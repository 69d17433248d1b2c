//! The purpose of each rule about keys and certificates: what the operator writes with it, and what without it.

use jiff::SignedDuration;
use opensecureconf_operator::cluster::{
    context::Context,
    resource::OpenSecureConfCluster,
    rules::{Rule, Rules},
    validate::Installation,
};
use serde_json::{Value, json};

use crate::{
    api_key::{beside, key, running as running_with_keys},
    api_server::ApiServer,
    authority_exchange::reported,
    pause::{date_back, is_fresh},
    reconcile::{CORE, reconcile},
    serving::answered_with,
    standstill::stored_pki,
    volumes::{change, three_nodes},
};

const AUTHORITY: &str = "/api/v1/namespaces/team/secrets/demo-node-ca";
const NODE_TLS: &str = "/api/v1/namespaces/team/secrets/demo-node-tls";

/// The same operator with all rules, or with all but one.
fn by(context: Context, without: Option<Rule>) -> Context {
    let rules = without.map_or(Rules::ALL, Rules::without);
    context.at(Installation {
        rules,
        ..Installation::default()
    })
}

/// A cluster of three nodes that run, of which none answers.
async fn silent_nodes(without: Option<Rule>) -> (ApiServer, Context, OpenSecureConfCluster) {
    let (server, context, cluster) = three_nodes(|_| {}).await;
    for ordinal in 0..3 {
        change(&server, &format!("{CORE}/pods/demo-{ordinal}"), |pod| {
            pod["status"]["containerStatuses"] = json!([{
                "name": "node", "image": "", "imageID": "", "ready": true, "restartCount": 0, "state": { "running": {} },
            }]);
        });
    }
    (server, by(context, without), cluster)
}

fn data(server: &ApiServer, secret: &str, entry: &str) -> Value {
    server.object(secret).unwrap()["data"][entry].clone()
}

#[tokio::test]
async fn a_leaf_that_ended_long_ago_is_renewed_although_no_node_answers() {
    // A year of life, and four hundred days after that.
    let ago = SignedDuration::from_hours(24 * (365 + 400));
    for (without, is_renewed) in [(None, true), (Some(Rule::LeavesAreRenewedUnasked), false)] {
        let (server, context, mut cluster) = silent_nodes(without).await;
        date_back(&server, ago);
        let authority = server.object(AUTHORITY);

        reconcile(&server, &mut cluster, &context).await;

        assert_eq!(is_fresh(&server), is_renewed, "without {without:?}");
        assert_eq!(server.object(AUTHORITY), authority, "the same one signs");
    }
}

#[tokio::test]
async fn another_authority_signs_nothing_while_no_node_shows_that_it_accepts_it() {
    for (without, is_kept) in [(None, true), (Some(Rule::NodesProveAuthorities), false)] {
        let (server, context, mut cluster) = silent_nodes(without).await;
        let leaf = data(&server, NODE_TLS, "tls.crt");
        cluster.spec.tls.authority.rotate = Some("2027".to_owned());
        for _ in 0..3 {
            reconcile(&server, &mut cluster, &context).await;
        }
        let is_same = data(&server, NODE_TLS, "tls.crt") == leaf;
        assert_eq!(is_same, is_kept, "without {without:?}");
    }
}

#[tokio::test]
async fn another_authority_signs_nothing_before_clients_have_had_time_to_read_it() {
    for (without, is_kept) in [(None, true), (Some(Rule::ClientsReadAuthorities), false)] {
        let (server, context, mut cluster) = silent_nodes(without).await;
        let leaf = stored_pki(&server).leaf.unwrap();
        cluster.spec.tls.authority.rotate = Some("2027".to_owned());
        reconcile(&server, &mut cluster, &context).await;
        // Every node shows at once that it accepts both.
        for ordinal in 0..3 {
            change(&server, &format!("{CORE}/pods/demo-{ordinal}"), |pod| {
                pod["status"]["podIP"] = json!(format!("10.1.0.{ordinal}"));
            });
        }
        let accepted = stored_pki(&server).bundle;
        let accepted: Vec<_> = accepted.iter().collect();
        let context = answered_with(context, reported(&leaf.certificate, &accepted));
        for _ in 0..3 {
            reconcile(&server, &mut cluster, &context).await;
        }
        let is_same = stored_pki(&server).leaf.as_ref() == Some(&leaf);
        assert_eq!(is_same, is_kept, "without {without:?}");
    }
}

#[tokio::test]
async fn the_key_of_an_authority_stays_while_nodes_show_what_it_signed() {
    for (without, is_kept) in [(None, true), (Some(Rule::AuthoritiesKeepTheirKeys), false)] {
        let (server, context, mut cluster) = silent_nodes(without).await;
        let key = data(&server, AUTHORITY, "tls.key");
        cluster.spec.tls.authority.rotate = Some("2027".to_owned());
        reconcile(&server, &mut cluster, &context).await;
        assert_ne!(data(&server, AUTHORITY, "tls.key"), key);
        let is_same = data(&server, AUTHORITY, "previous.key") == key;
        assert_eq!(is_same, is_kept, "without {without:?}");
    }
}

#[tokio::test]
async fn callers_are_given_a_key_once_all_nodes_accept_it() {
    for (without, waits) in [(None, true), (Some(Rule::NodesProveKeys), false)] {
        let (server, nodes, context, mut cluster) = running_with_keys().await;
        let context = by(context, without);
        let old = key(&server);
        cluster.spec.api_key.rotate = Some("2027".to_owned());
        for _ in 0..2 {
            reconcile(&server, &mut cluster, &context).await;
        }
        // No kubelet has mounted anything yet.
        assert_eq!(key(&server) == old, waits, "without {without:?}");
        assert_eq!(nodes.accept(&key(&server)[0]), waits);
    }
}

#[tokio::test]
async fn the_key_that_callers_had_is_accepted_until_a_user_ends_it() {
    for (without, stays) in [(None, true), (Some(Rule::OldKeysStay), false)] {
        let (server, nodes, context, mut cluster) = running_with_keys().await;
        let context = by(context, without);
        let old = key(&server);
        cluster.spec.api_key.rotate = Some("2027".to_owned());
        reconcile(&server, &mut cluster, &context).await;
        nodes.mount_all();
        reconcile(&server, &mut cluster, &context).await;
        assert_ne!(key(&server), old);
        nodes.mount_all();
        assert_eq!(beside(&server).contains(&old[0]), stays);
        assert_eq!(nodes.accept(&old[0]), stays, "without {without:?}");
    }
}
