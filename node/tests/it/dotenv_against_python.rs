//! Our reader of `.env` against python-dotenv, on a table and on random files.

use std::{collections::BTreeMap, fmt::Write};

use opensecureconf_node::config::dotenv;
use proptest::{
    prelude::*,
    strategy::ValueTree,
    test_runner::{Config, TestRunner},
};

use crate::python;

/// For each line of input, a file in hexadecimal digits: its names and values as python-dotenv gives them. Text between single
/// quotes is kept from python-dotenv's substitution, which ignores quotes: the one intended difference.
const PYTHON: &str = r#"
import io, json, logging, os, sys
from dotenv import dotenv_values, parser
from dotenv.variables import parse_variables

class SingleQuoted(str):
    pass

decode = parser.decode_escapes
parser.decode_escapes = lambda regex, text: (
    SingleQuoted(decode(regex, text)) if regex is parser._single_quote_escapes else decode(regex, text))
logging.disable()
os.environ.clear()
os.environ['FROM_OUTSIDE'] = 'outside'
for line in sys.stdin:
    text = io.TextIOWrapper(io.BytesIO(bytes.fromhex(line.strip())), encoding='utf-8').read()
    values = {}
    for binding in parser.parse_stream(io.StringIO(text)):
        if binding.key is None:
            continue
        value = binding.value
        if value is not None and not isinstance(value, SingleQuoted):
            known = {**os.environ, **values}
            value = ''.join(atom.resolve(known) for atom in parse_variables(value))
        values[binding.key] = value
    assert "'" in text or values == dotenv_values(stream=io.StringIO(text)), text
    print(json.dumps(values, sort_keys=True))
"#;

const FILES: usize = 3000;

const TABLE: &[&str] = &[
    "OSC_API_KEY=S3cr$et-key-0123456789",
    "\u{feff}OSC_API_KEY=marked",
    "GREETING=hello world\nJSON={\"a\": 1}\nMSG=it's\nHOME\nOSC_HOST_PORT=9001",
    "A=1\nB=${A}\nC=\"${A}${B}\"\nD=${NOWHERE}\nE=${NOWHERE:-default}\nF=${FROM_OUTSIDE}",
    "A=${A:b}\nB=${}\nC=${\nD=$A\nE=${A${B}",
    "A = spaced out  # comment\nB=#no comment\nC= # comment\nD=x#y\nE='x' # comment\nF='x' y",
    "export A=1\nexport\texport=2\nexport\n'quoted name'=3\n''=4\n=5\n# A=6",
    "A=\"\\n\\t\\\\\\\"\\'\\$\\q\"\nB='\\n\\t\\\\\\'\\\"'\nC=\\n\\\\",
    "A=\"two\nlines\"\nB='three\n\nlines' # comment\nC=after",
    "A=\"unclosed\nB='unclosed\nC=after",
    "A=1\r\nB=\"x\r\ny\"\r\nC=2\rD=3",
    "A=1\u{a0}#comment\nB=\u{2003}2\u{2003}\nC\u{2028}=3\nD=4\u{1c}#5\n\u{b}E=6",
    "A=1\nA=2\nA=\"\"",
];

fn file() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        6 => "[A-C]=",
        3 => "(x|yz| |\\$|#| #|'|\"|\\\\|\\\\n|=|\u{e9}|\u{a0})",
        2 => "\\$\\{(A|B|NOWHERE|FROM_OUTSIDE|)(:-|:|)(d|)\\}?",
        1 => Just("export ".to_owned()),
        4 => Just("\n".to_owned()),
        1 => Just("\r\n".to_owned()),
    ];
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

/// A name without `=` hides the environment's value from python-dotenv; in the node it changes nothing.
fn asks_for_a_bare_name(values: &BTreeMap<String, Option<String>>, text: &str) -> bool {
    values
        .iter()
        .any(|(name, value)| value.is_none() && text.contains(&format!("${{{name}")))
        || text.contains("${FROM_OUTSIDE") && text.lines().any(|line| line.trim() == "FROM_OUTSIDE")
}

#[test]
fn files_are_read_as_python_reads_them() {
    let mut runner = TestRunner::new(Config::default());
    let strategy = file();
    let mut files: Vec<_> = TABLE.iter().map(|text| (*text).to_owned()).collect();
    while files.len() < FILES {
        files.push(strategy.new_tree(&mut runner).unwrap().current());
    }
    let mut input = String::new();
    for text in &files {
        text.bytes()
            .for_each(|byte| write!(input, "{byte:02x}").unwrap());
        input.push('\n');
    }

    let answers = python::run(PYTHON, &[], input.as_bytes());

    assert_eq!(answers.lines().count(), files.len());
    let mut compared = 0;
    for (text, expected) in files.iter().zip(answers.lines()) {
        let expected: BTreeMap<String, Option<String>> = serde_json::from_str(expected).unwrap();
        if asks_for_a_bare_name(&expected, text) {
            continue;
        }
        let ours = dotenv::read(text.as_bytes(), |name| {
            (name == "FROM_OUTSIDE").then(|| "outside".to_owned())
        });
        assert_eq!(ours.values, expected, "{text:?}");
        compared += usize::from(!expected.is_empty());
    }
    assert!(compared > FILES / 2, "{compared}");
}
