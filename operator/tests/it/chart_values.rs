//! The charts' values against the command line that they become: a chart takes nothing with which the operator would not start.

use std::collections::BTreeSet;

use clap::{Args, Command};
use opensecureconf_operator::{names::ClusterName, run, wait};
use regex::Regex;
use serde_json::{Value, json};

use crate::files;

const OPERATOR: &str = include_str!("../../../helm/opensecureconf-operator/values.schema.json");
const CLUSTER: &str = include_str!("../../../helm/opensecureconf-cluster/values.schema.json");

/// One value of a chart, and samples of it.
struct Sample {
    chart: &'static str,
    /// The place of its schema, as a JSON pointer.
    at: &'static str,
    /// What becomes of it.
    becomes: Becomes,
    /// Chart and operator take these.
    taken: Vec<Value>,
    /// Neither takes these.
    refused: Vec<Value>,
    /// The chart is stricter here: another spelling says the same.
    only_by_the_operator: Vec<Value>,
}

enum Becomes {
    /// An argument of `osc-operator run`.
    Run(&'static str),
    /// An argument of `osc-operator wait`.
    Wait(&'static str),
    /// The name of a cluster.
    ClusterName,
}

impl Becomes {
    fn flag(&self) -> Option<&'static str> {
        match self {
            Self::Run(flag) | Self::Wait(flag) => Some(flag),
            Self::ClusterName => None,
        }
    }

    /// Whether the operator takes it, by its own parser.
    fn takes(&self, value: &Value) -> bool {
        let text = value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned);
        let takes = |command: Command, flag: &str, first: &[&str]| {
            let argument = format!("--{flag}={text}");
            let words = first.iter().copied().chain([argument.as_str()]);
            command.try_get_matches_from(words).is_ok()
        };
        match self {
            Self::Run(flag) => {
                let command = run::Settings::augment_args(Command::new("run"));
                takes(command, flag, &["run"])
            }
            Self::Wait(flag) => {
                let command = wait::Settings::augment_args(Command::new("wait"));
                takes(command, flag, &["wait", "config"])
            }
            Self::ClusterName => ClusterName::new(&text).is_some(),
        }
    }
}

/// Whether a schema takes a value. A keyword that is not known here fails the test.
fn accepts(root: &Value, schema: &Value, value: &Value) -> bool {
    let members = schema.as_object().unwrap();
    members.iter().all(|(keyword, wanted)| {
        let length = |text: &str| u64::try_from(text.chars().count()).unwrap();
        match keyword.as_str() {
            "description" | "default" => true,
            "$ref" => {
                let place = wanted.as_str().unwrap().strip_prefix('#').unwrap();
                accepts(root, root.pointer(place).unwrap(), value)
            }
            "type" => match wanted.as_str().unwrap() {
                "string" => value.is_string(),
                "integer" => value.is_i64() || value.is_u64(),
                other => panic!("type {other}"),
            },
            "minimum" => value
                .as_i64()
                .is_none_or(|value| value >= wanted.as_i64().unwrap()),
            "maximum" => value
                .as_i64()
                .is_none_or(|value| value <= wanted.as_i64().unwrap()),
            // Helm's patterns are those of Go, which this crate follows: `$` is the end of the text.
            "pattern" => {
                let pattern = Regex::new(wanted.as_str().unwrap()).unwrap();
                value.as_str().is_none_or(|text| pattern.is_match(text))
            }
            "minLength" => value
                .as_str()
                .is_none_or(|text| length(text) >= wanted.as_u64().unwrap()),
            "maxLength" => value
                .as_str()
                .is_none_or(|text| length(text) <= wanted.as_u64().unwrap()),
            "not" => !accepts(root, wanted, value),
            other => panic!("this test does not know the keyword {other}"),
        }
    })
}

fn texts(samples: &[&str]) -> Vec<Value> {
    samples.iter().map(|sample| json!(sample)).collect()
}

fn namespaces(at: &'static str, flag: &'static str) -> Sample {
    Sample {
        chart: OPERATOR,
        at,
        becomes: Becomes::Run(flag),
        taken: [
            texts(&["a", "team-a", "0", "a-0"]),
            vec![json!("a".repeat(63))],
        ]
        .concat(),
        refused: [
            texts(&["", "-a", "a-", "A", "a.b", "a b", "a_b", "a\n"]),
            vec![json!("a".repeat(64))],
        ]
        .concat(),
        only_by_the_operator: Vec::new(),
    }
}

fn answer_timeout() -> Sample {
    Sample {
        chart: OPERATOR,
        at: "/properties/answerTimeout",
        becomes: Becomes::Run("answer-timeout"),
        taken: texts(&[
            "1s",
            "9s",
            "10s",
            "90s",
            "3600s",
            "85999s",
            "86400s",
            "1m",
            "10m",
            "90m",
            "90m30s",
            "999m",
            "1439m",
            "1439m59s",
            "1440m",
            "1h",
            "9h",
            "1h30m",
            "1h5s",
            "1h0m0s",
            "23h59m59s",
            "24h",
        ]),
        refused: texts(&[
            "",
            "0s",
            "0m",
            "0h",
            "0h0m0s",
            "90",
            "soon",
            "-5m",
            "25h",
            "48h",
            "100h",
            "24h1s",
            "24h1m",
            "1441m",
            "1440m1s",
            "9999m",
            "86401s",
            "99999s",
            "5m1h",
            "5m5m",
            "h",
            "1d",
            "99999999999999999999s",
        ]),
        only_by_the_operator: texts(&["1h 30m", "1h90m", "05m", "1.5h", "PT5M", "0h5m", "1h\n"]),
    }
}

