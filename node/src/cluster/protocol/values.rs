//! Federated: questions of nodes about the values that others own. One question goes to one node, which never passes it on.

use serde::{Deserialize, Serialize};

use super::{WireIdentity, WireRow};
use crate::{
    cluster::{AckLevel, Change, ClusterUid, MemberName, Written},
    domain::{Category, Clock, Content, Fingerprint, Principal, Row, Seal, Version},
};

/// The path at which nodes accept each other's questions. The number is the protocol's major version.
pub const VALUES_PATH: &str = "/cluster/v1/values";

/// A question.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ValueRequest {
    /// The asking node.
    pub name: MemberName,
    /// The cluster that both belong to.
    pub cluster_uid: ClusterUid,
    /// The principal for whom it asks. Nodes of an earlier build send none, and may ask while a cluster rolls.
    #[serde(default)]
    pub principal: Principal,
    /// How long the asker waits, in milliseconds.
    pub timeout_ms: u64,
    /// The question.
    pub question: Question,
}

/// A question to the owner of values, or to a node that is to become it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Question {
    /// Give me these entries.
    Fetch(Vec<WireIdentity>),
    /// Change this entry of yours, whose user key the asker checked.
    Write(OwnersWrite),
    /// Own these values from now on: I am leaving.
    Adopt(Vec<HandedOver>),
}

/// A change of an entry that another node owns.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct OwnersWrite {
    /// Which entry.
    pub entry: WireIdentity,
    /// The version that was checked.
    pub over: Version,
    /// A reading that the client knows of.
    pub named: Option<Clock>,
    /// How many nodes must hold it before it is answered.
    pub level: AckLevel,
    /// The new value with its category; `None` deletes.
    pub put: Option<NewValue>,
}

/// A new value.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct NewValue {
    /// Its category.
    pub category: Option<Category>,
    /// Its ciphertext.
    pub token: String,
    /// The seal that binds it to the entry; only for a node that keeps seals.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seal: Option<Seal>,
}

/// The change of a value; the absence of one deletes it.
impl From<Option<NewValue>> for Change {
    fn from(put: Option<NewValue>) -> Self {
        match put {
            Some(NewValue {
                category,
                token,
                seal,
            }) => Self::Put {
                category,
                token,
                seal,
            },
            None => Self::Delete,
        }
    }
}

/// A value that changes its owner.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct HandedOver {
    /// Which entry.
    pub entry: WireIdentity,
    /// The version that its directory row has.
    pub version: Version,
    /// The ciphertext.
    pub token: String,
}

/// An answer.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ValueAnswer {
    /// The requested entries, in that order, as many as fit; `None` for an unknown one.
    Found(Vec<Option<FoundValue>>),
    /// The change stands.
    Written(Written),
    /// So many values are owned by the answerer now.
    Adopted(usize),
    /// No.
    Refused(ValueRefusal),
}

/// Why a question is refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ValueRefusal {
    /// The answerer belongs to another cluster, or to none.
    OtherCluster,
    /// The entry has another version now, or another owner.
    Changed,
    /// The answering node accepts no writes.
    NotServing(String),
    /// Its disk is full.
    DiskFull,
    /// It failed.
    Failed,
}

/// An entry as its owner has it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FoundValue {
    /// On its own: an answer has a place for each entry that was asked for, also for unknown ones.
    row: Box<WireRow>,
    /// The ciphertext, where the answerer has it.
    token: Option<String>,
}

/// The parts of an answer do not belong together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a value that its owner sent is damaged")]
pub struct DamagedValue;

impl FoundValue {
    /// A row as the store gives it: with its value, where the node holds it.
    pub fn new(row: &Row) -> Self {
        let mut row = row.clone();
        let token = match row.content.take() {
            Some(Content::Token(token)) => {
                row.content = Some(Content::Fingerprint(Fingerprint::of(&token)));
                Some(token)
            }
            other => {
                row.content = other;
                None
            }
        };
        Self {
            row: Box::new(WireRow::new(&row, row.hash())),
            token,
        }
    }

    /// The row, with its value where the answerer had that.
    ///
    /// # Errors
    /// When the row's hash or the value's fingerprint is wrong.
    pub fn into_row(self) -> Result<Row, DamagedValue> {
        let (mut row, _) = self.row.into_row().ok_or(DamagedValue)?;
        if let Some(token) = self.token {
            if !row.content.is_some_and(|content| content.is_of(&token)) {
                return Err(DamagedValue);
            }
            row.content = Some(Content::Token(token));
        }
        Ok(row)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::domain::{ConfigKey, Environment, Identity, Incarnation, Timestamp};

    fn row(content: Content) -> Row {
        Row {
            identity: Identity {
                environment: Environment::default(),
                key: ConfigKey::new("k".into()).unwrap(),
            },
            category: None,
            content: Some(content),
            created_at: Timestamp::from_micros(1),
            updated_at: Timestamp::from_micros(2),
            version: Version {
                clock: Clock::from_raw(3),
                incarnation: Incarnation::from_raw(4),
            },
            clocks: BTreeMap::new(),
            extra: None,
        }
    }

    #[test]
    fn a_value_arrives_as_it_was_sent_and_a_damaged_one_does_not_arrive() {
        let sent = row(Content::Token("gAAAA".into()));
        let text = serde_json::to_string(&FoundValue::new(&sent)).unwrap();
        let arrived: FoundValue = serde_json::from_str(&text).unwrap();
        assert_eq!(arrived.clone().into_row(), Ok(sent));
        let damaged = FoundValue {
            token: Some("gAAAB".into()),
            ..arrived
        };
        assert_eq!(damaged.into_row(), Err(DamagedValue));
    }

    #[test]
    fn a_node_that_does_not_say_for_whom_it_asks_is_answered() {
        let asked = serde_json::json!({
            "name": "n1", "cluster_uid": 7, "timeout_ms": 2000, "question": { "fetch": [] },
        });
        let asked: ValueRequest = serde_json::from_value(asked).unwrap();
        assert_eq!(asked.principal, Principal::Anonymous);
    }

    #[test]
    fn a_row_whose_value_is_elsewhere_travels_without_it() {
        let sent = row(Content::Fingerprint(Fingerprint::of("gAAAA")));
        assert_eq!(FoundValue::new(&sent).into_row(), Ok(sent));
    }
}
