//! Histories of many clients against several nodes on one database, while servers, nodes and connections go down. Each entry must be
//! linearizable: its operations have an order in which each one takes place between its beginning and its end.
//!
//!     make history                                # 100,000 operations
//!     make history HISTORY_OPERATIONS=1000000     # more of them
//!     make history HISTORY_SEED=random            # other faults and operations than the last time
//!
//! The checker is our own. `stateright` tries every order and forgets which ones failed, and knows no operation that never ends
//! while its client goes on; `todc-utils` needs an answer to every operation. Both would stop at some dozen operations of
//! unknown outcome.

mod checker;
mod clients;
mod cluster;
mod made;
mod model;
mod record;
mod stories;
mod wrong;
