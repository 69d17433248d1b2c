use super::*;

fn node(incarnation: &str, cluster_uid: Option<&str>, entries: u64) -> NodeDetails {
    NodeDetails {
        incarnation: incarnation.to_owned(),
        cluster_uid: cluster_uid.map(str::to_owned),
        entries,
        ..NodeDetails::default()
    }
}

fn chosen(incarnation: &str) -> BootstrapMark {
    BootstrapMark::Chosen(incarnation.to_owned())
}

#[test]
fn beside_a_fresh_salt_the_first_node_that_answers_is_chosen() {
    let (b, c) = (node("b", None, 0), node("c", None, 0));
    assert_eq!(
        decide(&BootstrapMark::Unchosen, &[None, Some(&b), Some(&c)]),
        BootstrapStep::Choose {
            node: 1,
            incarnation: "b".into()
        }
    );
    assert_eq!(
        decide(&BootstrapMark::Unchosen, &[None, None]),
        BootstrapStep::Wait
    );
}

#[test]
fn beside_an_adopted_salt_every_node_is_heard_first() {
    let (a, b) = (node("a", None, 0), node("b", None, 7));
    assert_eq!(
        decide(&BootstrapMark::Absent, &[Some(&a), None]),
        BootstrapStep::Wait
    );
    assert_eq!(
        decide(&BootstrapMark::Absent, &[Some(&a), Some(&b)]),
        BootstrapStep::Choose {
            node: 1,
            incarnation: "b".into()
        },
        "who holds entries keeps them"
    );
}

#[test]
fn a_bootstrapped_cluster_is_recorded_once_and_then_left_alone() {
    let (a, b) = (node("a", None, 0), node("b", Some("f"), 0));
    for mark in [BootstrapMark::Absent, BootstrapMark::Unchosen] {
        assert_eq!(
            decide(&mark, &[Some(&a), Some(&b), None]),
            BootstrapStep::Record("b".into())
        );
    }
    assert_eq!(
        decide(&chosen("x"), &[Some(&a), Some(&b)]),
        BootstrapStep::Settled
    );
}

#[test]
fn while_somebody_is_chosen_nobody_else_is_told() {
    let (a, b) = (node("a", None, 0), node("b", None, 0));
    assert_eq!(
        decide(&chosen("b"), &[Some(&a), Some(&b)]),
        BootstrapStep::Tell {
            node: 1,
            incarnation: "b".into()
        }
    );
    assert_eq!(
        decide(&chosen("gone"), &[Some(&a), None]),
        BootstrapStep::Wait,
        "the silent one may be it"
    );
    assert_eq!(
        decide(&chosen("gone"), &[Some(&a), Some(&b)]),
        BootstrapStep::Lost {
            incarnation: "gone".into()
        }
    );
}

#[test]
fn beside_different_salts_nobody_is_chosen() {
    let with = |salt: Option<&str>, entries| NodeDetails {
        salt_fingerprint: salt.map(str::to_owned),
        ..node("a", None, entries)
    };
    let (one, other, none) = (with(Some("1"), 0), with(Some("2"), 7), with(None, 0));
    for mark in [BootstrapMark::Absent, BootstrapMark::Unchosen] {
        assert_eq!(
            decide(&mark, &[Some(&one), Some(&none), Some(&other)]),
            BootstrapStep::SaltsDiffer
        );
    }
}

#[test]
fn who_has_entries_goes_before_who_has_a_salt_and_the_first_before_the_rest() {
    let with = |name: &str, salt: bool, entries| NodeDetails {
        salt_fingerprint: salt.then(|| "1".to_owned()),
        ..node(name, None, entries)
    };
    let chosen = |nodes: &[NodeDetails]| {
        let nodes: Vec<_> = nodes.iter().map(Some).collect();
        match decide(&BootstrapMark::Absent, &nodes) {
            BootstrapStep::Choose { incarnation, .. } => incarnation,
            step => panic!("{step:?}"),
        }
    };
    let (blank, later) = (with("a", false, 0), with("b", false, 0));
    assert_eq!(chosen(&[blank.clone(), later.clone()]), "a");
    let salted = with("c", true, 0);
    assert_eq!(chosen(&[blank.clone(), later, salted.clone()]), "c");
    let holder = with("d", true, 1);
    assert_eq!(chosen(&[blank, salted, holder]), "d");
}

#[test]
fn a_mark_is_read_as_it_is_written() {
    assert_eq!(BootstrapMark::of(None), BootstrapMark::Absent);
    assert_eq!(BootstrapMark::of(Some("")), BootstrapMark::Unchosen);
    let chosen = chosen("ab");
    assert_eq!(BootstrapMark::of(Some("ab\n")), chosen);
    for mark in [BootstrapMark::Absent, BootstrapMark::Unchosen, chosen] {
        assert_eq!(BootstrapMark::of(mark.text()), mark);
    }
}
