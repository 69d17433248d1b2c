//! Carries a plan out, in memory.

use jiff::Timestamp;

use super::{
    AltNames, Authority, AuthorityStep, Certificate, IssueError, LeafStep, PkiPlan,
    PreviousAuthority, Signer, StoredPki,
};

/// The certificates to store after a plan. The bundle always holds every authority that is in use.
pub fn execute(
    stored: &StoredPki,
    plan: &PkiPlan,
    cluster: &str,
    names: &AltNames,
    now: Timestamp,
) -> Result<StoredPki, IssueError> {
    let mut after = stored.clone();
    match plan.authority {
        AuthorityStep::Keep => {}
        AuthorityStep::Create => {
            after.previous = accepted(stored);
            after.authority = Some(Authority::create(cluster, now)?);
        }
        AuthorityStep::Adopt => after.previous = accepted(stored),
        AuthorityStep::Rotate => {
            after.previous = stored
                .authority
                .as_ref()
                .map(|authority| PreviousAuthority {
                    certificates: vec![authority.certificate.clone()],
                    key: Some(authority.key.clone()),
                });
            after.authority = Some(Authority::create(cluster, now)?);
        }
        AuthorityStep::DropPrevious => after.previous = None,
    }
    if let LeafStep::Issue(signer) = plan.leaf {
        let previous = after.previous.as_ref();
        let previous = previous.and_then(|previous| previous.signer(now));
        let authority = match signer {
            Signer::Newest => after.authority.clone(),
            Signer::Previous => previous.or_else(|| after.authority.clone()),
        };
        if let Some(authority) = authority {
            after.leaf = Some(authority.issue_node_leaf(names, now)?);
        }
    }
    let previous = after.previous.iter().flat_map(|it| &it.certificates);
    let newest = after.authority.iter().map(|it| &it.certificate);
    let mut bundle: Vec<Certificate> = Vec::new();
    for certificate in newest.chain(previous) {
        if !bundle.contains(certificate) {
            bundle.push(certificate.clone());
        }
    }
    after.bundle = bundle;
    Ok(after)
}

/// Whether the certificates after a plan give nodes the newest authority for the first time.
pub fn is_given_anew(before: &StoredPki, after: &StoredPki) -> bool {
    let mut newest = after.authority.iter();
    newest.any(|authority| !before.bundle.contains(&authority.certificate))
}

/// The authorities that nodes accept now, as the predecessor of another authority, with the key of a previous one that is there.
fn accepted(stored: &StoredPki) -> Option<PreviousAuthority> {
    let previous = stored.previous.as_ref();
    (!stored.bundle.is_empty()).then(|| PreviousAuthority {
        certificates: stored.bundle.clone(),
        key: previous.and_then(|previous| previous.key.clone()),
    })
}
