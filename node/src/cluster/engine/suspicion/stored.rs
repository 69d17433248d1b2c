//! Suspicions over a restart.

use super::{Stage, Suspicion};
use crate::cluster::{
    Accusation, Rule, Tables,
    engine::{Engine, Now},
};

impl Engine {
    /// Stores the accusations, where they changed. A process that had forgotten them would become a member, or take writes again,
    /// and lose them once the accusation is confirmed; or it would give snapshots in which deleted entries live on.
    pub(in crate::cluster::engine) fn keep_suspicions<T: Tables>(
        &mut self,
        tables: &mut T,
    ) -> Result<(), T::Error> {
        let open = self.suspicions.open.iter();
        let accusations = open.map(|(by, suspicion)| Accusation {
            by: *by,
            reason: suspicion.reason,
            proven: suspicion.stage == Stage::Proven,
        });
        if accusations
            .clone()
            .eq(self.membership.accusations.iter().copied())
        {
            return Ok(());
        }
        self.membership.accusations = accusations.collect();
        self.put_membership(tables)
    }

    /// Takes up the suspicions of an earlier process: the members are asked anew.
    pub(in crate::cluster::engine) fn resume_suspicions(&mut self, now: Now) {
        if !self.setup.rules.hold(Rule::SuspicionsAreKept) {
            return;
        }
        for Accusation { by, reason, proven } in &self.membership.accusations {
            let suspicion = Suspicion {
                reason: *reason,
                since: now.elapsed,
                confirmed: None,
                stage: if *proven { Stage::Proven } else { Stage::Asked },
            };
            self.suspicions.open.insert(*by, suspicion);
        }
    }
}
