//! A running node: its parts put together, its ports, its files, and its link to the cluster.
//!
//! | file | idea |
//! |---|---|
//! | `serve` | puts a node together, and stops it gracefully |
//! | `listeners` | the ports, and the service at each |
//! | `sockets` | how their addresses are bound |
//! | `certificates` | certificates that are put in force when their files change |
//! | `connections` | connections, and the work around a request |
//! | `cluster_link` | the extra parts of a node in a cluster |
//! | `own_database` | the database of a node that stores entries itself |
//! | `shared_database` | the database that a node shares with others, as its settings name it |
//! | `upkeep` | the work of a node beside answering |
//! | `file_care` | whether others may read the node's files, and when certificates end |

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