/// Those of the operator's chart.
fn of_operator() -> Vec<Sample> {
    vec![
        answer_timeout(),
        Sample {
            chart: OPERATOR,
            at: "/properties/maxConcurrentRollouts",
            becomes: Becomes::Run("max-concurrent-rollouts"),
            taken: vec![json!(1), json!(3), json!(10_000)],
            refused: vec![
                json!(0),
                json!(-1),
                json!(1.5),
                json!(10_001),
                json!("many"),
                json!(""),
            ],
            only_by_the_operator: vec![json!("3")],
        },
        namespaces("/properties/watchNamespaces/items", "namespace"),
        namespaces("/properties/excludeNamespaces/items", "exclude-namespace"),
        Sample {
            chart: OPERATOR,
            at: "/properties/clusterDomain",
            becomes: Becomes::Run("cluster-domain"),
            taken: texts(&["cluster.local", "a", "0.1-x", "a-b.c"]),
            refused: [
                texts(&["a..b", ".a", "a.", "A", "a_b", "a.-b", "a-.b", "a b", "-a"]),
                vec![json!("a".repeat(254))],
            ]
            .concat(),
            only_by_the_operator: Vec::new(),
        },
        Sample {
            chart: OPERATOR,
            at: "/properties/fullnameOverride",
            becomes: Becomes::Run("lease-name"),
            taken: texts(&["osc", "osc-2"]),
            refused: texts(&["Osc", "-osc", "osc-", "o s c"]),
            only_by_the_operator: texts(&["osc.2", "2-osc"]),
        },
        Sample {
            chart: OPERATOR,
            at: "/properties/nodeImage/properties/repository",
            becomes: Becomes::Run("node-image"),
            taken: texts(&["registry.example/team/node"]),
            refused: texts(&[""]),
            only_by_the_operator: Vec::new(),
        },
    ]
}

/// Those of the chart of a cluster.
fn of_cluster() -> Vec<Sample> {
    vec![
        Sample {
            chart: CLUSTER,
            at: "/properties/waitForReady/properties/timeout",
            becomes: Becomes::Wait("timeout"),
            taken: texts(&["90s", "5m", "1h30m", "4m", "1h5s", "99999h", "0s"]),
            refused: texts(&[
                "",
                "soon",
                "90",
                "5m1h",
                "1m1m",
                "1s1s",
                "-5m",
                "1d",
                "h",
                "99999999999999999999s",
                "9999999999999999999h",
            ]),
            only_by_the_operator: texts(&["1h 30m", "1.5h"]),
        },
        Sample {
            chart: CLUSTER,
            at: "/properties/name",
            becomes: Becomes::ClusterName,
            taken: [
                texts(&["config", "a", "a-0", "nodes", "a-nodes-2"]),
                vec![json!("a".repeat(40))],
            ]
            .concat(),
            refused: [
                texts(&["A", "-a", "a-", "0a", "a.b", "a b", "config-nodes"]),
                vec![json!("a".repeat(41))],
            ]
            .concat(),
            only_by_the_operator: Vec::new(),
        },
    ]
}

/// Each value that becomes an argument or a name.
fn samples() -> Vec<Sample> {
    [of_operator(), of_cluster()]
        .into_iter()
        .flatten()
        .collect()
}

#[test]
fn a_chart_takes_what_the_operator_takes_and_nothing_else() {
    let mut faults = Vec::new();
    for sample in samples() {
        let root: Value = serde_json::from_str(sample.chart).unwrap();
        let schema = root.pointer(sample.at).unwrap();
        let (taken, refused) = (&sample.taken, &sample.refused);
        let expected = [(taken, (true, true)), (refused, (false, false))];
        let stricter = (&sample.only_by_the_operator, (false, true));
        for (values, expected) in expected.into_iter().chain([stricter]) {
            for value in values {
                let found = (accepts(&root, schema, value), sample.becomes.takes(value));
                if found != expected {
                    let at = sample.at;
                    faults.push(format!(
                        "{at} {value}: (chart, operator) is {found:?}, not {expected:?}"
                    ));
                }
            }
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
}

/// The default of each value is among what both take.
#[test]
fn a_charts_own_defaults_are_taken() {
    for sample in samples() {
        let root: Value = serde_json::from_str(sample.chart).unwrap();
        let schema = root.pointer(sample.at).unwrap();
        // An empty text, or none, is no argument: the operator's own default counts.
        let default = schema
            .get("default")
            .filter(|default| **default != json!(""));
        if let Some(default) = default {
            assert!(accepts(&root, schema, default), "{}", sample.at);
            assert!(sample.becomes.takes(default), "{}", sample.at);
        }
    }
}

#[test]
fn each_argument_that_a_template_makes_of_a_value_has_samples() {
    let sampled: BTreeSet<_> = samples()
        .iter()
        .filter_map(|sample| sample.becomes.flag())
        .map(str::to_owned)
        .collect();
    let template = |text: &str| {
        let made = text.split("printf \"--").skip(1);
        made.filter_map(|rest| Some(rest.split_once('=')?.0.to_owned()))
            .collect::<Vec<_>>()
    };
    let files = files::below("helm", &["yaml", "tpl"]);
    let made: BTreeSet<_> = files.iter().flat_map(|file| template(&file.text)).collect();
    assert!(made.len() >= 5, "{made:?}");
    let without: Vec<_> = made.difference(&sampled).collect();
    assert_eq!(without, Vec::<&String>::new());
}
