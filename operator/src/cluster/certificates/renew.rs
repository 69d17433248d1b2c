//! Renews due certificates and writes them: the authority before its leaf. Needs only the API server, no node.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::{ByteString, api::core::v1::Secret};
use kube::{
    Api, Client,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::{Map, Value, json};

use super::{refused, shown, stored};
use crate::{
    cluster::{
        apply::{Done, Error, failed},
        dereference::DereferencedObjects,
        rules::Rule,
        secrets::{ManagedSecret, ObservedSecret, build_certificate_secret},
        settled::Mandate,
        validate::ValidatedCluster,
    },
    names::{
        ANNOTATION_AUTHORITY_GIVEN, ANNOTATION_AUTHORITY_REFUSED, ANNOTATION_AUTHORITY_ROTATION,
        ANNOTATION_AUTHORITY_SHOWN, FIELD_MANAGER,
    },
    pki::{
        AltNames, Authority, AuthorityStep, LeafStep, Situation, StoredPki, Trust, Unusable,
        Waiting, authority_entries, cluster_names, execute, is_given_anew, plan, tls_entries,
        try_out,
    },
};

/// The result of a renewal.
#[derive(Debug)]
pub(in crate::cluster) struct Renewed {
    /// The stored certificates.
    pub(in crate::cluster) pki: StoredPki,
    /// The nodes for which a renewal of the authority waits.
    pub(in crate::cluster) waiting: Option<Waiting>,
}

/// Renews due certificates. `done` gets the completed steps, even before a failure.
pub(in crate::cluster) async fn renew(
    client: &Client,
    cluster: &ValidatedCluster,
    found: &DereferencedObjects,
    running: &[Trust],
    now: Timestamp,
    mandate: Mandate<'_>,
    done: &mut Vec<Done>,
) -> Result<Renewed, Error> {
    let mut before = stored(&found.secrets);
    let names = cluster_names(
        &cluster.name,
        &cluster.namespace,
        &cluster.installation.cluster_domain,
        &cluster.spec.tls.alt_names,
    );
    let unusable = unusable(found, &before, &names, now);
    if unusable.is_some() {
        before.authority = None;
    }
    let wanted = &cluster.spec.tls.authority.rotate;
    let authority = found.secrets.get(&ManagedSecret::NodeAuthority);
    let tls = found.secrets.get(&ManagedSecret::NodeTls);
    let carried_out = authority.and_then(|secret| secret.rotation.as_ref());
    let rules = cluster.installation.rules;
    let shown_since = shown::shown(cluster, found, &before, now);
    let mut plan = plan(&Situation {
        stored: &before,
        now,
        names: &names,
        rotation_asked: wanted.is_some() && carried_out != wanted.as_ref(),
        given: tls.and_then(|secret| secret.authority_given),
        shown: if rules.hold(Rule::ClientsReadAuthorities) {
            shown_since
        } else {
            Some(Timestamp::MIN)
        },
        running: if rules.hold(Rule::NodesProveAuthorities) {
            running
        } else {
            &[]
        },
    });
    let do_answer = running.iter().all(|trust| trust.shows.is_some());
    if !do_answer && !rules.hold(Rule::LeavesAreRenewedUnasked) {
        plan.leaf = LeafStep::Keep;
    }
    let identity = format!("{}/{}", cluster.namespace, cluster.name);
    let mut after = execute(&before, &plan, &identity, &names, now)?;
    if let Some(previous) = &mut after.previous
        && !rules.hold(Rule::AuthoritiesKeepTheirKeys)
    {
        previous.key = None;
    }
    let begins = matches!(
        plan.authority,
        AuthorityStep::Create | AuthorityStep::Rotate | AuthorityStep::Adopt
    );
    let mut annotations = Annotations::new();
    if let Some(nonce) = wanted.as_ref().filter(|_| begins) {
        annotations.insert(ANNOTATION_AUTHORITY_ROTATION, Some(nonce.clone()));
    }
    let refusal = refusal(found, unusable.as_ref(), after.authority.as_ref());
    let is_told = refusal.as_ref() == refused::recorded(found);
    if !is_told {
        annotations.insert(ANNOTATION_AUTHORITY_REFUSED, refusal);
    }
    let writer = Writer {
        api: Api::namespaced(client.clone(), &cluster.namespace),
        cluster,
        found,
    };
    let is_changed = (&after.authority, &after.previous) != (&before.authority, &before.previous);
    if is_changed || !is_told {
        let which = ManagedSecret::NodeAuthority;
        mandate.may_act()?;
        let written = writer
            .write(which, authority_entries(&after), annotations)
            .await?;
        done.push(if is_changed { written } else { Done::Updated });
        if let Some(why) = unusable {
            let secret = which.name(&cluster.name);
            done.push(Done::AuthorityRefused { secret, why });
        }
    }
    write_nodes(&writer, (&before, &after), shown_since, now, mandate, done).await?;
    Ok(Renewed {
        pki: after,
        waiting: plan.waiting,
    })
}

/// Writes the certificates of nodes, and since when clients can read the newest authority.
async fn write_nodes(
    writer: &Writer<'_>,
    (before, after): (&StoredPki, &StoredPki),
    shown_since: Option<Timestamp>,
    now: Timestamp,
    mandate: Mandate<'_>,
    done: &mut Vec<Done>,
) -> Result<(), Error> {
    let is_changed = (&after.leaf, &after.bundle) != (&before.leaf, &before.bundle);
    let (is_given, recorded) = (is_given_anew(before, after), shown::recorded(writer.found));
    let record = if is_given {
        None
    } else if before.previous.is_some() {
        shown_since
    } else {
        recorded
    };
    if is_changed || record != recorded {
        let which = ManagedSecret::NodeTls;
        mandate.may_act()?;
        let mut annotations = Annotations::new();
        if is_given {
            annotations.insert(ANNOTATION_AUTHORITY_GIVEN, Some(now.to_string()));
        }
        if record != recorded {
            let record = record.map(|since| since.to_string());
            annotations.insert(ANNOTATION_AUTHORITY_SHOWN, record);
        }
        let written = writer.write(which, tls_entries(after), annotations).await?;
        done.push(if is_changed { written } else { Done::Updated });
    }
    Ok(())
}

/// Why the authority that a user has put into the Secret is of no use. One that nodes have been given was tried out before.
fn unusable(
    found: &DereferencedObjects,
    stored: &StoredPki,
    names: &AltNames,
    now: Timestamp,
) -> Option<Unusable> {
    let secret = found.secrets.get(&ManagedSecret::NodeAuthority);
    secret.filter(|secret| secret.ours)?;
    match &stored.authority {
        None => Some(Unusable::Unreadable),
        Some(authority) if stored.bundle.contains(&authority.certificate) => None,
        Some(authority) => try_out(authority, names, now).err(),
    }
}

/// The record on the Secret of the authority after this renewal.
fn refusal(
    found: &DereferencedObjects,
    unusable: Option<&Unusable>,
    newest: Option<&Authority>,
) -> Option<String> {
    if let Some((why, replacement)) = unusable.zip(newest) {
        return Some(refused::record(replacement, why));
    }
    let recorded = refused::recorded(found)?;
    refused::reason(recorded, newest).map(|_| recorded.clone())
}

/// Annotations to set, or to remove.
type Annotations = BTreeMap<&'static str, Option<String>>;

struct Writer<'a> {
    api: Api<Secret>,
    cluster: &'a ValidatedCluster,
    found: &'a DereferencedObjects,
}

