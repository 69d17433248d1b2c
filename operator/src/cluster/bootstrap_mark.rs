//! The durable mark of which node bootstraps a cluster: an annotation of the salt Secret, or a file of a local cluster.

/// What the durable mark says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum BootstrapMark {
    /// Nothing: the salt was there before this operator, and so may be a cluster.
    #[default]
    Absent,
    /// The salt was made together with the cluster, and nobody was chosen yet.
    Nobody,
    /// This incarnation was chosen.
    Chosen(String),
}

impl BootstrapMark {
    /// The mark as it is written: empty for nobody.
    pub fn of(text: Option<&str>) -> Self {
        match text.map(str::trim) {
            None => Self::Absent,
            Some("") => Self::Nobody,
            Some(incarnation) => Self::Chosen(incarnation.to_owned()),
        }
    }

    /// What is written; `None` where nothing is.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Absent => None,
            Self::Nobody => Some(""),
            Self::Chosen(incarnation) => Some(incarnation),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_read_as_it_is_written() {
        assert_eq!(BootstrapMark::of(None), BootstrapMark::Absent);
        assert_eq!(BootstrapMark::of(Some("")), BootstrapMark::Nobody);
        let chosen = BootstrapMark::Chosen("ab".to_owned());
        assert_eq!(BootstrapMark::of(Some("ab\n")), chosen);
        for mark in [BootstrapMark::Absent, BootstrapMark::Nobody, chosen] {
            assert_eq!(BootstrapMark::of(mark.text()), mark);
        }
    }
}
