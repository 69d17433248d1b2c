//! How long clients may take, how fast they must be, and how much they ask for at a time.

use super::*;

/// Each setting, the ends of its range, and what stands there.
const RANGES: [(&str, u64, u64, &str); 6] = [
    ("OSC_HEADER_SECONDS", 1, 120, "seconds"),
    ("OSC_CONNECTION_SECONDS", 1, 86_400, "seconds"),
    ("OSC_ANSWER_SECONDS", 10, 3600, "seconds"),
    ("OSC_HTTP2_STREAMS", 1, 256, "requests"),
    ("OSC_BODY_BYTES_PER_SECOND", 256, 1 << 20, "bytes"),
    ("OSC_ANSWER_BYTES_PER_SECOND", 1024, 1 << 20, "bytes"),
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