impl Writer<'_> {
    /// Creates the Secret, or changes the version that was read; a conflict comes from another operator, and the next reconcile
    /// reads the result.
    async fn write(
        &self,
        which: ManagedSecret,
        entries: BTreeMap<String, String>,
        annotations: Annotations,
    ) -> Result<Done, Error> {
        let name = which.name(&self.cluster.name);
        let Some(there) = self.found.secrets.get(&which) else {
            let annotations = annotations.into_iter();
            let annotations = annotations.filter_map(|(name, text)| Some((name.to_owned(), text?)));
            let annotations = annotations.collect();
            let secret = build_certificate_secret(self.cluster, which, entries, annotations);
            let parameters = PostParams {
                field_manager: Some(FIELD_MANAGER.to_owned()),
                ..PostParams::default()
            };
            self.api
                .create(&parameters, &secret)
                .await
                .map_err(|source| failed::<Secret>("create", &name, source))?;
            let kind = "Secret".to_owned();
            return Ok(Done::Created { kind, name });
        };
        let parameters = PatchParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PatchParams::default()
        };
        self.api
            .patch(
                &name,
                &parameters,
                &Patch::Merge(change(there, entries, &annotations)),
            )
            .await
            .map_err(|source| failed::<Secret>("renew", &name, source))?;
        Ok(Done::Renewed { secret: name })
    }
}

/// Replaces all entries; fails where another writer changed the Secret meanwhile.
fn change(
    there: &ObservedSecret,
    entries: BTreeMap<String, String>,
    annotations: &Annotations,
) -> Value {
    let mut data: Map<String, Value> = there
        .entries
        .keys()
        .map(|name| (name.clone(), Value::Null))
        .collect();
    for (name, text) in entries {
        data.insert(name, json!(ByteString(text.into_bytes())));
    }
    json!({
        "metadata": { "resourceVersion": there.resource_version, "annotations": annotations },
        "data": data,
    })
}
