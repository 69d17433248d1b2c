//! Years of a cluster: at each moment each node accepts the leaf of each other one.

mod world;

use world::{DAY, World, begin, is_client, is_server, names};

use super::*;
use crate::{
    names::ClusterName,
    pki::{OPERATOR_NAME, cluster_names, execute, is_given_anew, local_names},
};

#[test]
fn a_leaf_is_renewed_every_sixty_days_and_nothing_else_moves() {
    let mut world = World::begin();
    let authority = world.stored.authority.clone();
    world.pass(730, DAY, true);
    // The first one, and one on each sixtieth day.
    assert_eq!(world.issued, (1 + 730 / 60, 1));
    assert_eq!(world.stored.authority, authority);
    assert_eq!(world.stored.bundle.len(), 1);
}

#[test]
fn nodes_live_ten_months_without_an_operator() {
    let mut world = World::begin();
    world.pass(59, DAY, true);
    world.pass(304, DAY, false);
    world.operator_acts();
    world.files_arrive();
    world.pass(304, DAY, false);
}

#[test]
fn an_operator_that_was_away_for_a_year_issues_a_leaf_although_no_node_answers() {
    for is_renewing in [false, true] {
        let mut world = World::begin();
        world.rotation_asked = is_renewing;
        world.operator_acts();
        world.now += DAY.checked_mul(400).unwrap();
        let names = names();
        // Nodes whose certificate has ended cannot be asked.
        let silent = [0, 1, 2].map(|ordinal| Trust {
            node: format!("prod-{ordinal}"),
            ..Trust::default()
        });
        let plan = plan(&Situation {
            stored: &world.stored,
            now: world.now,
            names: &names,
            rotation_asked: false,
            given: world.given,
            shown: world.shown,
            running: &silent,
        });
        assert_ne!(plan.leaf, LeafStep::Keep);
        world.stored = execute(&world.stored, &plan, "shop/prod", &names, world.now).unwrap();
        for node in &mut world.nodes {
            node.leaf = world.stored.leaf.clone().unwrap();
            node.bundle = world.stored.bundle.clone();
        }
        world.check();
        world.settle();
        assert_eq!(world.stored.bundle.len(), 1);
    }
}

#[test]
fn an_operator_that_was_away_until_the_authority_had_ended_has_the_next_one_sign() {
    let mut world = World::begin();
    let first = world.stored.authority.clone().unwrap();
    world.now = first.certificate.ends + DAY;
    let names = names();
    let silent = [0, 1, 2].map(|ordinal| Trust {
        node: format!("prod-{ordinal}"),
        ..Trust::default()
    });
    for expected in [AuthorityStep::Create, AuthorityStep::Keep] {
        let plan = plan(&Situation {
            stored: &world.stored,
            now: world.now,
            names: &names,
            rotation_asked: false,
            given: world.given,
            shown: world.shown,
            running: &silent,
        });
        assert_eq!(plan.authority, expected);
        world.stored = execute(&world.stored, &plan, "shop/prod", &names, world.now).unwrap();
    }
    let newest = world.stored.authority.clone().unwrap();
    assert_ne!(newest, first);
    assert_eq!(world.stored.operators_signer(world.now), Some(newest));
    for node in &mut world.nodes {
        node.leaf = world.stored.leaf.clone().unwrap();
        node.bundle = world.stored.bundle.clone();
    }
    // Every node accepts every other one again, and the previous authority goes.
    world.check();
    world.settle();
    assert_eq!(world.stored.bundle.len(), 1);
}

