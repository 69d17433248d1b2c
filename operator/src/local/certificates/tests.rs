//! Certificates over years: the clock moves with the timers.

use std::{
    cell::{Cell, RefCell},
    os::unix::fs::PermissionsExt,
};

use jiff::SignedDuration;
use rcgen::{CertificateParams, IsCa, KeyPair};

use super::*;
use crate::{
    cluster::{resource::prod, validate::validate},
    pki::{Authority, Certificate},
};

#[test]
fn certificates_are_made_once_kept_and_made_anew_when_that_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let certificates = Certificates::new(folder.path());
    let start = |spec: &str| {
        let cluster = validate(&prod(spec), "").unwrap();
        certificates.renew_before_start(&cluster).unwrap()
    };
    let first = start("{}");
    assert_eq!(start("{}"), first);
    assert_eq!(first.bundle.len(), 1);
    let rotated = start("{tls: {authority: {rotate: a}}}");
    assert_ne!(rotated.authority, first.authority);
    assert_eq!(
        rotated.bundle.len(),
        1,
        "no node runs that knows the old one only"
    );
    assert_eq!(start("{tls: {authority: {rotate: a}}}"), rotated);
    let named = start("{tls: {altNames: [config.test], authority: {rotate: a}}}");
    assert_eq!(named.authority, rotated.authority);
    let leaf = named.leaf.unwrap();
    assert!(leaf.certificate.names.contains("config.test"));
    let key = folder.path().join("node-ca/tls.key");
    assert_eq!(
        fs::metadata(key).unwrap().permissions().mode() & 0o777,
        0o600
    );
}

