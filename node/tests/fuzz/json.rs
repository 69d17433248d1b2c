//! JSON texts: the node reads them as Python does, and reads back what it writes.

use std::{
    fmt::Write as _,
    io::{Seek as _, Write as _},
    path::PathBuf,
    process::{Command, Stdio},
};

use opensecureconf_node::json::{ParseError, parse};

use crate::corpus::{Share, judge, run};

const WORDS: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\"",
    "\\u",
    "\\ud800",
    "\\udc00",
    "\\",
    "null",
    "true",
    "false",
    "NaN",
    "Infinity",
    "-Infinity",
    "-0",
    "0.1",
    "1e5",
    "1E-400",
    "1e400",
    "99999999999999999999",
    "\u{feff}",
    "\u{2028}",
    "\t",
    "\r\n",
    " ",
    "é",
    "😀",
    "[[[[[[[[",
    "{\"a\":",
];
/// Deeper than requests may be, as deep as stored values are read.
const DEPTH: usize = 1000;
/// Texts that Python judges too.
const COMPARED: usize = 200_000;

const PYTHON: &str = r"
import json, sys
# A byte order mark is the body's, not the text's: json.loads would complain of it before the decoder sees it.
decoder = json.JSONDecoder()
for line in sys.stdin:
    text = bytes.fromhex(line.strip()).decode()
    try:
        print('ok', json.dumps(decoder.decode(text)))
    except json.JSONDecodeError as error:
        print('error', error.pos, error.msg)
    except (ValueError, RecursionError):
        print('refused')
";

fn judged(text: &str) -> String {
    match parse(text, DEPTH) {
        Ok(value) => format!("ok {}", value.to_python()),
        Err(ParseError::Syntax { message, offset }) => format!("error {offset} {message}"),
        Err(_) => "refused".to_owned(),
    }
}

/// Both written forms read back as the same value.
fn round_trip(text: &str) -> Result<(), String> {
    let Ok(value) = parse(text, DEPTH) else {
        return Ok(());
    };
    let written = value.to_python();
    let again = parse(&written, DEPTH).map_err(|error| format!("{written:?}: {error}"))?;
    // Compared as text: NaN is not equal to itself.
    if again.to_python() != written {
        return Err(format!("{written:?} is read as {again:?}"));
    }
    let wire = value.to_wire();
    parse(&wire, DEPTH)
        .map(drop)
        .map_err(|error| format!("{wire:?}: {error}"))
}

#[test]
fn any_text_is_read_as_python_reads_it() {
    let mut texts = Vec::new();
    run("json", Share(660), WORDS, |bytes| {
        let text = String::from_utf8_lossy(bytes);
        round_trip(&text)?;
        if texts.len() < COMPARED {
            texts.push(text.into_owned());
        }
        Ok(())
    });
    let mut input = String::new();
    for text in &texts {
        for byte in text.bytes() {
            write!(input, "{byte:02x}").unwrap();
        }
        input.push('\n');
    }
    let answers = python(&input);
    assert_eq!(answers.lines().count(), texts.len());
    for (text, expected) in texts.iter().zip(answers.lines()) {
        let ours = judged(text);
        let same = ours == expected;
        let fault = || format!("ours: {ours}, Python's: {expected}");
        judge(
            "json",
            text.as_bytes(),
            same.then_some(()).ok_or_else(fault),
        );
    }
}

/// Runs the script with the Python that `make test-tools` brings.
fn python(input: &str) -> String {
    let program = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target/python/bin/python");
    assert!(program.exists(), "`make test-tools` brings Python");
    let mut stdin = tempfile::tempfile().unwrap();
    stdin.write_all(input.as_bytes()).unwrap();
    stdin.rewind().unwrap();
    let output = Command::new(program)
        .args(["-c", PYTHON])
        .stdin(stdin)
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}
