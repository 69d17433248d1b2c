//! Federated: a node that leaves hands the values that it owns over to other members, before it has left.

use std::{sync::Arc, time::Duration};

use super::PeerClient;
use crate::{
    cluster::{
        HandedOver, MemberName, MemberState, Question, ValueAnswer, ValueRequest, View,
        WireIdentity,
    },
    domain::Principal,
    replica::Replica,
    store::sqlite::HomeValue,
};

/// Values and bytes of ciphertext in one message, unless a single value has more.
const VALUES: usize = 256;
const BYTES: usize = 8 << 20;
const TIMEOUT: Duration = Duration::from_secs(30);
/// Until the new owners' rows are back, and the values so known to be theirs.
const PAUSE: Duration = Duration::from_millis(100);
/// How long to wait before a member that refused values is asked again.
const RETRY: Duration = Duration::from_secs(1);

/// Hands values over whenever the node is leaving, as long as the store lives.
pub(super) async fn hand_over(store: Replica, client: Arc<PeerClient>, name: MemberName) {
    let mut view = store.watch_view();
    let mut turn = 0_usize;
    loop {
        let leaving = view
            .wait_for(|view| view.state == MemberState::Leaving)
            .await;
        let Ok(leaving) = leaving.map(|view| Arc::clone(&view)) else {
            return;
        };
        turn = turn.wrapping_add(1);
        let pause = match store.home_values(VALUES, BYTES).await {
            Ok(values) if values.is_empty() => RETRY,
            Ok(values) => match give(&client, &name, &leaving, turn, values).await {
                Ok(adopted) if adopted > 0 => PAUSE,
                Ok(_) => RETRY,
                Err(error) => {
                    tracing::warn!(error = %error, "values_not_handed_over");
                    RETRY
                }
            },
            Err(error) => {
                tracing::error!(error = %error, "home_values_not_readable");
                RETRY
            }
        };
        tokio::time::sleep(pause).await;
    }
}

/// Gives values to the next member in turn; returns how many it adopted.
async fn give(
    client: &PeerClient,
    name: &MemberName,
    view: &View,
    turn: usize,
    values: Vec<HomeValue>,
) -> anyhow::Result<usize> {
    let receivers: Vec<_> = view
        .members
        .iter()
        .filter(|member| member.state == MemberState::Member && member.ready && member.reachable)
        .filter_map(|member| Some((&member.name, member.address.as_ref()?)))
        .collect();
    let receiver = turn
        .checked_rem(receivers.len())
        .and_then(|turn| receivers.get(turn));
    let (Some((receiver, address)), Some(cluster_uid)) = (receiver, view.cluster_uid) else {
        anyhow::bail!("no ready member can take them");
    };
    let count = values.len();
    let values = values
        .into_iter()
        .map(|HomeValue { row, token }| HandedOver {
            entry: WireIdentity::from(&row.identity),
            version: row.version,
            token,
        });
    let request = ValueRequest {
        name: name.clone(),
        cluster_uid,
        // Nodes leave by its order.
        principal: Principal::ClusterAdmin,
        timeout_ms: u64::try_from(TIMEOUT.as_millis()).unwrap_or(u64::MAX),
        question: Question::Adopt(values.collect()),
    };
    match client.ask(address, &request).await? {
        ValueAnswer::Adopted(adopted) => {
            tracing::info!(
                to = receiver.as_str(),
                adopted,
                of = count,
                "values_handed_over"
            );
            Ok(adopted)
        }
        ValueAnswer::Refused(reason) => anyhow::bail!("'{receiver}' refused: {reason:?}"),
        ValueAnswer::Found(_) | ValueAnswer::Written(_) => {
            anyhow::bail!("'{receiver}' answered another question")
        }
    }
}
