use super::*;
use crate::cluster::{
    dereference::{ApiKey, Founder},
    resource::prod,
    salt::Salt,
    validate::validate,
};

fn cluster(spec: &str) -> ValidatedCluster {
    validate(&prod(spec), "node:1").unwrap()
}

fn found(salt: SaltSecret, claims: &[&str]) -> Found {
    Found {
        founder: Founder::default(),
        salt,
        claims: claims.iter().map(|claim| (*claim).to_owned()).collect(),
        pending_claims: Vec::new(),
        api_key: None,
        cluster_key: None,
        children: Vec::new(),
        service_monitors_served: false,
    }
}

#[test]
fn a_salt_is_made_only_where_nothing_was_ever_stored() {
    let cluster = cluster("{}");
    let volumes: &[&str] = &["data-prod-0", "data-prod-1"];
    let present = SaltSecret::Present {
        fingerprint: "f".into(),
    };
    let salt = |secret: SaltSecret, claims: &[&str]| {
        let plan = plan(
            &cluster,
            &found(secret, claims),
            &Witnesses::default(),
            None,
        );
        plan.map(|plan| plan.salt)
    };
    assert_eq!(salt(SaltSecret::Missing, &[]), Ok(SaltPlan::Create));
    assert!(matches!(
        salt(SaltSecret::Missing, volumes),
        Ok(SaltPlan::Await(_))
    ));
    for claims in [&[], volumes] {
        assert_eq!(salt(present.clone(), claims), Ok(SaltPlan::Use("f".into())));
        assert_eq!(
            salt(SaltSecret::Malformed, claims).unwrap_err().reason(),
            "SaltMalformed"
        );
    }
}

#[test]
fn a_lost_salt_is_put_back_and_never_another_one() {
    let cluster = cluster("{}");
    let lost = found(SaltSecret::Missing, &["data-prod-0"]);
    let member = MemberSalt {
        node: "prod-0".to_owned(),
        incarnation: "i".to_owned(),
        salt: Salt::new([1; 64]),
    };
    let mut heard = Witnesses {
        members: vec![member.clone()],
        silent: Vec::new(),
    };
    let salt = |found: &Found, heard: &Witnesses| plan(&cluster, found, heard, None).unwrap().salt;
    assert_eq!(salt(&lost, &heard), SaltPlan::Restore(member));
    let fresh = found(SaltSecret::Missing, &[]);
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
    let lost = found(SaltSecret::Missing, &["data-prod-0", "data-prod-1"]);
    let plan = plan(&cluster("{}"), &lost, &Witnesses::default(), None).unwrap();
    let text = plan.missing_salt().unwrap().to_string();
    assert!(
        text.contains("exist (data-prod-0, data-prod-1): without"),
        "{text}"
    );
}

fn secret() -> KeySecret {
    KeySecret {
        ours: true,
        owned: false,
        key: Some(ApiKey(b"k".to_vec())),
    }
}

/// The plan, or the reason of the standstill, with these Secrets for clients and nodes.
fn keys(
    spec: &str,
    api_key: Option<KeySecret>,
    cluster_key: Option<KeySecret>,
) -> Result<(bool, bool), &'static str> {
    let found = Found {
        api_key,
        cluster_key,
        ..found(SaltSecret::Missing, &[])
    };
    plan(&cluster(spec), &found, &Witnesses::default(), None)
        .map(|plan| (plan.create_api_key, plan.create_cluster_key))
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
    let empty = || KeySecret {
        key: None,
        ..secret()
    };
    let foreign = || KeySecret {
        ours: false,
        ..secret()
    };
    let own = "{apiKey: {secretRef: {name: mine}}}";
    assert_eq!(keys("{}", Some(empty()), None), Err("KeyMissing"));
    assert_eq!(keys("{}", None, Some(empty())), Err("KeyMissing"));
    assert_eq!(keys(own, Some(empty()), None), Err("ApiKeyMissing"));
    assert_eq!(keys("{}", Some(foreign()), None), Err("NameTaken"));
    assert_eq!(keys("{}", None, Some(foreign())), Err("NameTaken"));
    // Nobody needs it: whose it is does not matter.
    let open = "{apiKey: {required: false}}";
    assert_eq!(keys(open, Some(foreign()), None), Ok((false, true)));
}

#[test]
fn keys_that_would_go_with_the_resource_cannot_serve_volumes_that_stay() {
    let owned = || KeySecret {
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
    // The other way round nothing is lost.
    assert_eq!(
        keys(delete, Some(secret()), Some(secret())),
        Ok((false, false))
    );
}
