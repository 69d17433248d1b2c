//! Carries a change of the key out, one write at a time.

use jiff::Timestamp;
use k8s_openapi::{ByteString, api::core::v1::Secret};
use kube::{
    Api, Client,
    api::{Patch, PatchParams},
};
use serde_json::{Map, Value, json};

use super::{
    AcceptedKeys, KeyPhase, KeyRotation,
    accepted::proof,
    plan::{Situation, Step, plan},
    stored::StoredKeys,
};
use crate::{
    cluster::{
        apply::{Done, Error, failed},
        dereference::DereferencedObjects,
        rules::Rule,
        secrets::{ManagedSecret, ObservedSecret},
        settled::Mandate,
        validate::ValidatedCluster,
    },
    names::{
        ANNOTATION_API_KEY_PHASE, ANNOTATION_API_KEY_ROTATION, ANNOTATION_API_KEY_SINCE,
        API_KEY_ENTRY, FIELD_MANAGER, previous_entry,
    },
    random,
};

/// A cluster, its objects as they were read, and the proofs of its nodes.
#[derive(Clone, Copy)]
pub(in crate::cluster) struct Rotation<'a> {
    pub(in crate::cluster) cluster: &'a ValidatedCluster,
    pub(in crate::cluster) found: &'a DereferencedObjects,
    pub(in crate::cluster) running: &'a [AcceptedKeys],
    pub(in crate::cluster) now: Timestamp,
}

/// The status of a change of the key; nothing is written.
pub(in crate::cluster) fn look(rotation: Rotation<'_>) -> Option<KeyRotation> {
    decide(rotation)?.told
}

/// Takes the next step of a change of the key, and reports it. `done` gets the completed step.
pub(in crate::cluster) async fn rotate(
    client: &Client,
    rotation: Rotation<'_>,
    mandate: Mandate<'_>,
    done: &mut Vec<Done>,
) -> Result<Option<KeyRotation>, Error> {
    let Some(decided) = decide(rotation) else {
        return Ok(None);
    };
    let Decided {
        secret,
        keys,
        step,
        told,
    } = decided;
    if step == Step::Keep {
        return Ok(told);
    }
    mandate.may_act()?;
    let change = change(rotation, &keys, &step)?;
    let name = ManagedSecret::ApiKey.name(&rotation.cluster.name);
    let api: Api<Secret> = Api::namespaced(client.clone(), &rotation.cluster.namespace);
    let parameters = PatchParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PatchParams::default()
    };
    let patch = Patch::Merge(change.patch(secret));
    // A conflict comes from another operator, or a person: the next reconcile reads the result.
    let written = api.patch(&name, &parameters, &patch).await;
    written.map_err(|source| failed::<Secret>("change the key in", &name, source))?;
    done.push(Done::KeyChanged {
        secret: name,
        phase: change.phase,
    });
    Ok(told)
}

struct Decided<'a> {
    secret: &'a ObservedSecret,
    keys: StoredKeys,
    step: Step,
    told: Option<KeyRotation>,
}

/// `None` where the operator manages no key.
fn decide(rotation: Rotation<'_>) -> Option<Decided<'_>> {
    let Rotation {
        cluster,
        found,
        running,
        now,
    } = rotation;
    let which = ManagedSecret::ApiKey;
    let secret = found.secrets.get(&which).filter(|secret| secret.ours)?;
    let keys = StoredKeys::read(secret);
    if !which.is_wanted(cluster) || keys.current.is_empty() {
        return None;
    }
    let cluster_key = found.cluster_key();
    let (step, told) = plan(&Situation {
        asked: cluster.spec.api_key.rotate.as_deref(),
        is_paused: cluster.spec.paused,
        record: &secret.key_record,
        keys: &keys,
        running,
        proof: &|key| proof(cluster_key.as_ref()?, key),
        now,
    });
    Some(Decided {
        secret,
        keys,
        step,
        told,
    })
}

/// The change to write into the Secret.
struct Change {
    phase: KeyPhase,
    annotations: Map<String, Value>,
    data: Map<String, Value>,
}

fn change(rotation: Rotation<'_>, keys: &StoredKeys, step: &Step) -> Result<Change, Error> {
    let (mut annotations, mut data) = (Map::new(), Map::new());
    let mut put = |entry: String, key: Vec<u8>| data.insert(entry, json!(ByteString(key)));
    let phase = match step {
        Step::Begin => {
            let new = random::key().map_err(Error::Random)?;
            put(previous_entry(API_KEY_ENTRY), keys.beside_with(&new));
            let nonce = &rotation.cluster.spec.api_key.rotate;
            annotations.insert(ANNOTATION_API_KEY_ROTATION.to_owned(), json!(nonce));
            KeyPhase::Distributing
        }
        // The other entry stays: it holds both keys, so a node that reads the two files at two moments lacks neither.
        Step::Exchange(new) => {
            put(API_KEY_ENTRY.to_owned(), new.clone());
            if !rotation.cluster.installation.rules.hold(Rule::OldKeysStay) {
                data.insert(previous_entry(API_KEY_ENTRY), Value::Null);
            }
            KeyPhase::Exchanged
        }
        Step::Note(phase) => *phase,
        Step::Keep => KeyPhase::default(),
    };
    let since = phase.text().map(|_| rotation.now.to_string());
    annotations.insert(ANNOTATION_API_KEY_PHASE.to_owned(), json!(phase.text()));
    annotations.insert(ANNOTATION_API_KEY_SINCE.to_owned(), json!(since));
    Ok(Change {
        phase,
        annotations,
        data,
    })
}

impl Change {
    /// A patch that fails where another writer changed the Secret meanwhile.
    fn patch(&self, there: &ObservedSecret) -> Value {
        json!({
            "metadata": { "resourceVersion": there.resource_version, "annotations": self.annotations },
            "data": self.data,
        })
    }
}