#[test]
fn an_authority_that_has_ended_signs_nothing_wherever_it_comes_from() {
    let mut renewing = World::begin();
    renewing.rotation_asked = true;
    renewing.operator_acts();
    let nothing = StoredPki::default();
    for (name, stored) in [
        ("of a cluster that begins", nothing),
        ("beside the files of nodes", World::begin().stored),
        ("in the middle of a renewal", renewing.stored),
    ] {
        let own = Authority::create("mine", begin() - DAY * 4000).unwrap();
        let mut stored = StoredPki {
            authority: Some(own.clone()),
            ..stored
        };
        let names = names();
        for _ in 0..4 {
            let plan = plan(&Situation {
                stored: &stored,
                now: begin(),
                names: &names,
                rotation_asked: false,
                given: None,
                shown: Some(begin()),
                running: &[],
            });
            stored = execute(&stored, &plan, "shop/prod", &names, begin()).unwrap();
            let leaf = &stored.leaf.as_ref().unwrap().certificate;
            assert!(leaf.ends > begin(), "{name}: {plan:?}");
            assert!(!leaf.is_signed_by(&own.certificate), "{name}: {plan:?}");
        }
        let newest = stored.authority.unwrap();
        let leaf = stored.leaf.unwrap();
        assert!(newest.certificate.ends > begin(), "{name}");
        assert!(leaf.certificate.is_signed_by(&newest.certificate), "{name}");
        assert_eq!(stored.bundle, [newest.certificate], "{name}");
    }
}

#[test]
fn a_leaf_that_no_accepted_authority_signed_is_issued_anew_with_a_lost_authority() {
    let mut world = World::begin();
    let other = World::begin().stored;
    world.stored.authority = None;
    world.stored.bundle = other.bundle;
    world.operator_acts();
    let newest = world.stored.authority.unwrap().certificate;
    assert!(world.stored.leaf.unwrap().certificate.is_signed_by(&newest));
}

#[test]
fn after_a_hundred_days_a_leaf_still_serves_and_after_four_hundred_it_has_ended() {
    let world = World::begin();
    let (leaf, bundle) = (world.stored.leaf.unwrap(), world.stored.bundle);
    let after = |days: i32| begin() + DAY.checked_mul(days).unwrap();
    for (days, accepted) in [
        (0, true),
        (100, true),
        (364, true),
        (366, false),
        (400, false),
    ] {
        let name = "prod.shop.svc";
        assert_eq!(
            is_server(&leaf, name, &bundle, after(days)),
            accepted,
            "{days} days"
        );
    }
    let earlier = begin() - SignedDuration::from_mins(59);
    assert!(
        is_client(&leaf, &bundle, earlier),
        "for a node whose clock is behind"
    );
}

#[test]
fn an_authority_is_renewed_two_years_before_its_end() {
    let mut world = World::begin();
    let first = world.stored.authority.clone().unwrap();
    world.pass(365 * 8, DAY * 3, true);
    assert_eq!(world.stored.authority.as_ref(), Some(&first));
    world.pass(30, DAY, true);
    assert_ne!(world.stored.authority.as_ref(), Some(&first));
    assert_eq!(world.stored.bundle.len(), 1, "the old one is gone");
    assert_eq!(world.issued.1, 2);
}

#[test]
fn an_authority_that_is_asked_for_comes_in_order() {
    let mut world = World::begin();
    let first = world.stored.authority.clone().unwrap();
    world.rotation_asked = true;
    world.operator_acts();
    assert_eq!(world.stored.bundle.len(), 2, "first both are accepted");
    let leaf = world.stored.leaf.as_ref().unwrap();
    assert!(leaf.certificate.is_signed_by(&first.certificate));
    world.settle();
    let now = world.stored.authority.as_ref().unwrap();
    assert_ne!(*now, first);
    let leaf = world.stored.leaf.as_ref().unwrap();
    assert!(leaf.certificate.is_signed_by(&now.certificate));
    assert_eq!(
        world.stored.bundle,
        std::slice::from_ref(&now.certificate),
        "the old one goes last"
    );
    assert_eq!(world.waiting(), None);
}

#[test]
fn clients_have_time_to_read_of_another_authority_before_they_meet_it() {
    let mut world = World::begin();
    let first = world.stored.leaf.clone();
    world.rotation_asked = true;
    world.operator_acts();
    world.files_arrive();
    world.now += SignedDuration::from_secs(170);
    world.operator_acts();
    assert_eq!(world.stored.leaf, first, "every node accepts the new one");
    let waiting = world.waiting().unwrap();
    assert!(waiting.nodes.is_empty() && !waiting.overdue, "{waiting:?}");
    world.now += SignedDuration::from_secs(20);
    world.operator_acts();
    assert_ne!(world.stored.leaf, first);
}

