//! The steps of a reconcile in their order, from the first read to the status. This file judges the resource and decides
//! whether to read; [`pass`] has the rest.

mod certificates;
mod looked;
mod orders;
mod pass;
mod standing;

use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;

use super::{
    Workload, apply,
    context::Context,
    dereference::{self, DereferencedObjects},
    observe,
    packed::Packed,
    reconcile::{Error, now},
    resource::{ClusterStatus, OpenSecureConfCluster},
    rollout::Accepted,
    settled::{Conclusion, Mandate, Settled},
    shared, status,
    validate::{self, ValidatedCluster},
};
pub(super) use certificates::CertificatesSeen;
pub(super) use looked::{Looked, look};
use pass::pass;
pub(super) use pass::{connect, last_reports, monitoring, salt_fingerprint};
pub(super) use standing::{Ours, renew_certificates};

/// The steps up to the status; `None` where the cluster is another operator's. Where nothing has changed since the last whole
/// read, they use its objects, as long as there is nothing to do.
pub(super) async fn steps(
    cluster: &OpenSecureConfCluster,
    before: &ClusterStatus,
    context: &Context,
) -> Result<Option<ClusterStatus>, Error> {
    let (valid, refused) = match judge(cluster, context) {
        Ok(judged) => judged,
        Err(error) => {
            let Ours::Yes(looked) = Box::pin(renew_certificates(cluster, context)).await else {
                return Ok(None);
            };
            let generation = cluster.metadata.generation;
            let glimpse = looked.as_deref().map(Looked::glimpse);
            let glimpse = glimpse.as_ref();
            let unseen = status::unseen(&error.into(), generation, before, glimpse, &now());
            return Ok(Some(unseen));
        }
    };
    let (namespace, name) = (valid.namespace.as_str(), valid.name.as_str());
    if let Workload::Deployment(database) = valid.workload() {
        let judged = Judged {
            cluster,
            valid: &valid,
            refused,
            before,
        };
        return Box::pin(shared::steps(&judged, database, context)).await;
    }
    let watched = context.watched(namespace);
    // Before the first read: a change meanwhile makes another number then.
    let fingerprint = watched
        .as_ref()
        .and_then(|watched| watched.fingerprint(&valid));
    let settled = context.remember(namespace, name, |memory| memory.settled.take());
    let settled = settled.filter(|settled| settled.stands(fingerprint, valid.generation));
    let judged = Judged {
        cluster,
        valid: &valid,
        refused,
        before,
    };
    if let (Some(settled), Some(watched)) = (settled, &watched)
        && let Some(pods) = watched.pods(&valid)
    {
        let found = DereferencedObjects {
            stateful_set: watched.stateful_set(&valid).map(Box::new),
            accepted: settled.accepted(),
            ..settled.found.clone()
        };
        let read = Read {
            found: &found,
            pods,
        };
        let look = Mandate::Look(&settled.conclusion);
        let passed = Box::pin(pass(&judged, read, look, context)).await;
        if !matches!(passed, Err(Error::Apply(apply::Error::OnlyLooked))) {
            let status = passed?.status;
            context.remember(namespace, name, |memory| memory.settled = Some(settled));
            return Ok(status);
        }
    }
    let found = Box::pin(dereference::dereference(&context.client, &valid))
        .await
        .map_err(Error::reading)?;
    let pods = observe::pods(&context.client, &valid)
        .await
        .map_err(Error::reading)?;
    // An unused turn goes to another cluster.
    let has_turn = found
        .accepted
        .as_ref()
        .is_some_and(Accepted::is_rolling_out);
    if !has_turn {
        context
            .turns
            .release(&(namespace.to_owned(), name.to_owned()));
    }
    let read = Read {
        found: &found,
        pods,
    };
    let passed = Box::pin(pass(&judged, read, Mandate::Act, context)).await?;
    if let (Some(watched), Some(fingerprint)) = (watched, fingerprint)
        && passed.was_idle
        && found.children.iter().all(|child| child.ours)
    {
        watched.note_named(&valid);
        let settled = Settled {
            fingerprint,
            generation: valid.generation,
            accepted: found.accepted.as_ref().map(Packed::new),
            found: found.without_what_is_kept_elsewhere(),
            conclusion: passed.conclusion,
        };
        context.remember(namespace, name, |memory| {
            memory.settled = Some(Arc::new(settled));
        });
    }
    Ok(passed.status)
}

/// A resource, and the verdict on it alone.
pub(super) struct Judged<'a> {
    pub(super) cluster: &'a OpenSecureConfCluster,
    pub(super) valid: &'a ValidatedCluster,
    pub(super) refused: Option<validate::Error>,
    pub(super) before: &'a ClusterStatus,
}

/// The objects on Kubernetes.
struct Read<'a> {
    found: &'a DereferencedObjects,
    pods: Vec<Pod>,
}

/// The result of the steps.
#[derive(Default)]
struct Passed {
    /// `None` where the cluster is another operator's.
    status: Option<ClusterStatus>,
    /// Whether nothing was written or ordered, nor tried in vain.
    was_idle: bool,
    conclusion: Conclusion,
}

/// The buildable form of the resource, or at least one that can be observed, and its fault.
fn judge(
    cluster: &OpenSecureConfCluster,
    context: &Context,
) -> Result<(ValidatedCluster, Option<validate::Error>), validate::Error> {
    let image = &context.node_image;
    let (valid, refused) = match validate::validate(cluster, image) {
        Ok(valid) => (valid, None),
        // Its nodes can still be found and asked, unless the fault affects even that.
        Err(error) => match validate::without_additions(cluster, image) {
            Ok(valid) => (valid, Some(error)),
            Err(_) => return Err(error),
        },
    };
    let valid = ValidatedCluster {
        installation: context.installation.clone(),
        ..valid
    };
    Ok((valid, refused))
}
