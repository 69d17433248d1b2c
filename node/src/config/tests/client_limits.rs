//! How long clients may take, how fast they must be, and how much they ask for at a time.

use super::*;

/// Each setting, the ends of its range, and what stands there.
const RANGES: [(&str, u64, u64, &str); 12] = [
    ("OSC_HEADER_SECONDS", 1, 120, "seconds"),
    ("OSC_CONNECTION_SECONDS", 1, 86_400, "seconds"),
    ("OSC_ANSWER_SECONDS", 10, 3600, "seconds"),
    ("OSC_HTTP2_STREAMS", 1, 256, "requests"),
    ("OSC_BODY_BYTES_PER_SECOND", 256, 1 << 20, "bytes"),
    ("OSC_ANSWER_BYTES_PER_SECOND", 1024, 1 << 20, "bytes"),
    ("OSC_IDLE_SECONDS", 1, 86_400, "seconds"),
    ("OSC_MAX_CONNECTIONS", 64, 65_536, "connections"),
    ("OSC_LIST_PAGE_ROWS", 1, 100_000_000, "rows"),
    ("OSC_LIST_SNAPSHOT_ROWS", 1, 100_000_000, "rows"),
    ("OSC_LISTS_AT_ONCE", 1, 1024, "lists"),
    ("OSC_READ_SECONDS", 1, 3600, "seconds"),
];

#[test]
fn both_ends_of_a_range_are_accepted_and_what_lies_beyond_is_refused_with_it() {
    for (variable, least, most, unit) in RANGES {
        for inside in [least.to_string(), most.to_string()] {
            let accepted = config(&[], &[(variable, inside.as_str())], &[]);
            assert!(accepted.is_ok(), "{variable} {inside}");
        }
        for outside in [
            (least - 1).to_string(),
            (most + 1).to_string(),
            "10s".to_owned(),
        ] {
            let wanted = format!("a number of {unit} from {least} to {most}");
            assert_eq!(
                faults(&[(variable, outside.as_str())]),
                [format!("{variable} must be {wanted}, not '{outside}'")]
            );
        }
    }
}

#[test]
fn each_setting_changes_its_own_limit_and_no_other() {
    let without = config(&[], &[], &[]).unwrap();
    assert_eq!(without.timeouts, Timeouts::DEFAULT);
    assert_eq!(without.http2_streams, 32);
    let environment = [
        ("OSC_HEADER_SECONDS", "11"),
        ("OSC_CONNECTION_SECONDS", "12"),
        ("OSC_ANSWER_SECONDS", "13"),
        ("OSC_HTTP2_STREAMS", "14"),
        ("OSC_BODY_BYTES_PER_SECOND", "1500"),
        ("OSC_ANSWER_BYTES_PER_SECOND", "1600"),
        ("OSC_IDLE_SECONDS", "17"),
    ];
    let config = config(&[], &environment, &[]).unwrap();
    let expected = Timeouts {
        headers: Duration::from_secs(11),
        age: Duration::from_secs(12),
        list: Duration::from_secs(13),
        body_rate: 1500,
        answer_rate: 1600,
        idle: Duration::from_secs(17),
        ..Timeouts::DEFAULT
    };
    assert_eq!(config.timeouts, expected);
    assert_eq!(config.http2_streams, 14);
}

#[test]
fn each_setting_of_lists_connections_and_keys_changes_its_own_limit_and_no_other() {
    let limits = |environment: &[(&str, &str)]| {
        let config = config(&[], environment, &[]).unwrap();
        let others = (
            config.max_connections,
            config.auth_failures_per_minute,
            config.min_free_bytes,
        );
        (config.lists, others)
    };
    let bounds =
        |[page_rows, at_once, snapshot_rows]: [usize; 3], rows_per_minute, seconds| ListBounds {
            page_rows,
            rows_per_minute,
            at_once,
            snapshot_rows,
            read_time: Duration::from_secs(seconds),
        };
    let defaults = bounds([10_000, 1, 100_000], 2_000_000, 30);
    assert_eq!(limits(&[]), (defaults, (4096, 30, 64 << 20)));
    let environment = [
        ("OSC_LIST_PAGE_ROWS", "21"),
        ("OSC_LISTS_AT_ONCE", "22"),
        ("OSC_LIST_SNAPSHOT_ROWS", "23"),
        ("OSC_LIST_ROWS_PER_MINUTE", "24"),
        ("OSC_READ_SECONDS", "25"),
        ("OSC_MAX_CONNECTIONS", "126"),
        ("OSC_AUTH_FAILURES_PER_MINUTE", "27"),
        ("OSC_MIN_FREE_BYTES", "28"),
    ];
    let expected = (bounds([21, 22, 23], 24, 25), (126, 27, 28));
    assert_eq!(limits(&environment), expected);
}
