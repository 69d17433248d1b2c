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
//! | `own_database` | the database of a node that keeps entries itself |
//! | `shared_database` | the database that a node shares with others, as its settings name it |
//! | `upkeep` | what a node does beside answering |
//! | `file_care` | who else may read the node's files, and when certificates end |

mod certificates;
mod cluster_link;
mod connections;
mod file_care;
mod listeners;
mod own_database;
mod serve;
mod shared_database;
mod sockets;
mod upkeep;

pub use own_database::fresh_incarnation;
pub use serve::BoundNode;
pub(crate) use shared_database::{as_told, mounted_salt, settings_of};