#[test]
fn no_authority_signs_that_clients_cannot_read() {
    let mut world = World::begin();
    let first = world.stored.leaf.clone();
    world.is_file_stuck = true;
    world.rotation_asked = true;
    for _ in 0..4 {
        world.operator_acts();
        world.files_arrive();
        world.now += DISTRIBUTION;
    }
    assert_eq!(world.stored.leaf, first, "every node accepts the new one");
    let waiting = world.waiting().unwrap();
    assert!(waiting.nodes.is_empty() && !waiting.overdue, "{waiting:?}");

    // Now the file is written, and clients have time to read it.
    world.is_file_stuck = false;
    world.operator_acts();
    world.now += SignedDuration::from_secs(170);
    world.operator_acts();
    assert_eq!(world.stored.leaf, first);
    world.now += SignedDuration::from_secs(20);
    world.operator_acts();
    assert_ne!(world.stored.leaf, first);
    world.settle();
    assert_eq!(world.stored.bundle.len(), 1);
}

#[test]
fn no_authority_goes_while_clients_can_read_no_other_one() {
    let mut world = World::begin();
    world.rotation_asked = true;
    world.operator_acts();
    world.files_arrive();
    world.now += CLIENTS;
    world.operator_acts();
    world.is_file_stuck = true;
    world.file.clear();
    world.write_file();
    world.settle();
    assert_eq!(world.stored.bundle.len(), 2);
    let waiting = world.waiting().unwrap();
    assert!(waiting.nodes.is_empty() && !waiting.overdue, "{waiting:?}");
    world.is_file_stuck = false;
    world.settle();
    assert_eq!(world.stored.bundle.len(), 1);
}

#[test]
fn nodes_go_on_where_clients_never_learn_of_another_authority() {
    for is_lost in [false, true] {
        let mut world = World::begin();
        world.is_file_stuck = true;
        world.rotation_asked = !is_lost;
        if is_lost {
            world.stored.authority = None;
        }
        // No leaf ends, and each node accepts every other one: the world looks at each day.
        world.pass(500, DAY, true);
        let leaf = world.stored.leaf.clone().unwrap().certificate;
        let newest = world.stored.authority.clone().unwrap().certificate;
        // The key of the lost one signs no more.
        assert_eq!(leaf.is_signed_by(&newest), is_lost);
    }
}

/// At once, because nothing fits while the clock leaps.
fn all_files_arrive(world: &mut World) {
    for node in &mut world.nodes {
        node.leaf = world.stored.leaf.clone().unwrap();
        node.bundle = world.stored.bundle.clone();
    }
}

#[test]
fn what_was_issued_while_the_clock_was_ahead_is_issued_again() {
    // Past the renewal of a leaf, and past that of the authority.
    for days in [400, 3_000] {
        let mut world = World::begin();
        let ahead = DAY.checked_mul(days).unwrap();
        world.now += ahead;
        for _ in 0..6 {
            world.now += SignedDuration::from_mins(2);
            world.operator_acts();
            all_files_arrive(&mut world);
        }
        world.now -= ahead;
        world.operator_acts();
        let leaf = world.stored.leaf.clone().unwrap();
        assert!(leaf.certificate.begins <= world.now, "{days} days");
        all_files_arrive(&mut world);
        world.check();
        world.settle();
        let authority = world.stored.authority.clone().unwrap().certificate;
        assert!(authority.begins <= world.now, "{days} days");
        let issued = world.issued;
        world.settle();
        assert_eq!(world.issued, issued, "{days} days: it rests");
    }
}

#[test]
fn a_running_node_that_does_not_prove_it_stops_the_renewal_and_leaves_are_renewed_as_before() {
    let mut world = World::begin();
    let first = world.stored.authority.clone().unwrap();
    world.nodes[1].stuck = true;
    world.rotation_asked = true;
    world.operator_acts();
    world.files_arrive();
    world.now += SignedDuration::from_mins(3);
    world.operator_acts();
    let early = world.waiting().unwrap();
    assert_eq!(
        (early.nodes.as_slice(), early.overdue),
        (&["prod-1".to_owned()][..], false)
    );
    world.pass(200, DAY, true);
    let late = world.waiting().unwrap();
    assert!(late.overdue);
    let leaf = world.stored.leaf.as_ref().unwrap();
    assert!(leaf.certificate.is_signed_by(&first.certificate));
    assert!(world.now.duration_since(leaf.issued()) < LEAF_RENEWAL);
    world.nodes[1].stuck = false;
    world.files_arrive();
    world.settle();
    assert_eq!(world.stored.bundle.len(), 1);
    assert_ne!(world.stored.authority, Some(first));
}

