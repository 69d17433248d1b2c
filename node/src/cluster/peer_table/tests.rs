use super::*;
use crate::cluster::{Mode, Protocol};
use crate::domain::Timestamp;

/// The longest greeting that a node takes.
fn longest(number: i64) -> PeerInfo {
    let text = "n".repeat(MemberName::LONGEST);
    let mark = |number| (Incarnation::from_raw(number), Seq::from_raw(number));
    let hello = PeerInfo {
        protocol: Protocol::CURRENT,
        release: text.clone(),
        cluster: String::new(),
        mode: Mode::default(),
        name: MemberName::new(text.clone()),
        incarnation: Incarnation::from_raw(number),
        process_epoch: ProcessEpoch::from_raw(number),
        turn: 1,
        heard: None,
        epoch_began: Seq::START,
        address: Some(Address::new("a".repeat(320))),
        cluster_uid: None,
        salt: Some(text),
        ready: false,
        source: false,
        acknowledges: false,
        fenced: false,
        yields: false,
        waits_no_longer: false,
        takes_back: false,
        has_rows: false,
        head: Seq::START,
        purged: Seq::START,
        inherited: (0..4096).map(mark).collect(),
        origin: None,
        received: None,
        roster: 0,
        entries: 0,
        time: Timestamp::from_micros(0),
    };
    assert!(hello.is_of_a_nodes_length());
    hello
}

/// The bytes that a greeting occupies.
fn taken_by(contact: &Contact) -> usize {
    let hello = &contact.hello;
    let texts = [
        hello.name.as_str().len(),
        hello.release.capacity(),
        hello.cluster.capacity(),
        hello.salt.as_ref().map_or(0, String::capacity),
        hello.address.as_ref().map_or(0, |it| it.as_str().len()),
    ];
    let mark = size_of::<(Incarnation, Seq)>();
    size_of::<Contact>() + texts.iter().sum::<usize>() + hello.inherited.capacity() * mark
}

fn is_member(node: Incarnation) -> bool {
    node.raw() < 10
}

impl PeerTable {
    /// A node greets, or answers at an address.
    fn hears(&mut self, number: i64, answers_at: Option<&Address>) {
        let hello = longest(number);
        if !is_member(hello.incarnation) {
            self.make_room_for(hello.incarnation, is_member);
        }
        let now = Duration::from_millis(number.unsigned_abs());
        self.heard(&hello, answers_at, now, 0, answers_at.map(|_| now), 1);
    }

    fn size(&self) -> usize {
        self.known.values().map(taken_by).sum()
    }
}

#[test]
fn strangers_that_greet_cost_half_a_mebibyte() {
    let mut table = PeerTable::default();
    for number in 100..2_000 {
        table.hears(number, None);
    }
    assert_eq!(table.known.len(), STRANGERS);
    assert!(table.size() < 512 << 10, "{} bytes", table.size());
}

#[test]
fn strangers_that_answer_at_one_address_by_turns_cost_hardly_more() {
    let mut table = PeerTable::default();
    let address = Address::new("listed:9000");
    table.list(std::slice::from_ref(&address));
    for number in 100..2_000 {
        table.hears(number, Some(&address));
    }
    // One more has just answered, and one has its marks until the next one comes.
    let marks = 2 * (64 << 10);
    assert!(table.size() < (512 << 10) + marks, "{} bytes", table.size());
}

#[test]
fn the_marks_of_an_answer_stay_although_greetings_follow_and_strangers_come() {
    let mut table = PeerTable::default();
    let member = longest(1);
    table.hears(1, Some(&Address::new("member:9000")));
    let mut greeting = member.clone();
    greeting.turn += 1;
    greeting.inherited = vec![(Incarnation::from_raw(7), Seq::from_raw(7))];
    table.heard(&greeting, None, Duration::from_secs(9), 0, None, 1);
    for number in 100..2_000 {
        table.hears(number, None);
    }
    let kept = &table.known[&member.incarnation].hello;
    assert_eq!(kept.inherited, member.inherited);
    assert_eq!(kept.turn, greeting.turn);
}
