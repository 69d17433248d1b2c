//! The cluster's salt in the operator's hands, and from whom a lost one is taken. Pure.

use sha2::{Digest, Sha256};

use super::validate::ValidatedCluster;

/// 64 random bytes that every key of the cluster is derived with. Never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Salt([u8; 64]);

impl Salt {
    /// A salt of these bytes.
    pub fn new(bytes: [u8; 64]) -> Self {
        Self(bytes)
    }

    /// A salt that was read; `None` where it has not 64 bytes.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// The bytes, for the Secret.
    pub fn bytes(&self) -> &[u8; 64] {
        &self.0
    }

    /// What may be shown of it, as nodes show it: the first 8 bytes of its SHA-256, in hexadecimal.
    pub fn fingerprint(&self) -> String {
        let digest = Sha256::digest(self.0);
        let first = digest
            .first_chunk::<8>()
            .map_or(0, |bytes| u64::from_be_bytes(*bytes));
        format!("{first:016x}")
    }
}

impl std::fmt::Debug for Salt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Salt(***)")
    }
}

/// The salt that a node has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeSalt {
    /// The node's name.
    pub node: String,
    /// Its salt.
    pub salt: Salt,
}

/// Why a lost salt is not put back now.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unrestored {
    /// No node that answers has it.
    #[error("no node that answers has it yet, and the first one that does brings it back")]
    Nowhere,
    /// Nodes have several salts, and nothing tells which one is the cluster's.
    #[error("its nodes have different salts ({0}), so which one was lost is for you to say")]
    Disputed(String),
    /// Nodes have another one than the cluster had.
    #[error("its nodes have another salt ({found}) than the cluster had ({had})")]
    Another {
        /// Fingerprint of the lost one.
        had: String,
        /// What the nodes have.
        found: String,
    },
}

/// Chooses from what the nodes have. `had` is the fingerprint of the lost one, where the status remembers it: without it
/// all nodes that have a salt must have the same.
///
/// # Errors
/// Where none of them is surely the lost one.
pub fn restorable(offered: &[NodeSalt], had: Option<&str>) -> Result<NodeSalt, Unrestored> {
    let first = offered.first().ok_or(Unrestored::Nowhere)?;
    let named = || {
        let each = offered
            .iter()
            .map(|NodeSalt { node, salt }| format!("{node}: {}", salt.fingerprint()));
        each.collect::<Vec<_>>().join(", ")
    };
    if let Some(had) = had {
        let same = offered.iter().find(|offer| offer.salt.fingerprint() == had);
        return same.cloned().ok_or_else(|| Unrestored::Another {
            had: had.to_owned(),
            found: named(),
        });
    }
    if offered.iter().any(|offer| offer.salt != first.salt) {
        return Err(Unrestored::Disputed(named()));
    }
    Ok(first.clone())
}

/// A salt that is missing beside the volumes that need it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "Secret {secret} is missing, but volumes of this cluster exist ({claims}): without their salt no value on them can be opened; {why}. \
     From a backup: kubectl create secret generic {secret} -n {namespace} --from-file=salt=FILE (64 bytes). \
     If no copy of the salt is left anywhere, the entries are lost: then delete these claims to begin anew without them",
    claims = .claims.join(", ")
)]
pub struct SaltMissing {
    secret: String,
    namespace: String,
    claims: Vec<String>,
    why: Unrestored,
}

impl SaltMissing {
    /// Of this cluster, whose claims are named one by one: a pattern would name another cluster's too.
    pub fn new(cluster: &ValidatedCluster, claims: &[String], why: Unrestored) -> Self {
        Self {
            secret: cluster.name.salt(),
            namespace: cluster.namespace.clone(),
            claims: claims.to_vec(),
            why,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(node: &str, byte: u8) -> NodeSalt {
        NodeSalt {
            node: node.to_owned(),
            salt: Salt::new([byte; 64]),
        }
    }

    #[test]
    fn a_lost_salt_is_what_all_nodes_have_that_have_one() {
        let offered = [of("a", 1), of("b", 1)];
        assert_eq!(restorable(&offered, None), Ok(of("a", 1)));
        assert_eq!(restorable(&[], None), Err(Unrestored::Nowhere));
        let disputed = restorable(&[of("a", 1), of("b", 2)], None).unwrap_err();
        let text = disputed.to_string();
        assert!(text.contains("a: ") && text.contains("b: "), "{text}");
    }

    #[test]
    fn where_the_status_remembers_it_nothing_else_is_put_back() {
        let had = Salt::new([2; 64]).fingerprint();
        let offered = [of("a", 1), of("b", 2)];
        assert_eq!(restorable(&offered, Some(&had)), Ok(of("b", 2)));
        let another = restorable(&[of("a", 1)], Some(&had)).unwrap_err();
        assert!(another.to_string().contains(&had), "{another}");
        assert_eq!(restorable(&[], Some(&had)), Err(Unrestored::Nowhere));
    }

    #[test]
    fn a_salt_has_64_bytes_and_is_not_printed() {
        assert!(Salt::read(&[7; 63]).is_none());
        let salt = Salt::read(&[7; 64]).unwrap();
        assert_eq!(format!("{salt:?}"), "Salt(***)");
    }
}