#[test]
fn the_old_authority_stays_until_every_node_shows_a_leaf_of_the_new_one() {
    let mut world = World::begin();
    world.rotation_asked = true;
    world.operator_acts();
    world.files_arrive();
    world.nodes[2].stuck = true;
    world.settle();
    assert_eq!(world.stored.bundle.len(), 2);
    assert_eq!(world.waiting().unwrap().nodes, ["prod-2"]);
    world.nodes[2].stuck = false;
    world.settle();
    assert_eq!(world.stored.bundle.len(), 1);
}

#[test]
fn an_authority_that_somebody_puts_in_its_place_is_given_to_nodes_before_it_signs() {
    // As where a user restores a backup of the Secret after another authority was made.
    let mut world = World::begin();
    let first = world.stored.bundle[0].clone();
    let restored = Authority::create("shop/prod", begin() - DAY).unwrap();
    world.stored.authority = Some(restored.clone());
    world.operator_acts();
    assert!(world.stored.bundle.contains(&first));
    assert!(world.stored.bundle.contains(&restored.certificate));
    let leaf = world.stored.leaf.as_ref().unwrap();
    assert!(leaf.certificate.is_signed_by(&first));
    // It was made long ago, and nodes have as much time for it as for a new one.
    for (minutes, overdue) in [(1, false), (9, false), (11, true)] {
        world.now = begin() + SignedDuration::from_mins(minutes);
        world.operator_acts();
        let waiting = world.waiting().unwrap();
        assert_eq!((waiting.nodes.len(), waiting.overdue), (3, overdue));
    }
    world.files_arrive();
    world.settle();
    assert_eq!(world.stored.bundle, [restored.certificate]);
    assert_eq!(world.stored.authority.unwrap().key, restored.key);
    assert_eq!(world.issued.1, 1, "no other was made");
}

#[test]
fn a_fresh_authority_that_is_dated_back_by_nothing_has_as_much_time_as_any_other() {
    // As OpenSSL makes it: it begins now.
    let mut world = World::begin();
    let own = Authority::create("shop/prod", begin() + SignedDuration::from_hours(1)).unwrap();
    assert_eq!(own.certificate.begins, begin());
    world.stored.authority = Some(own);
    world.operator_acts();
    for (minutes, overdue) in [(9, false), (11, true), (69, true)] {
        world.now = begin() + SignedDuration::from_mins(minutes);
        world.operator_acts();
        let waiting = world.waiting().unwrap();
        assert_eq!((minutes, waiting.overdue), (minutes, overdue));
    }
}

#[test]
fn an_authority_that_has_not_begun_signs_nothing_where_the_clock_goes_back_in_mid_exchange() {
    let back = SignedDuration::from_hours(2);
    for signs_already in [false, true] {
        for is_key_lost in [false, true] {
            let what = format!("signs: {signs_already}, the key before is lost: {is_key_lost}");
            let mut world = World::begin();
            world.pass(10, DAY, true);
            world.rotation_asked = true;
            world.operator_acts();
            world.files_arrive();
            if signs_already {
                world.now += CLIENTS;
                world.operator_acts();
            }
            let early = world.stored.authority.clone().unwrap().certificate;
            let leaf = world.stored.leaf.clone().unwrap().certificate;
            assert_eq!(leaf.is_signed_by(&early), signs_already, "{what}");
            if is_key_lost {
                world.stored.previous.as_mut().unwrap().key = None;
            }
            world.now -= back;
            world.shown = Some(world.now - DAY);
            assert!(early.begins > world.now);
            for _ in 0..3 {
                world.operator_acts();
                let leaf = world.stored.leaf.clone().unwrap().certificate;
                assert!(!leaf.is_signed_by(&early), "{what}");
                assert!(leaf.begins <= world.now, "{what}");
                all_files_arrive(&mut world);
                world.now += SignedDuration::from_mins(2);
            }
            world.settle();
            let authority = world.stored.authority.clone().unwrap().certificate;
            assert!(authority.begins <= world.now, "{what}");
            assert_eq!(
                world.stored.bundle,
                [authority],
                "{what}: the exchange is complete"
            );
        }
    }
}

