//! A running node: its parts put together, its ports, its files, and its link to the cluster.
//!
//! | file | idea |
//! |---|---|
//! | `serve` | puts a node together, and stops it in good order |
//! | `listeners` | the ports, and what is served at each |
//! | `sockets` | how their addresses are taken |
//! | `certificates` | certificates that are put in force when their files change |
//! | `connections` | connections, and what happens around a request |
//! | `cluster_link` | what a node of a cluster has beside one that stands alone |
//! | `upkeep` | what a node does beside answering |
//! | `file_care` | who else may read the node's files, and when certificates end |

mod certificates;
mod cluster_link;
mod connections;
mod file_care;
mod listeners;
mod serve;
mod sockets;
mod upkeep;

pub use serve::{BoundNode, fresh_incarnation};
