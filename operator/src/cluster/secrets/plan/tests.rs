use std::collections::BTreeMap;

use opensecureconf_contract::{Salt, bootstrap::BootstrapMark};

use super::*;
use crate::cluster::{
    api_key::KeyRecord, dereference::OptionalKind, resource::prod, secrets::ObservedSecrets,
    validate::validate,
};

fn cluster(spec: &str) -> ValidatedCluster {
    validate(&prod(spec), "node:1").unwrap()
}

/// A Secret of the operator's own with this under this entry.
fn secret_with(entry: &str, content: &[u8]) -> ObservedSecret {
    ObservedSecret {
        ours: true,
        owned: false,
        unmanaged: false,
        layout: None,
        operator: None,
        bootstrap: BootstrapMark::Absent,
        rotation: None,
        authority_refused: None,
        authority_given: None,
        authority_shown: None,
        key_record: KeyRecord::default(),
        resource_version: None,
        prunable: None,
        entries: [(entry.to_owned(), content.to_vec())].into(),
    }
}

fn found(salt: Option<&[u8]>, claims: &[&str]) -> DereferencedObjects {
    let salt = salt.map(|salt| (ManagedSecret::Salt, secret_with("salt", salt)));
    DereferencedObjects {
        secrets: salt.into_iter().collect(),
        user_api_key: None,
        client_tls: None,
        api_key: None,
        claims: claims.iter().map(|claim| (*claim).to_owned()).collect(),
        volumes: Vec::new(),
        prunable_claims: Vec::new(),
        pending_claims: Vec::new(),
        children: Vec::new(),
        stateful_set: None,
        accepted: None,
        service_monitors: OptionalKind::Unknown,
        certificates: OptionalKind::Unknown,
        foreign_references: None,
    }
}

const MALFORMED: Option<&[u8]> = Some(b"short");

#[test]
fn a_salt_is_made_only_where_nothing_was_ever_stored() {
    let cluster = cluster("{}");
    let volumes: &[&str] = &["data-prod-0", "data-prod-1"];
    let present: Option<&[u8]> = Some(&[7; 64]);
    let fingerprint = Salt::new([7; 64]).fingerprint().to_string();
    let salt = |secret: Option<&[u8]>, claims: &[&str]| {
        let plan = plan(
            &cluster,
            &found(secret, claims),
            &SaltReports::default(),
            None,
        );
        plan.map(|plan| plan.salt)
    };
    assert_eq!(salt(None, &[]), Ok(SaltPlan::Create));
    assert!(matches!(salt(None, volumes), Ok(SaltPlan::Await(_))));
    for claims in [&[], volumes] {
        assert_eq!(
            salt(present, claims),
            Ok(SaltPlan::Use(fingerprint.clone()))
        );
        assert_eq!(
            salt(MALFORMED, claims).unwrap_err().reason(),
            "SaltMalformed"
        );
    }
}

#[test]
fn a_lost_salt_is_put_back_and_never_another_one() {
    let cluster = cluster("{}");
    let lost = found(None, &["data-prod-0"]);
    let member = MemberSalt {
        node: "prod-0".to_owned(),
        incarnation: "i".to_owned(),
        salt: Salt::new([1; 64]),
    };
    let mut heard = SaltReports {
        asleep: false,
        members: vec![member.clone()],
        silent: Vec::new(),
    };
    let salt = |found: &DereferencedObjects, heard: &SaltReports| {
        plan(&cluster, found, heard, None).unwrap().salt
    };
    assert_eq!(salt(&lost, &heard), SaltPlan::Restore(member));
    let fresh = found(None, &[]);
    assert_eq!(
        salt(&fresh, &heard),
        SaltPlan::Create,
        "nothing was ever stored"
    );
    heard.silent.push("prod-1".to_owned());
    assert!(matches!(salt(&lost, &heard), SaltPlan::Await(_)));
}

