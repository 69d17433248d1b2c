//! The certificates of nodes: an authority for each cluster, the one leaf that its nodes share, and when each is renewed.
//! No I/O; the clock is an argument.

mod authority;
mod certificate;
mod entries;
mod execute;
mod names;
mod plan;
mod subject;
mod trial;

pub use authority::{Authority, IssueError, Leaf, OPERATOR_NAME, PrivateKeyPem};
pub use certificate::{Certificate, Fingerprint};
pub use entries::{StoredEntries, authority_entries, bundle, from_entries, tls_entries};
pub use execute::{execute, is_given_anew};
pub use names::{AltNames, client_names, cluster_names, covers, local_names};
pub use plan::{
    AuthorityStep, LeafStep, PkiPlan, PreviousAuthority, Signer, Situation, StoredPki, Trust,
    Waiting, plan,
};
pub use trial::{Unusable, try_out};
