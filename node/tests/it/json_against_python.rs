//! Our JSON reader and writer against CPython's, on random and on damaged texts.

use std::fmt::Write;

use opensecureconf_node::json::{ParseError, parse};
use proptest::{
    prelude::*,
    strategy::ValueTree,
    test_runner::{Config, TestRunner},
};

use crate::python;

/// For each line of input, a hexadecimal text: the results of `json.loads` and `json.dumps`.
const PYTHON: &str = r"
import json, sys
for line in sys.stdin:
    text = bytes.fromhex(line.strip()).decode()
    try:
        print('ok', json.dumps(json.loads(text)))
    except json.JSONDecodeError as error:
        print('error', error.pos, error.msg)
    except (ValueError, RecursionError):
        print('refused')
";

const TEXTS: usize = 4000;

fn json_text() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        Just("NaN".to_owned()),
        Just("-Infinity".to_owned()),
        r"-?(0|[1-9][0-9]{0,25})",
        r"-?(0|[1-9][0-9]{0,18})\.[0-9]{1,20}([eE][+-]?[0-9]{1,3})?",
        r#""([a-zé😀 ]|\\u[0-9a-fA-F]{4}|\\ud8[0-9]{2}\\udc[0-9]{2}|\\[nrtbf/\\"]){0,6}""#,
    ];
    leaf.prop_recursive(4, 24, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5)
                .prop_map(|items| format!("[{}]", items.join(" ,"))),
            prop::collection::vec(("[a-c]", inner), 0..5).prop_map(|members| {
                let members: Vec<_> = members
                    .into_iter()
                    .map(|(name, value)| format!("\"{name}\": {value}"))
                    .collect();
                format!("{{{}}}", members.join(",\n"))
            }),
        ]
    })
}

/// A text with one character removed or inserted, or cut off after a place.
fn damaged(text: &str, place: usize, kind: u8, other: char) -> String {
    let mut characters: Vec<char> = text.chars().collect();
    let place = place % (characters.len() + 1);
    match kind {
        0 => characters.truncate(place),
        1 => characters.insert(place, other),
        _ if place < characters.len() => drop(characters.remove(place)),
        _ => {}
    }
    characters.into_iter().collect()
}

#[test]
fn texts_are_read_refused_and_written_as_python_does_it() {
    let mut runner = TestRunner::new(Config::default());
    let strategy = (
        json_text(),
        any::<usize>(),
        0..3_u8,
        prop::sample::select(r#"{}[]",:\u0123e-+.xé"#.chars().collect::<Vec<_>>()),
    );
    let mut texts = Vec::new();
    while texts.len() < TEXTS {
        let (text, place, kind, other) = strategy.new_tree(&mut runner).unwrap().current();
        texts.push(damaged(&text, place, kind, other));
        texts.push(text);
    }
    let mut input = String::new();
    for text in &texts {
        text.bytes()
            .for_each(|byte| write!(input, "{byte:02x}").unwrap());
        input.push('\n');
    }

    let answers = python::run(PYTHON, &[], input.as_bytes());

    assert_eq!(answers.lines().count(), texts.len());
    for (text, expected) in texts.iter().zip(answers.lines()) {
        let ours = match parse(text, 1000) {
            Ok(value) => format!("ok {}", value.to_python()),
            Err(ParseError::Syntax { message, offset }) => format!("error {offset} {message}"),
            Err(
                ParseError::TooDeep
                | ParseError::IntegerTooLong
                | ParseError::TooManyValues { .. }
                | ParseError::TooManyItems { .. },
            ) => "refused".to_owned(),
        };
        assert_eq!(ours, expected, "{text:?}");
    }
}
