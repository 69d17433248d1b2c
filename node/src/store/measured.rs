//! Which content is measured before it is read, so that what it takes is known before it is there.

use crate::{cluster::Seq, domain::Identity};

/// Whose content.
#[derive(Debug, Clone)]
pub(crate) enum Measured {
    /// The first row that changed after a sequence.
    ChangeAfter(Seq),
    /// The first row after an identity in (environment, key) order; the first of all after none.
    RowAfter(Option<Identity>),
    /// The longest of these rows.
    These(Vec<Identity>),
    /// An entry's value, where it is held here, or what stands for it.
    Value(Identity),
}