#[test]
fn an_authority_that_somebody_puts_in_the_place_of_one_that_signs_already_leaves_its_leaf_accepted()
{
    // One that nodes never had, and the one before, as from a backup: with the whole Secret, or beside what is there.
    for (is_known, is_whole) in [(false, false), (true, false), (true, true)] {
        let mut world = World::begin();
        let first = world.stored.authority.clone().unwrap();
        world.rotation_asked = true;
        world.operator_acts();
        world.rotation_asked = false;
        world.files_arrive();
        world.now += CLIENTS;
        world.operator_acts();
        let second = world.stored.authority.clone().unwrap().certificate;
        let leaf = world.stored.leaf.clone().unwrap();
        assert!(leaf.certificate.is_signed_by(&second));
        assert!(
            world.stored.previous.is_some(),
            "not every node shows it yet"
        );

        let restored = if is_known {
            first.clone()
        } else {
            Authority::create("shop/prod", begin() - DAY).unwrap()
        };
        world.stored.authority = Some(restored.clone());
        if is_whole {
            world.stored.previous = None;
        }
        world.operator_acts();
        for authority in [&first.certificate, &second, &restored.certificate] {
            assert!(world.stored.bundle.contains(authority));
        }
        assert_eq!(world.stored.leaf, Some(leaf), "it is accepted everywhere");
        world.check();
        world.files_arrive();
        world.check();
        world.settle();
        assert_eq!(world.stored.bundle, [restored.certificate]);
        assert_eq!(world.stored.authority.unwrap().key, restored.key);
    }
}

#[test]
fn a_lost_authority_is_replaced_while_its_certificate_stays_accepted() {
    let mut world = World::begin();
    let first = world.stored.bundle[0].clone();
    world.stored.authority = None;
    world.stored.previous = None;
    world.operator_acts();
    assert!(world.stored.bundle.contains(&first));
    world.files_arrive();
    world.settle();
    assert_eq!(world.stored.bundle.len(), 1);
    assert!(!world.stored.bundle.contains(&first));

    // Lost again in the middle of a renewal.
    world.rotation_asked = true;
    world.operator_acts();
    world.files_arrive();
    world.stored.authority = None;
    world.stored.previous = None;
    world.operator_acts();
    assert_eq!(world.stored.bundle.len(), 3);
    world.files_arrive();
    world.settle();
    assert_eq!(world.stored.bundle.len(), 1);
}

/// Scrapers and clients are never given an empty list: the Prometheus Operator would refuse the whole ServiceMonitor.
#[test]
fn whatever_is_stored_and_whenever_it_is_looked_at_nodes_accept_an_authority() {
    let mut world = World::begin();
    let whole = world.stored.clone();
    world.rotation_asked = true;
    world.operator_acts();
    let renewing = world.stored.clone();
    for stored in [StoredPki::default(), whole, renewing] {
        let lost: [fn(&mut StoredPki); 4] = [
            |_| {},
            |stored| stored.authority = None,
            |stored| stored.leaf = None,
            |stored| stored.bundle.clear(),
        ];
        for (first, second) in lost.iter().flat_map(|one| lost.map(|two| (one, two))) {
            let mut stored = stored.clone();
            first(&mut stored);
            second(&mut stored);
            for days in [0, 400, 4000] {
                let now = begin() + DAY * days;
                let situation = Situation {
                    stored: &stored,
                    now,
                    names: &names(),
                    rotation_asked: false,
                    given: None,
                    shown: Some(now),
                    running: &[],
                };
                let after =
                    execute(&stored, &plan(&situation), "shop/prod", &names(), now).unwrap();
                assert!(!after.bundle.is_empty(), "{days} days: {stored:?}");
            }
        }
    }
}

#[test]
fn a_lost_leaf_is_issued_by_who_is_accepted_everywhere() {
    let mut world = World::begin();
    world.stored.leaf = None;
    world.stored.bundle = Vec::new();
    world.operator_acts();
    world.check();
    world.files_arrive();
    world.rotation_asked = true;
    world.operator_acts();
    world.stored.leaf = None;
    world.operator_acts();
    world.files_arrive();
    world.settle();
    assert_eq!(world.stored.bundle.len(), 1);
}

