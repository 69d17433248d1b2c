//! How much memory a message between nodes takes once it is read. Its text tells, before any of it is read: `[0,0],` are six
//! bytes, and a pair of numbers takes more than twice as many.

use std::net::IpAddr;

use super::answer::{COPIES, MESSAGE_BYTES};
use crate::budget::{MessagePools, NoRoom, Reservation, SMALL_MESSAGE};

/// The memory of a part of a message in its parsed form, in bytes, beside its texts. Its vector may be twice as long as it is full.
const PART: usize = 64;
/// Messages of nodes may be so long, however small their share: some are as long as the entries that go together, and somewhat.
const ORDINARY: usize = 4 << 20;

/// Why a message is not read.
#[derive(Debug)]
pub(crate) enum Unread {
    /// It takes more than the whole share.
    TooLarge {
        /// The most that one may take, in bytes.
        limit: usize,
    },
    /// There is no room for it now.
    NoRoom(NoRoom),
}

/// The longest message that is read into this share, in bytes.
pub(crate) fn longest(pools: &MessagePools) -> usize {
    pools.large.capacity().clamp(ORDINARY, MESSAGE_BYTES)
}

/// Makes the room of a message, which has its text twice, as large as its parsed form may become. An answer has no address: all
/// nodes share its room.
pub(crate) fn reserve(
    text: &[u8],
    pools: &MessagePools,
    sender: Option<IpAddr>,
    room: &mut Reservation,
) -> Result<(), Unread> {
    let parts = parts_in(text).saturating_mul(PART);
    let limit = longest(pools);
    if text.len().saturating_add(parts) > limit {
        return Err(Unread::TooLarge { limit });
    }
    // A short text of many parts holds few bytes of texts, and a long one of few parts is nearly all of them.
    let more = parts.saturating_sub(text.len());
    if more == 0 {
        return Ok(());
    }
    let whole = room.bytes().saturating_add(more);
    if room.is_of(&pools.small) && whole > COPIES * SMALL_MESSAGE {
        // A short text of many parts is no small message.
        let larger = match sender {
            Some(sender) => pools
                .large
                .try_reserve(sender, whole.min(pools.large.most_of_address())),
            None => pools.large.try_reserve_for_many(whole),
        };
        *room = larger.map_err(Unread::NoRoom)?;
        return Ok(());
    }
    // One that takes more than the part of an address is alone there.
    let most = pools.large.most_of_address();
    match more.min(most.saturating_sub(room.bytes())) {
        0 => Ok(()),
        more => room.grow(more).map_err(Unread::NoRoom),
    }
}

/// How many values and names of members a JSON text has at most.
fn parts_in(text: &[u8]) -> usize {
    let (mut parts, mut quoted, mut escaped) = (1_usize, false, false);
    for byte in text {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = quoted,
            b'"' => quoted = !quoted,
            b',' | b':' | b'[' | b'{' => parts += usize::from(!quoted),
            _ => {}
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED);

    #[test]
    fn every_value_and_every_name_is_a_part_and_what_stands_in_texts_is_none() {
        for (text, parts) in [
            ("1", 1),
            ("[]", 2),
            ("[0,0]", 3),
            (r#"{"a":1}"#, 3),
            (r#"{"a":[0,{"b":null}]}"#, 7),
            (r#"",,[[{{::""#, 1),
            (r#""\",,,\\",1"#, 2),
        ] {
            assert_eq!(parts_in(text.as_bytes()), parts, "{text}");
        }
    }

    #[test]
    fn a_message_gets_the_room_of_its_parts_and_none_gets_more_than_the_share() {
        let pools = MessagePools::new(12 << 20);
        let room = |text: &str| {
            let pool = pools.for_message(text.len());
            let mut room = pool.try_reserve(HERE, 2 * text.len()).unwrap();
            reserve(text.as_bytes(), &pools, None, &mut room).map(|()| room)
        };
        let long = format!(r#"["{}"]"#, "x".repeat(1 << 20));
        assert_eq!(room(&long).unwrap().bytes(), 2 * long.len());
        let pairs = |count: usize| format!("[{}0]", "[0,0],".repeat(count));
        let many = pairs(10_000);
        let held = room(&many).unwrap();
        assert!(held.bytes() > 30_000 * PART, "{}", held.bytes());
        let too_many = room(&pairs(100_000));
        assert!(matches!(too_many, Err(Unread::TooLarge { limit }) if limit == 9 << 20));
        // A short text of many parts takes none of the room of small messages.
        assert!(held.is_of(&pools.large));
        let _others = pools.large.try_reserve(HERE, 6 << 20).unwrap();
        assert!(matches!(room(&many), Err(Unread::NoRoom(_))));
        drop(held);
        assert!(room(&many).is_ok());
        assert!(room("[0,0]").unwrap().is_of(&pools.small));
    }

    #[test]
    fn short_messages_of_many_parts_of_one_address_leave_room_for_those_of_others() {
        let pools = MessagePools::new(12 << 20);
        let many = format!("[{}0]", "[0,0],".repeat(10_000));
        let room = |from: IpAddr| {
            let pool = pools.for_message(many.len());
            let mut room = pool.try_reserve(from, 2 * many.len()).unwrap();
            reserve(many.as_bytes(), &pools, Some(from), &mut room).map(|()| room)
        };
        let held: Vec<_> = std::iter::from_fn(|| room(HERE).ok()).collect();
        assert_eq!(held.len(), 3);
        assert!(pools.large.in_use().reserved <= pools.large.most_of_address());
        assert!(room([192, 0, 2, 1].into()).is_ok());
    }

    #[test]
    fn a_share_bounds_a_message_but_none_of_an_ordinary_length() {
        let longest = |share| longest(&MessagePools::new(share));
        assert_eq!(longest(24 << 20), 18 << 20);
        assert_eq!(longest(1 << 20), ORDINARY);
        assert_eq!(longest(1 << 30), MESSAGE_BYTES);
    }
}
