//! The database of a node that keeps entries itself: a file, the salt beside it, and the engine that writes both.

use std::time::Duration;

use anyhow::anyhow;

use super::{cluster_link::ClusterLink, listeners::StartIdentities};
use crate::{
    budget::MessagePools,
    cluster::{MemberName, Mode, ProcessEpoch, Rules, Setup},
    config::{Config, UsageError},
    crypto::{Iterations, Salt},
    domain::Incarnation,
    entries::{NodeKind, Replicating},
    metrics::StoreMetrics,
    os::random,
    replica::{Replica, ReplicaSettings, WallClock},
    store::{
        SaltPlaces, settle_salt,
        sqlite::{OpenError, OpenedDatabase},
    },
};

/// A usable store, and the parts that opened with it.
pub(super) struct OpenedStore {
    pub(super) kind: NodeKind,
    /// `None` where a clustered node has none yet.
    pub(super) salt: Option<Salt>,
    /// `None` where there are no other nodes to speak to.
    pub(super) cluster: Option<ClusterLink>,
}

/// The parts of a link to other nodes, beside the settings.
pub(super) struct LinkParts {
    pub(super) iterations: Iterations,
    pub(super) identities: StartIdentities,
    pub(super) room: MessagePools,
}

/// Opens the database in the node's file, and starts the engine over it.
pub(super) fn open_store(
    config: &Config,
    process_epoch: ProcessEpoch,
    clock: WallClock,
    metrics: StoreMetrics,
    link: LinkParts,
) -> anyhow::Result<OpenedStore> {
    let database = OpenedDatabase::open(&config.database_path, fresh_incarnation()?)?;
    let places = SaltPlaces {
        mounted: config.salt_secret_file.as_deref(),
        file: &config.salt_file_path,
    };
    let fresh =
        Salt::from_bytes(&random::<64>()?).ok_or_else(|| anyhow!("64 random bytes are no salt"))?;
    let salt = settle_salt(&database, places, config.salt_policy, || fresh)?;
    let (outbox, outputs) = tokio::sync::mpsc::unbounded_channel();
    let settings = ReplicaSettings {
        clock,
        caches: config.caches,
        min_free_bytes: config.min_free_bytes,
        metrics,
        engine: engine_setup(config, process_epoch, salt.clone())?,
        outbox,
    };
    let replica = Replica::start(database, settings).map_err(|error| match error {
        OpenError::OtherMode(mode) => UsageError(vec![mode.to_string()]).into(),
        error => anyhow::Error::from(error),
    })?;
    let LinkParts {
        iterations,
        identities,
        room,
    } = link;
    let cluster = ClusterLink::new(
        config,
        process_epoch,
        room,
        outputs,
        iterations,
        identities,
        &replica,
    )?;
    Ok(OpenedStore {
        kind: NodeKind::Replicating(Box::new(Replicating {
            federation: cluster.as_ref().and_then(ClusterLink::federation),
            peer_faults: cluster.as_ref().map(ClusterLink::faults),
            clustered: config.cluster.is_some(),
            write_ack: config.write_ack,
            replica,
        })),
        salt,
        cluster,
    })
}

/// The settings that the engine needs.
fn engine_setup(
    config: &Config,
    process_epoch: ProcessEpoch,
    salt: Option<Salt>,
) -> anyhow::Result<Setup> {
    let cluster = config.cluster.as_ref();
    Ok(Setup {
        clustered: cluster.is_some(),
        name: MemberName::new(config.node_id.clone()),
        process_epoch,
        cluster: cluster
            .and_then(|cluster| cluster.id.clone())
            .unwrap_or_default(),
        mode: cluster.map_or(Mode::Replica, |cluster| cluster.mode),
        release: env!("CARGO_PKG_VERSION").to_owned(),
        salt,
        may_make_salt: cluster.is_some_and(|cluster| cluster.may_make_salt),
        grace: Setup::GRACE,
        sync_interval: cluster.map_or(Duration::ZERO, |cluster| cluster.sync_interval),
        rules: Rules::ALL,
        entropy: random()?,
    })
}

/// The identity of a database that is made now.
pub fn fresh_incarnation() -> anyhow::Result<Incarnation> {
    Ok(Incarnation::from_random(u64::from_le_bytes(random()?)))
}