#[test]
fn the_claims_that_may_go_are_named_one_by_one() {
    let lost = found(None, &["data-prod-0", "data-prod-1"]);
    let plan = plan(&cluster("{}"), &lost, &SaltReports::default(), None).unwrap();
    let text = plan.missing_salt().unwrap().to_string();
    assert!(
        text.contains("exist (data-prod-0, data-prod-1): without"),
        "{text}"
    );
}

fn secret() -> ObservedSecret {
    ObservedSecret {
        entries: ["api-key", "cluster-key"]
            .map(|entry| (entry.to_owned(), b"k".to_vec()))
            .into(),
        ..secret_with("", b"")
    }
}

/// The plan, or the reason of the standstill, with these Secrets for clients and nodes.
fn keys(
    spec: &str,
    api_key: Option<ObservedSecret>,
    cluster_key: Option<ObservedSecret>,
) -> Result<(bool, bool), &'static str> {
    let secrets: ObservedSecrets = [
        (ManagedSecret::ApiKey, api_key.clone()),
        (ManagedSecret::ClusterKey, cluster_key),
    ]
    .into_iter()
    .filter_map(|(which, secret)| Some((which, secret?)))
    .collect();
    let found = DereferencedObjects {
        secrets,
        user_api_key: api_key,
        ..found(None, &[])
    };
    plan(&cluster(spec), &found, &SaltReports::default(), None)
        .map(|plan| {
            let makes = |which| plan.create.contains(&NewSecret::Key(which));
            (
                makes(ManagedSecret::ApiKey),
                makes(ManagedSecret::ClusterKey),
            )
        })
        .map_err(|error| error.reason())
}

#[test]
fn keys_are_made_once_and_never_where_the_user_has_his_own() {
    let (open, own) = (
        "{apiKey: {required: false}}",
        "{apiKey: {secretRef: {name: mine}}}",
    );
    assert_eq!(keys("{}", None, None), Ok((true, true)));
    assert_eq!(keys("{}", Some(secret()), None), Ok((false, true)));
    assert_eq!(keys("{}", None, Some(secret())), Ok((true, false)));
    assert_eq!(keys(open, None, None), Ok((false, true)));
    assert_eq!(keys(own, Some(secret()), None), Ok((false, true)));
    assert_eq!(keys(own, None, None), Err("ApiKeyMissing"));
}

#[test]
fn a_key_that_is_not_there_or_not_ours_stops_everything() {
    let empty = || ObservedSecret {
        entries: BTreeMap::new(),
        ..secret()
    };
    let foreign = || ObservedSecret {
        ours: false,
        ..secret()
    };
    let own = "{apiKey: {secretRef: {name: mine}}}";
    assert_eq!(keys("{}", Some(empty()), None), Err("KeyMissing"));
    assert_eq!(keys("{}", None, Some(empty())), Err("KeyMissing"));
    assert_eq!(keys(own, Some(empty()), None), Err("ApiKeyMissing"));
    assert_eq!(keys("{}", Some(foreign()), None), Err("NameTaken"));
    assert_eq!(keys("{}", None, Some(foreign())), Err("NameTaken"));
    // The key is not needed, so its owner does not matter.
    let open = "{apiKey: {required: false}}";
    assert_eq!(keys(open, Some(foreign()), None), Ok((false, true)));
}

#[test]
fn keys_that_would_go_with_the_resource_cannot_serve_volumes_that_stay() {
    let owned = || ObservedSecret {
        owned: true,
        ..secret()
    };
    let delete = "{storage: {retention: {whenDeleted: Delete}}}";
    assert_eq!(
        keys(delete, Some(owned()), Some(owned())),
        Ok((false, false))
    );
    assert_eq!(
        keys("{}", Some(owned()), Some(owned())),
        Err("RetentionChanged")
    );
    // The other way round loses nothing.
    assert_eq!(
        keys(delete, Some(secret()), Some(secret())),
        Ok((false, false))
    );
}