#[test]
fn a_leaf_for_other_names_is_issued_at_once() {
    let world = World::begin();
    let mut names = names();
    let situation = |names: &AltNames| {
        plan(&Situation {
            stored: &world.stored,
            now: begin(),
            names,
            rotation_asked: false,
            given: None,
            shown: None,
            running: &[],
        })
    };
    assert_eq!(situation(&names).leaf, LeafStep::Keep);
    names.extend(["config.example.org".to_owned(), "10.1.2.3".to_owned()]);
    let plan = situation(&names);
    assert_eq!(plan.leaf, LeafStep::Issue(Signer::Newest));
    let after = execute(&world.stored, &plan, "shop/prod", &names, begin()).unwrap();
    let leaf = after.leaf.unwrap();
    for name in [
        "config.example.org",
        "10.1.2.3",
        "prod-0.prod-nodes.shop.svc",
    ] {
        assert!(is_server(&leaf, name, &after.bundle, begin()), "{name}");
    }
}

#[test]
fn a_leaf_is_issued_once_however_its_addresses_are_written() {
    let more = ["2001:DB8:0:0:0:0:0:1", "::ffff:10.1.2.3", "10.1.2.3"].map(str::to_owned);
    let name = ClusterName::new("prod").unwrap();
    for names in [
        cluster_names(&name, "shop", "cluster.local", &more),
        local_names(&more),
    ] {
        let mut stored = StoredPki::default();
        for step in [LeafStep::Issue(Signer::Newest), LeafStep::Keep] {
            let plan = plan(&Situation {
                stored: &stored,
                now: begin(),
                names: &names,
                rotation_asked: false,
                given: None,
                shown: Some(begin()),
                running: &[],
            });
            assert_eq!(plan.leaf, step);
            stored = execute(&stored, &plan, "shop/prod", &names, begin()).unwrap();
        }
        let leaf = stored.leaf.unwrap();
        assert!(is_server(&leaf, "2001:db8::1", &stored.bundle, begin()));
    }
}

#[test]
fn nodes_are_servers_of_their_names_and_the_operator_is_a_client_only() {
    let world = World::begin();
    let (leaf, bundle) = (world.stored.leaf.unwrap(), world.stored.bundle);
    for name in [
        "prod",
        "prod.shop",
        "prod.shop.svc",
        "prod.shop.svc.cluster.local",
        "prod-7.prod-nodes.shop",
        "prod-7.prod-nodes.shop.svc",
        "prod-7.prod-nodes.shop.svc.cluster.local",
        "localhost",
        "127.0.0.1",
        "::1",
    ] {
        assert!(is_server(&leaf, name, &bundle, begin()), "{name}");
    }
    for name in [
        "other.shop.svc",
        "prod.other.svc",
        // Examples of names that `*.svc` or `*.shop.svc` would cover.
        "prod.svc",
        "shop.svc",
        "svc",
        OPERATOR_NAME,
    ] {
        assert!(!is_server(&leaf, name, &bundle, begin()), "{name}");
    }
    let authority = world.stored.authority.unwrap();
    let own = authority.issue_operator_leaf(begin()).unwrap();
    assert!(is_client(&own, &bundle, begin()));
    assert!(!is_server(&own, OPERATOR_NAME, &bundle, begin()));
    assert_eq!(own.certificate.names, [OPERATOR_NAME.to_owned()].into());
}

#[test]
fn what_was_stored_is_read_again_and_a_key_of_another_certificate_is_refused() {
    let (one, two) = (World::begin().stored, World::begin().stored);
    let (one, two) = (one.authority.unwrap(), two.authority.unwrap());
    let pem = one.certificate.pem();
    assert_eq!(
        Authority::read(pem.as_bytes(), one.key.pem()),
        Some(one.clone())
    );
    assert_eq!(Authority::read(pem.as_bytes(), two.key.pem()), None);
    assert_eq!(Authority::read(b"none", one.key.pem()), None);
    let both = pem + &two.certificate.pem();
    assert_eq!(
        Certificate::read_all(both.as_bytes()),
        [one.certificate.clone(), two.certificate]
    );
    let shown = format!("{one:?}");
    assert!(!shown.contains("PRIVATE"), "{shown}");
}
