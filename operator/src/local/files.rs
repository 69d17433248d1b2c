//! The folder of a local cluster: its keys, its one salt, and a folder for each node.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use opensecureconf_contract::bootstrap::BootstrapMark;

use crate::{
    node::{AccessKey, NodeClient, NodeClients, http_client, settings::NodeFiles},
    pki::StoredPki,
    random,
};

const NO_RANDOM: &str = "the system gives no random bytes";

/// A folder that this process alone uses.
#[derive(Debug)]
pub(super) struct ClusterFolder {
    path: PathBuf,
    _lock: File,
}

impl ClusterFolder {
    /// Opens or makes the folder, with the salt and the keys.
    pub(super) fn open(path: &Path) -> anyhow::Result<Self> {
        let path = std::path::absolute(path)?;
        create_folder(&path)?;
        let lock = private()
            .append(true)
            .create(true)
            .open(path.join("lock"))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => bail!(
                "{} is in use by another osc-operator local; stop it, or choose another --data-dir",
                path.display()
            ),
            Err(TryLockError::Error(error)) => return Err(error.into()),
        }
        let folder = Self { path, _lock: lock };
        folder.settle_salt()?;
        for key in ["api-key", "cluster-key"] {
            let text = random::key().context(NO_RANDOM)? + "\n";
            create(&folder.path.join(key), text.as_bytes())?;
        }
        Ok(folder)
    }

    /// One salt ever: where nodes have data, a missing salt is never replaced by a new one.
    fn settle_salt(&self) -> anyhow::Result<()> {
        let file = self.path.join("salt");
        match fs::read(&file) {
            Ok(salt) if salt.len() == 64 => return Ok(()),
            Ok(salt) => bail!(
                "{} holds {} bytes, a salt has 64; put back the right file",
                file.display(),
                salt.len()
            ),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                return Err(error).with_context(|| format!("cannot read {}", file.display()));
            }
        }
        let with_data = fs::read_dir(&self.path)?
            .filter_map(Result::ok)
            .find(|entry| entry.path().join("configurations.db").exists());
        if let Some(node) = with_data {
            bail!(
                "{} is missing, but {} has data that only opens with it; restore it from a backup or from that folder's encryption.salt",
                file.display(),
                node.path().display()
            );
        }
        // Before the salt: a salt without this file existed before, and so may belong to a cluster.
        create(&self.bootstrap_file(), b"")?;
        let salt: [u8; 64] = random::bytes().context(NO_RANDOM)?;
        create(&file, &salt)
    }

    /// The record of the node that was instructed to bootstrap the cluster.
    pub(super) fn bootstrap_mark(&self) -> anyhow::Result<BootstrapMark> {
        match fs::read_to_string(self.bootstrap_file()) {
            Ok(text) => Ok(BootstrapMark::of(Some(&text))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(BootstrapMark::Absent),
            Err(error) => Err(error)
                .with_context(|| format!("cannot read {}", self.bootstrap_file().display())),
        }
    }

    /// Records the chosen node, durably. This process alone uses the folder, so no other one chooses meanwhile.
    pub(super) fn choose_bootstrap_node(&self, incarnation: &str) -> anyhow::Result<()> {
        replace(&self.bootstrap_file(), incarnation.as_bytes())
    }

    /// The file with the chosen node.
    pub(super) fn bootstrap_file(&self) -> PathBuf {
        self.path.join("bootstrap-incarnation")
    }

    /// Writes the peer list.
    pub(super) fn write_peers(&self, peers: &str) -> anyhow::Result<()> {
        replace(&self.path.join("nodes"), peers.as_bytes())
    }

    /// The whole folder.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The API key's file.
    pub(super) fn api_key(&self) -> PathBuf {
        self.path.join("api-key")
    }

    /// The client for the nodes of this folder, with its keys; over TLS where they have certificates.
    pub(super) fn node_client(&self, pki: Option<&StoredPki>) -> anyhow::Result<NodeClient> {
        let (api_key, cluster_key) = (
            read_key(&self.api_key())?,
            read_key(&self.path.join("cluster-key"))?,
        );
        let keys = (Some(api_key), Some(cluster_key));
        let over_tls = match pki {
            Some(pki) => NodeClients::default().get(("", ""), pki, jiff::Timestamp::now())?,
            None => None,
        };
        Ok(match over_tls {
            Some((client, _)) => NodeClient::over_tls(client, keys.0, keys.1),
            None => NodeClient::plain(http_client()?, keys.0, keys.1),
        })
    }

    /// The folder of one node.
    pub(super) fn node_folder(&self, node: &str) -> PathBuf {
        self.path.join(node)
    }

    /// The files that a node is given.
    pub(super) fn node_files(&self, node: &str) -> NodeFiles {
        let own = self.node_folder(node);
        NodeFiles {
            database: own.join("configurations.db"),
            salt: own.join("encryption.salt"),
            cluster_salt: self.path.join("salt"),
            api_key: Some(self.api_key()),
            cluster_key: self.path.join("cluster-key"),
            nodes: self.path.join("nodes"),
            // A change of the resource is read at the next start.
            log_level: None,
        }
    }
}

