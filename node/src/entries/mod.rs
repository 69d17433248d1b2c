//! The work of a request on entries, without HTTP: finds them wherever their values are, commits over them, and answers other
//! nodes.
//!
//! | file | idea |
//! |---|---|
//! | `kind` | which of the two kinds of node this is |
//! | `store` | the store that it was started with |
//! | `session` | the principal for whom it is done |
//! | `find` | where an entry is, and whether its name is free |
//! | `commit` | commits over it, here or at the node that has its value |
//! | `home_node` | questions to that node |
//! | `for_peers` | answers to other nodes about local values |
//! | `scatter_gather` | the values of a list, from all nodes that have some |
//! | `import` | entries of another database |

mod commit;
mod error;
mod find;
mod for_peers;
mod home_node;
mod import;
mod kind;
mod scatter_gather;
mod session;
mod store;

pub(crate) use commit::{RetryBudget, WriteTerms};
pub(crate) use error::Error;
pub(crate) use find::{Found, Partial, Purpose};
pub use home_node::Federation;
pub use kind::{NodeKind, Replicating};
pub(crate) use scatter_gather::ScatterGather;
pub(crate) use session::Session;
pub use store::Store;

/// The store that nodes share, and the report of its primary.
pub(crate) use crate::store::postgres::{PostgresStore as SharedStore, Primary};

use opensecureconf_contract::status::Sharing;

use crate::{cluster::ClusterUid, domain::Principal, metrics::ClusterMetrics};

/// The entries of the cluster, as one node has them. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Entries {
    store: Store,
    /// `None` where every node has every value.
    federation: Option<Federation>,
    metrics: ClusterMetrics,
}

impl Entries {
    /// The entries that a node of this kind has, and where there is a federation those of other nodes.
    pub fn new(kind: &NodeKind, metrics: ClusterMetrics) -> Self {
        Self {
            store: Store::of(kind),
            federation: kind.replicating().and_then(|node| node.federation.clone()),
            metrics,
        }
    }

    /// The same, for the principal of a request.
    pub(crate) fn of(&self, principal: Principal) -> Session<'_> {
        Session::new(self, principal)
    }

    /// The store itself, for any principal.
    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    /// How nodes share entries.
    pub fn sharing(&self) -> Sharing {
        match (&self.store, &self.federation) {
            (Store::Shared(_), _) => Sharing::Shared,
            (Store::Replica(_), Some(_)) => Sharing::Federated,
            (Store::Replica(_), None) => Sharing::Replica,
        }
    }

    /// Whether this node belongs to the federated cluster with that uid.
    pub(crate) fn is_of(&self, cluster_uid: ClusterUid) -> bool {
        let federation = self.federation.as_ref();
        federation.is_some_and(|here| here.replica.view().cluster_uid == Some(cluster_uid))
    }
}
