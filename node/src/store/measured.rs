//! The content that is measured before it is read, so that its memory is known beforehand.

use crate::{cluster::Seq, domain::Identity};

/// The owner of the content.
#[derive(Debug, Clone)]
pub(crate) enum Measured {
    /// The first row that changed after a sequence.
    ChangeAfter(Seq),
    /// The first row after an identity in (environment, key) order; the first of all after none.
    RowAfter(Option<Identity>),
    /// The longest of these rows.
    These(Vec<Identity>),
    /// An entry's value, or the directory's content where this node does not hold it.
    Value(Identity),
}
