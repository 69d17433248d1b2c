//! Volumes: made for claims, made larger for them, and gone with them.

use serde_json::{Value, json};

use super::names::{CLAIMS, ordinal, pod};
use crate::stage::Stage;

impl Stage {
    /// One round of the volume drivers and of the claim protection.
    pub(crate) fn look_after_claims(&mut self) {
        let before = self.store.state();
        if !self.store.settled_claims.stands(before) {
            self.reconcile_claims();
            let after = self.store.state();
            self.store.settled_claims.note(before, after);
        }
    }

    fn reconcile_claims(&mut self) {
        let claims: Vec<_> = self
            .store
            .list(CLAIMS)
            .map(|(path, claim)| (path.clone(), claim.clone()))
            .collect();
        for (path, claim) in claims {
            let number = ordinal(&path).unwrap();
            let is_used = self.store.get(&pod(number)).is_some();
            if claim["metadata"].get("deletionTimestamp").is_some() {
                if !is_used {
                    self.store.remove(&path);
                }
                continue;
            }
            let asked = &claim["spec"]["resources"]["requests"]["storage"];
            let is_bound = claim["status"]["phase"] == "Bound";
            let grows = is_bound && claim["status"]["capacity"]["storage"] != *asked && is_used;
            if !is_bound && is_used || grows {
                self.store.change(&path, |claim| {
                    claim["status"] = json!({ "phase": "Bound", "capacity": { "storage": asked } });
                });
            }
        }
        self.drop_volumes();
    }

    /// A volume whose claim is gone is gone.
    fn drop_volumes(&mut self) {
        let claims = self.store.list(CLAIMS);
        let there: Vec<_> = claims.map(|(_, claim)| uid(claim)).collect();
        let gone: Vec<_> = self
            .volumes
            .iter()
            .filter(|(_, uid)| !there.contains(uid))
            .map(|(number, _)| *number)
            .collect();
        for number in gone {
            self.check_volume_that_goes(number);
            self.volumes.remove(&number);
        }
    }
}

pub(super) fn uid(object: &Value) -> String {
    object["metadata"]["uid"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}
