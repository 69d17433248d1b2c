//! The actions on the cluster, in their order.

use opensecureconf_e2e::Stage;

use crate::{faults, planned, settings::Settings};

/// One action on the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    Drain,
    KillPod,
    KillMachine,
    KillOperator,
    FreezeLeader,
    FillDisks,
    Grow,
    Hibernate,
    RenewCertificates,
    Downgrade,
    Upgrade,
}

impl Action {
    pub(crate) const ALL: [Self; 11] = [
        Self::Drain,
        Self::KillPod,
        Self::KillMachine,
        Self::KillOperator,
        Self::FreezeLeader,
        Self::FillDisks,
        Self::Grow,
        Self::Hibernate,
        Self::RenewCertificates,
        Self::Downgrade,
        Self::Upgrade,
    ];

    /// Its name in the table.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Drain => "worker drained",
            Self::KillPod => "pod killed",
            Self::KillMachine => "worker killed",
            Self::KillOperator => "operator killed",
            Self::FreezeLeader => "leader frozen with its worker",
            Self::FillDisks => "disks full",
            Self::Grow => "volumes grown",
            Self::Hibernate => "hibernated",
            Self::RenewCertificates => "certificates renewed",
            Self::Downgrade => "nodes downgraded",
            Self::Upgrade => "nodes upgraded",
        }
    }

    /// Carries the action out, and waits until all nodes serve again. Gives its observations.
    pub(crate) async fn carry_out(
        self,
        stage: &Stage,
        settings: &Settings,
    ) -> anyhow::Result<String> {
        match self {
            Self::Drain => faults::drain(stage).await,
            Self::KillPod => faults::kill_pod(stage).await,
            Self::KillMachine => faults::kill_machine(stage).await,
            Self::KillOperator => faults::kill_operator(stage).await,
            Self::FreezeLeader => Box::pin(faults::freeze_leader(stage)).await,
            Self::FillDisks if settings.volumes_have_sizes => faults::fill_disks(stage).await,
            Self::FillDisks => Ok("left out: volumes of this cluster have no sizes".to_owned()),
            Self::Grow => planned::grow(stage).await,
            Self::Hibernate => planned::hibernate(stage).await,
            Self::RenewCertificates => planned::renew_certificates(stage).await,
            Self::Downgrade => planned::downgrade(stage, settings).await,
            Self::Upgrade => planned::upgrade(stage, settings).await,
        }
    }
}
