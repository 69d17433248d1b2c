//! The promises, one function each.

pub(crate) mod batches;
pub(crate) mod changes;
pub(crate) mod conflicts;
pub(crate) mod health;
pub(crate) mod lists;
pub(crate) mod writes;
