//! Each rule stands twice, as CEL for the API server and as Rust for the operator: both give the same verdict on the same input.

mod inputs;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::IpAddr,
    sync::Arc,
};

use cel::{Context, Env, Program, extractors::This};
use serde_json::Value;

use super::*;
use inputs::inputs;

/// Fields of which the API server cannot tell everything: the operator refuses more, and never less.
const OPERATOR_REFUSES_MORE: [&str; 4] = [
    "spec.monitoring.serviceMonitor.scrapeTimeout",
    "spec.upgrade.window.schedule",
    "spec.upgrade.window.duration",
    "spec.upgrade.window.timeZone",
];

#[test]
fn the_api_server_and_the_operator_give_the_same_verdict() {
    let (context, programs) = (environment(), programs());
    let mut verdicts: BTreeMap<usize, BTreeSet<bool>> = BTreeMap::new();
    let mut differ = Vec::new();
    for (name, spec) in inputs() {
        let yaml = format!(
            "apiVersion: opensecureconf.io/v1alpha1\nkind: OpenSecureConfCluster\nmetadata: {{name: {name}}}\nspec: {spec}\n"
        );
        let cluster: OpenSecureConfCluster = serde_saphyr::from_str(&yaml).unwrap();
        let object = serde_json::to_value(&cluster).unwrap();
        for (index, (rule, program)) in RULES.iter().zip(&programs).enumerate() {
            let Some(holds) = rule.holds else { continue };
            let of_operator = holds(&cluster);
            let of_server = kept(program, &object, rule.at, &context);
            verdicts.entry(index).or_default().insert(of_server);
            let may_differ = OPERATOR_REFUSES_MORE.contains(&rule.field) && !of_operator;
            if of_server != of_operator && !may_differ {
                differ.push(format!(
                    "{} of {name} {spec}: the API server {of_server}, the operator {of_operator}",
                    rule.field
                ));
            }
        }
    }
    assert!(differ.is_empty(), "{differ:#?}");
    for (index, verdicts) in verdicts {
        let field = RULES[index].field;
        assert_eq!(verdicts.len(), 2, "{field}: no input of both kinds");
    }
}

/// Whether the API server lets the object pass; a rule about a field that is not there is not asked.
fn kept(program: &Program, object: &Value, at: &str, context: &Context<'_, '_>) -> bool {
    let place = at.replace("/properties", "");
    let Some(part) = object.pointer(&place) else {
        return true;
    };
    let mut context = context.new_inner_scope();
    context.add_variable_from_value("self", read(part));
    // An expression that fails refuses the object.
    program.execute(&context) == Ok(cel::Value::Bool(true))
}

fn programs() -> Vec<Program> {
    let compiled = |rule: &Rule| {
        let program = Program::compile(rule.cel);
        program.unwrap_or_else(|error| panic!("{}: {error}", rule.cel))
    };
    RULES.iter().map(compiled).collect()
}

/// With integers as the API server reads them.
fn read(value: &Value) -> cel::Value {
    match value {
        Value::Null => cel::Value::Null,
        Value::Bool(flag) => (*flag).into(),
        Value::Number(number) => number.as_i64().unwrap().into(),
        Value::String(text) => text.as_str().into(),
        Value::Array(items) => items.iter().map(read).collect::<Vec<_>>().into(),
        Value::Object(members) => {
            let members = members.iter();
            let members = members.map(|(name, member)| (name.clone(), read(member)));
            members.collect::<HashMap<String, cel::Value>>().into()
        }
    }
}

/// CEL with the libraries of Kubernetes that the rules use.
fn environment() -> Context<'static, 'static> {
    let mut context = Context::with_env(Arc::new(Env::stdlib()));
    let text = |text: &Arc<String>| text.as_str().to_owned();
    context
        .add_function("isQuantity", move |it: Arc<String>| {
            quantity(&text(&it)).is_some()
        })
        .unwrap();
    context
        .add_function("quantity", move |it: Arc<String>| {
            quantity(&text(&it)).unwrap_or(f64::NAN)
        })
        .unwrap();
    context
        .add_function("isLessThan", |This(this): This<f64>, other: f64| {
            this < other
        })
        .unwrap();
    context
        .add_function("isGreaterThan", |This(this): This<f64>, other: f64| {
            this > other
        })
        .unwrap();
    context
        .add_function("isIP", move |it: Arc<String>| is_ip(&text(&it)))
        .unwrap();
    context
        .add_function("isCIDR", move |it: Arc<String>| is_cidr(&text(&it)))
        .unwrap();
    context
}

/// `k8s.io/apimachinery/pkg/api/resource`.
fn quantity(text: &str) -> Option<f64> {
    let form = "^([+-]?(?:[0-9]+(?:[.][0-9]*)?|[.][0-9]+))(?:([KMGTPE]i)|([numkMGTPE])|([eE][+-]?[0-9]+))?$";
    let parts = regex::Regex::new(form).unwrap().captures(text)?;
    let number: f64 = parts[1].parse().unwrap();
    let power = |list: &str, suffix: &str| i32::try_from(list.find(&suffix[..1]).unwrap()).unwrap();
    let factor = if let Some(binary) = parts.get(2) {
        1024_f64.powi(power(" KMGTPE", binary.as_str()))
    } else if let Some(decimal) = parts.get(3) {
        1000_f64.powi(power("num kMGTPE", decimal.as_str()) - 3)
    } else {
        let exponent = parts.get(4).map_or("0", |exponent| &exponent.as_str()[1..]);
        10_f64.powi(exponent.parse().unwrap())
    };
    Some(number * factor)
}

/// `k8s.io/apiserver/pkg/cel/library/ip.go`: Go's `netip.ParseAddr`, without zones and without IPv4 in IPv6.
fn is_ip(text: &str) -> bool {
    let address: Option<IpAddr> = text.parse().ok();
    address.is_some_and(
        |address| !matches!(address, IpAddr::V6(six) if six.to_ipv4_mapped().is_some()),
    )
}

/// `k8s.io/apiserver/pkg/cel/library/cidr.go`: the same with the length of a prefix, in digits without a zero before them.
fn is_cidr(text: &str) -> bool {
    let Some((address, length)) = text.split_once('/') else {
        return false;
    };
    let longest = if address.contains(':') { 128 } else { 32 };
    let digits = regex::Regex::new("^(0|[1-9][0-9]*)$").unwrap();
    is_ip(address) && digits.is_match(length) && length.parse::<u32>().unwrap() <= longest
}