/// Puts an authority of the user's own in the place of the stored one, as a person copies two files.
fn put_own(folder: &Path, own: Authority) {
    let own = authority_entries(&StoredPki {
        authority: Some(own),
        ..StoredPki::default()
    });
    for (name, text) in own {
        fs::write(folder.join("node-ca").join(name), text).unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn one_start_brings_an_own_authority_into_force_whatever_was_there_before() {
    // Of these years: one that has ended, one that is renewed at once, one that stays.
    for (age, is_kept) in [(11, false), (9, false), (1, true)] {
        let folder = tempfile::tempdir().unwrap();
        let certificates = started(folder.path());
        let own = Authority::create("mine", clock() - SignedDuration::from_hours(24 * 365 * age));
        let own = own.unwrap();
        put_own(folder.path(), own.clone());
        let stored = certificates.renew_before_start(&cluster("{}")).unwrap();
        let authority = stored.authority.clone().unwrap();
        assert_eq!(authority == own, is_kept, "made {age} years ago");
        let leaf = stored.leaf.clone().unwrap().certificate;
        assert!(
            leaf.ends > clock() + SignedDuration::from_hours(24 * 364),
            "{age}"
        );
        assert!(leaf.is_signed_by(&authority.certificate), "{age}");
        assert_eq!(stored.bundle, [authority.certificate], "{age}");
        let again = certificates.renew_before_start(&cluster("{}")).unwrap();
        assert_eq!(again, stored, "a second start changes nothing");
    }
}

#[test]
fn an_own_authority_that_is_there_before_the_first_start_is_the_one() {
    let folder = tempfile::tempdir().unwrap();
    let own = Authority::create("mine", Timestamp::now()).unwrap();
    fs::create_dir(folder.path().join("node-ca")).unwrap();
    put_own(folder.path(), own.clone());
    let made = Certificates::new(folder.path()).renew_before_start(&cluster("{}"));
    let made = made.unwrap();
    assert_eq!(made.authority.as_ref(), Some(&own));
    assert_eq!(made.bundle, [own.certificate]);
}

#[tokio::test(start_paused = true)]
async fn an_own_authority_that_is_of_no_use_is_refused_before_a_node_gets_it_and_left_where_it_is()
{
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::ExplicitNoCa;
    let leaf = params.self_signed(&key).unwrap().pem();
    let other_key = KeyPair::generate().unwrap().serialize_pem();
    for (key, why) in [
        (key.serialize_pem(), "it lacks basicConstraints CA:TRUE"),
        (other_key, "or they do not belong together"),
        ("no key".to_owned(), "cannot be read"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let certificates = started(folder.path());
        let files = folder.path().join("node-ca");
        let nodes = || entries(&folder.path().join("tls")).unwrap();
        let before = nodes();
        for (name, text) in [("tls.crt", &leaf), ("tls.key", &key)] {
            fs::write(files.join(name), text).unwrap();
        }

        let refused = certificates.renew_before_start(&cluster("{}"));

        let words = format!("{:#}", refused.unwrap_err());
        for part in [why, files.to_str().unwrap(), "rm -r '"] {
            assert!(words.contains(part), "{words}");
        }
        assert!(!words.contains("BEGIN"), "{words}");
        assert_eq!(nodes(), before, "nodes keep theirs");
        assert_eq!(fs::read_to_string(files.join("tls.key")).unwrap(), key);

        // As the message says.
        fs::remove_dir_all(&files).unwrap();
        let made = certificates.renew_before_start(&cluster("{}")).unwrap();
        assert_eq!(made.bundle.len(), 1);
    }
}

#[test]
fn an_authority_that_was_being_written_when_the_operator_was_killed_is_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    let certificates = started(folder.path());
    let next = Authority::create("config", Timestamp::now()).unwrap();
    // The next certificate is there, and the key is the one before.
    fs::write(
        folder.path().join("node-ca/tls.crt"),
        next.certificate.pem(),
    )
    .unwrap();
    assert!(certificates.renew_before_start(&cluster("{}")).is_err());
    fs::write(folder.path().join("node-ca.writing"), "").unwrap();

    let made = certificates.renew_before_start(&cluster("{}")).unwrap();
    assert!(made.authority.is_some());
    assert_eq!(certificates.read().unwrap().authority, made.authority);
    assert!(!folder.path().join("node-ca.writing").exists());
}

const DAY: Duration = Duration::from_hours(24);

/// The time of day, which moves with the timers of this thread.
fn clock() -> Timestamp {
    thread_local! {
        static BEGUN: Instant = Instant::now();
    }
    let begun: Timestamp = "2026-03-01T12:00:00Z".parse().unwrap();
    begun + BEGUN.with(Instant::elapsed)
}

/// Certificates that were made for the start of nodes.
fn started(folder: &Path) -> Certificates {
    let certificates = Certificates {
        clock,
        ..Certificates::new(folder)
    };
    certificates.renew_before_start(&cluster("{}")).unwrap();
    certificates
}

fn cluster(spec: &str) -> ValidatedCluster {
    validate(&prod(spec), "").unwrap()
}

/// The proof of a node that has read the stored certificates.
fn node(name: &str, stored: &StoredPki) -> Trust {
    let fingerprint = |certificate: &Certificate| certificate.fingerprint.clone();
    let leaf = stored.leaf.as_ref();
    Trust {
        node: name.to_owned(),
        accepts: stored.bundle.iter().map(fingerprint).collect(),
        shows: leaf.map(|leaf| fingerprint(&leaf.certificate)),
    }
}

/// Lets days pass while nodes run.
async fn pass(
    days: u32,
    certificates: &Certificates,
    cluster: &ValidatedCluster,
    ask: impl AsyncFn(&StoredPki) -> anyhow::Result<Vec<Trust>>,
) -> StoredPki {
    let report = |words: &str| panic!("a renewal fails: {words}");
    tokio::select! {
        () = certificates.keep_renewing(cluster, ask, report) => unreachable!(),
        () = tokio::time::sleep(DAY * days + Duration::from_hours(1)) => {}
    }
    certificates.read().unwrap()
}

#[tokio::test(start_paused = true)]
async fn ten_years_pass_and_what_is_due_is_renewed_on_its_day() {
    let folder = tempfile::tempdir().unwrap();
    let certificates = started(folder.path());
    let first = certificates.read().unwrap();
    let seen = RefCell::new(Vec::new());
    let ask = async |stored: &StoredPki| {
        let leaf = stored.leaf.clone().unwrap().certificate;
        assert!(leaf.ends > clock(), "a leaf has ended");
        let mut accepted = stored.bundle.iter();
        assert!(accepted.any(|one| leaf.is_signed_by(one)));
        let now = (leaf.fingerprint.clone(), stored.bundle.len());
        if seen.borrow().last() != Some(&now) {
            seen.borrow_mut().push(now);
        }
        Ok(vec![node("prod-0", stored)])
    };
    let cluster = cluster("{}");
    let kept = pass(59, &certificates, &cluster, ask).await;
    assert_eq!(kept, first);
    let renewed = pass(2, &certificates, &cluster, ask).await;
    assert_ne!(renewed.leaf, first.leaf);
    assert_eq!(renewed.authority, first.authority);

    let last = pass(3650, &certificates, &cluster, ask).await;
    assert_ne!(last.authority, first.authority);
    assert_eq!(last.bundle.len(), 1, "the one before is gone");
    // One for each sixty days, and some more while authorities are exchanged.
    let seen = seen.into_inner();
    assert!((60..70).contains(&seen.len()), "{}", seen.len());
    assert!(seen.iter().any(|(_, authorities)| *authorities == 2));
}

#[tokio::test(start_paused = true)]
async fn a_node_that_proves_nothing_is_asked_again_soon_and_keeps_what_it_accepts() {
    let folder = tempfile::tempdir().unwrap();
    let certificates = started(folder.path());
    let first = certificates.read().unwrap();
    let asked = cluster("{tls: {authority: {rotate: a}}}");
    let (answers, looks) = (Cell::new(false), Cell::new(0));
    let ask = async |stored: &StoredPki| {
        looks.set(looks.get() + 1);
        let silent = Trust {
            node: "prod-1".to_owned(),
            ..Trust::default()
        };
        let other = if answers.get() {
            node("prod-1", stored)
        } else {
            silent
        };
        Ok(vec![node("prod-0", stored), other])
    };
    let waiting = pass(1, &certificates, &asked, ask).await;
    assert_eq!(waiting.leaf, first.leaf);
    assert_eq!(waiting.bundle.len(), 2);
    assert!(looks.get() > 300, "{} looks in an hour", looks.get());
    answers.set(true);
    let exchanged = pass(1, &certificates, &asked, ask).await;
    assert_ne!(exchanged.authority, first.authority);
    assert_eq!(exchanged.bundle.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_renewal_that_fails_is_tried_again_and_ends_no_node() {
    let folder = tempfile::tempdir().unwrap();
    let certificates = started(folder.path());
    let first = certificates.read().unwrap();
    let away = folder.path().join("away");
    fs::rename(certificates.node_folder(), &away).unwrap();
    // No folder that could be read.
    fs::write(certificates.node_folder(), "").unwrap();
    let ask = async |stored: &StoredPki| Ok(vec![node("prod-0", stored)]);
    let cluster = cluster("{}");
    let reported = RefCell::new(Vec::new());
    let report = |words: &str| reported.borrow_mut().push(words.to_owned());
    tokio::select! {
        () = certificates.keep_renewing(&cluster, ask, report) => unreachable!(),
        () = tokio::time::sleep(DAY * 60 + Duration::from_mins(23 * 60 + 30)) => {}
    }
    // Each try of an hour fails in the same words.
    let times = reported.borrow().len();
    assert_eq!(times, 60, "once a day, after the first day");
    assert!(
        reported
            .borrow()
            .iter()
            .all(|words| words.contains("cannot read"))
    );
    fs::remove_file(certificates.node_folder()).unwrap();
    fs::rename(&away, certificates.node_folder()).unwrap();
    assert_eq!(certificates.read().unwrap(), first);
    let renewed = pass(1, &certificates, &cluster, ask).await;
    assert_ne!(renewed.leaf, first.leaf);
}
