//! A cluster whose resource breaks a rule, as where a later release has stricter ones: its certificates are renewed all the
//! same, from what is known without the resource, so that its nodes live on.

use super::{
    connect,
    looked::{Looked, look},
};
use crate::{
    cluster::{
        apply::{self, Done},
        build::Roots,
        certificates::{self, Renewed},
        context::Context,
        converge::has_certificates,
        dereference::{self, DereferencedObjects},
        events::announce,
        layout, observe, ownership,
        reconcile::Error,
        resource::{OpenSecureConfCluster, TlsMode},
        settled::Mandate,
        validate::{self, ValidatedCluster},
    },
    names::{AUTHORITIES_ENTRY, NODE_AUTHORITIES_ENTRY},
    pki::{OPERATOR_NAME, StoredPki, bundle, covers},
};

/// Whether a cluster is this operator's.
pub(in crate::cluster) enum Ours {
    /// It is, and this was seen of it; `None` where not even its pods could be read.
    Yes(Option<Box<Looked>>),
    /// It is another operator's.
    No,
}

/// Renews what is due, and looks at the nodes.
pub(in crate::cluster) async fn renew_certificates(
    cluster: &OpenSecureConfCluster,
    context: &Context,
) -> Ours {
    let Some(known) = validate::identity(cluster, &context.installation) else {
        return Ours::Yes(None);
    };
    let (mut done, mut looked) = (Vec::new(), None);
    let renewed = Box::pin(renew(cluster, known, context, &mut done, &mut looked)).await;
    for step in &done {
        announce(cluster, step, &context.recorder).await;
    }
    let is_ours = renewed.unwrap_or_else(|error| {
        // The resource is looked at again, and its fault is what the status reports.
        let source = std::error::Error::source(&error).map(ToString::to_string);
        tracing::warn!(error = %error, source, "certificates_not_renewed");
        true
    });
    if !is_ours {
        return Ours::No;
    }
    if looked.is_none() {
        looked = Box::pin(look(cluster, context)).await;
    }
    Ours::Yes(looked.map(Box::new))
}

async fn renew(
    cluster: &OpenSecureConfCluster,
    mut known: ValidatedCluster,
    context: &Context,
    done: &mut Vec<Done>,
    looked: &mut Option<Looked>,
) -> Result<bool, Error> {
    let client = &context.client;
    let found = dereference::for_certificates(client, &known).await;
    let found = found.map_err(Error::reading)?;
    if !ownership::is_ours(cluster, &known, &found, false, context).await? {
        return Ok(false);
    }
    if layout::unsupported(&known, &found).is_some() || !has_certificates(&found) {
        return Ok(true);
    }
    let map = ShownToClients::read(&known, &found);
    known.spec.tls.alt_names = names(&certificates::stored(&found.secrets));
    known.spec.tls.mode = map.mode();
    let nodes = connect(&known, &found, context);
    let pods = observe::pods(client, &known)
        .await
        .map_err(Error::reading)?;
    let (pods, unverified) = observe::nodes(pods, nodes.as_ref(), &known).await;
    let (running, now) = (certificates::running(&pods), context.now());
    if nodes.is_some() {
        *looked = Some(Looked::of(&known, &found, pods, unverified));
    }
    let renewed =
        certificates::renew(client, &known, &found, &running, now, Mandate::Act, done).await;
    let Renewed { pki, .. } = renewed?;
    if let Some(roots) = map.with(&pki) {
        apply::apply_authorities(context, &known, &roots, &found, done).await?;
    }
    Ok(true)
}

/// The names that the leaf has, which once passed the rules.
fn names(pki: &StoredPki) -> Vec<String> {
    let names = pki.leaf.iter().flat_map(|leaf| &leaf.certificate.names);
    names
        .filter(|name| !covers(name, OPERATOR_NAME))
        .cloned()
        .collect()
}

/// The entries of ConfigMap `NAME-ca`; `None` where the cluster has no such object.
struct ShownToClients(Option<(String, Option<String>)>);

impl ShownToClients {
    fn read(cluster: &ValidatedCluster, found: &DereferencedObjects) -> Self {
        let map = found.child("ConfigMap", &cluster.name.ca());
        let live = map.and_then(|map| map.live.as_ref());
        Self(live.map(|live| {
            let entry = |name: &str| {
                let text = live.object.pointer(&format!("/data/{name}"))?;
                text.as_str().map(str::to_owned)
            };
            let nodes = entry(NODE_AUTHORITIES_ENTRY).unwrap_or_default();
            (nodes, entry(AUTHORITIES_ENTRY))
        }))
    }

    /// Whether clients are shown the certificate of nodes, as far as their authorities tell.
    fn mode(&self) -> TlsMode {
        match &self.0 {
            Some((nodes, Some(clients))) if nodes == clients => TlsMode::Auto,
            _ => TlsMode::Disabled,
        }
    }

    /// The same with the authorities that nodes have now; those of another certificate for clients stay.
    fn with(self, pki: &StoredPki) -> Option<Roots> {
        let mode = self.mode();
        let (_, clients) = self.0?;
        let nodes = bundle(&pki.bundle);
        let clients = match mode {
            TlsMode::Auto => Some(nodes.clone()),
            TlsMode::Secret | TlsMode::Issuer | TlsMode::Disabled => clients,
        };
        Some(Roots { nodes, clients })
    }
}