fn read_key(path: &Path) -> anyhow::Result<AccessKey> {
    let text = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(AccessKey(text.trim_ascii().to_vec()))
}

fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.mode(0o600);
    options
}

/// Makes a file that is whole or absent, whatever happens; leaves an existing one alone.
fn create(path: &Path, content: &[u8]) -> anyhow::Result<()> {
    if path.exists() {
        return Ok(());
    }
    replace(path, content)
}

/// Makes a folder for its owner only, and those above it.
pub(super) fn create_folder(path: &Path) -> anyhow::Result<()> {
    let mut made = DirBuilder::new();
    made.recursive(true).mode(0o700);
    made.create(path)
        .with_context(|| format!("cannot make {}", path.display()))
}

/// Makes a file that is whole, or leaves the earlier one, whatever happens.
pub(super) fn replace(path: &Path, content: &[u8]) -> anyhow::Result<()> {
    let temporary = path.with_extension("new");
    let written = private()
        .write(true)
        .create(true)
        .truncate(true)
        .open(&temporary)
        .and_then(|mut file| {
            file.write_all(content)?;
            file.sync_all()
        });
    written
        .and_then(|()| fs::rename(&temporary, path))
        .with_context(|| format!("cannot write {}", path.display()))?;
    if let Some(folder) = path.parent() {
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn salt_and_keys_are_made_once_and_for_the_owner_only() {
        use std::os::unix::fs::PermissionsExt;
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("prod");
        let read =
            || ["salt", "api-key", "cluster-key"].map(|name| fs::read(path.join(name)).unwrap());
        drop(ClusterFolder::open(&path).unwrap());
        let first = read();
        drop(ClusterFolder::open(&path).unwrap());
        assert_eq!(read(), first);
        assert_eq!((first[0].len(), first[1].len()), (64, 65));
        assert_ne!(first[1], first[2]);
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&path.join("salt")), 0o600);
        assert_eq!(mode(&path), 0o700, "logs and peer lists are the user's too");
    }

    #[test]
    fn a_folder_in_use_is_refused() {
        let parent = tempfile::tempdir().unwrap();
        let _first = ClusterFolder::open(parent.path()).unwrap();
        let error = ClusterFolder::open(parent.path()).unwrap_err().to_string();
        assert!(error.contains("in use by another"), "{error}");
    }

    #[test]
    fn a_salt_is_never_made_beside_data() {
        let parent = tempfile::tempdir().unwrap();
        drop(ClusterFolder::open(parent.path()).unwrap());
        fs::remove_file(parent.path().join("salt")).unwrap();
        fs::create_dir(parent.path().join("prod-0")).unwrap();
        fs::write(parent.path().join("prod-0/configurations.db"), "").unwrap();
        let error = ClusterFolder::open(parent.path()).unwrap_err().to_string();
        assert!(error.contains("only opens with it"), "{error}");
        assert!(!parent.path().join("salt").exists());
    }
}
