//! Reports in the status that a reconcile fails again and again. A failure that the next try ends is not reported.

use kube::ResourceExt;

use super::{
    context::Context,
    ownership,
    reconcile::{Error, now, write_status},
    resource::{ClusterStatus, OpenSecureConfCluster},
    status,
};

/// With the first pauses, some seconds: an API server that restarts is back by then, or accepts no report either.
const TOLD_AFTER: u32 = 3;

/// Writes the error into the status from the third failure in a row on.
pub(super) async fn tell(
    cluster: &OpenSecureConfCluster,
    before: &ClusterStatus,
    error: &Error,
    context: &Context,
) {
    let (namespace, name) = (cluster.namespace().unwrap_or_default(), cluster.name_any());
    let failures = context.remember(&namespace, &name, |memory| {
        memory.unfinished = memory.unfinished.saturating_add(1);
        memory.unfinished
    });
    if failures < TOLD_AFTER {
        return;
    }
    let me = &context.installation.operator;
    if ownership::is_foreign(&context.client, &namespace, &name, me).await {
        return;
    }
    let after = status::failing(&words(error), cluster.metadata.generation, before, &now());
    context.show(&namespace, &name, &after);
    if let Err(error) = write_status(cluster, before, &after, context).await {
        tracing::debug!(error = %error, "failure_not_reported");
    }
}

/// The error, in words for the resource's reader.
fn words(error: &Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        text.push_str(": ");
        // As the field holds it, or as another error passes it on.
        let boxed = error.downcast_ref::<Box<kube::Error>>();
        match boxed.map_or_else(|| error.downcast_ref(), |error| Some(error.as_ref())) {
            Some(kube::Error::Api(status)) => {
                text.push_str(&status.message);
                break;
            }
            // The error quotes the text that it could not read, which may be from a Secret.
            Some(kube::Error::SerdeError(_)) => {
                text.push_str("the answer of the API server cannot be read");
                break;
            }
            _ => text.push_str(&error.to_string()),
        }
        source = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_told_with_its_causes_and_without_what_was_read() {
        let status = kube::core::Status::failure("etcdserver: request timed out", "Timeout");
        let api = Error::reading(kube::Error::Api(Box::new(status)));
        assert_eq!(words(&api), "failed to read: etcdserver: request timed out");
        let unreadable = serde_json::from_str::<u8>("\"hunter2\"").unwrap_err();
        let unreadable = Error::reading(kube::Error::SerdeError(unreadable));
        assert_eq!(
            words(&unreadable),
            "failed to read: the answer of the API server cannot be read"
        );
    }
}
