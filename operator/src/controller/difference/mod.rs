//! The differences between an object and its wanted state, and their authors. An apply is sent only for such a difference.

mod owners;
mod pointer;
mod quantity;

use std::fmt;

use serde_json::{Map, Value};

pub use owners::{Foreign, last_manager, manager_of, set_by_others, taken_over, unwanted};
pub use pointer::Pointer;
pub(crate) use quantity::amount;

/// A field, by its way from the root of its object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldPath(Vec<Step>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    /// A member of an object or a map.
    Field(String),
    /// The item of a list whose items have keys.
    Item(Map<String, Value>),
    /// The item of another list, which one owner has as a whole.
    Place(usize),
}

impl FieldPath {
    /// How many pods a StatefulSet has.
    pub fn replicas() -> Self {
        Self::of(&["spec", "replicas"])
    }

    /// A way through members alone.
    pub fn of(names: &[&str]) -> Self {
        let field = |name: &&str| Step::Field((*name).to_owned());
        Self(names.iter().map(field).collect())
    }

    /// Whether this field lies within another one.
    pub fn is_below(&self, other: &Self) -> bool {
        self.0.starts_with(&other.0)
    }
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, step) in self.0.iter().enumerate() {
            match step {
                Step::Field(name) if at == 0 => f.write_str(name)?,
                Step::Field(name) => write!(f, ".{name}")?,
                Step::Item(keys) => {
                    let values: Vec<_> = keys
                        .values()
                        .map(|value| match value {
                            Value::String(text) => text.clone(),
                            other => other.to_string(),
                        })
                        .collect();
                    write!(f, "[{}]", values.join(","))?;
                }
                Step::Place(place) => write!(f, "[{place}]")?,
            }
        }
        Ok(())
    }
}

/// The fields that `wanted` sets and `live` has otherwise or not at all. Other fields of `live` do not matter: the API server's
/// defaults, and the fields of others.
pub fn differing(wanted: &Value, live: &Value) -> Vec<FieldPath> {
    let mut search = Search::default();
    search.compare(wanted, Some(live));
    search.found
}

#[derive(Default)]
struct Search {
    path: Vec<Step>,
    found: Vec<FieldPath>,
}

impl Search {
    fn compare(&mut self, wanted: &Value, live: Option<&Value>) {
        match (wanted, live) {
            // A selector with more labels than ours selects other objects.
            (Value::Object(wanted), Some(Value::Object(live)))
                if self.is_atomic() && live.keys().any(|name| !wanted.contains_key(name)) =>
            {
                self.found.push(FieldPath(self.path.clone()));
            }
            (Value::Object(wanted), Some(Value::Object(live))) => {
                for (name, value) in wanted {
                    self.below(Step::Field(name.clone()), value, live.get(name));
                }
            }
            (Value::Array(wanted), Some(Value::Array(live))) => self.compare_lists(wanted, live),
            // The API server does not store every empty value.
            (wanted, None) if is_empty(wanted) => {}
            (wanted, Some(live)) if self.is_same(wanted, live) => {}
            _ => self.found.push(FieldPath(self.path.clone())),
        }
    }

    fn below(&mut self, step: Step, wanted: &Value, live: Option<&Value>) {
        self.path.push(step);
        self.compare(wanted, live);
        self.path.pop();
    }

    fn compare_lists(&mut self, wanted: &[Value], live: &[Value]) {
        let keys: Option<Vec<_>> = wanted.iter().map(|item| self.keys(item)).collect();
        if let Some(keys) = keys.filter(|keys| !keys.is_empty()) {
            for (item, keys) in wanted.iter().zip(keys) {
                let there = live.iter().find(|live| has(live, &keys));
                self.below(Step::Item(keys), item, there);
            }
        } else if wanted.len() == live.len() {
            for (place, (wanted, live)) in wanted.iter().zip(live).enumerate() {
                self.below(Step::Place(place), wanted, Some(live));
            }
        } else {
            self.found.push(FieldPath(self.path.clone()));
        }
    }

    /// Whether the map at this path has one owner as a whole, and no defaults.
    fn is_atomic(&self) -> bool {
        let is_named = |name: &str| ["selector", "nodeSelector", "matchLabels"].contains(&name);
        matches!(self.path.last(), Some(Step::Field(name)) if is_named(name))
    }

    /// The keys of an item of the list at this path, where several managers may own items of it.
    fn keys(&self, item: &Value) -> Option<Map<String, Value>> {
        let is_whole = |step: &Step| match step {
            Step::Field(name) => ["ingress", "egress", "volumeClaimTemplates"].contains(&&**name),
            Step::Place(_) => true,
            Step::Item(_) => false,
        };
        if self.path.iter().any(is_whole) {
            return None;
        }
        let Some(Step::Field(list)) = self.path.last() else {
            return None;
        };
        item_keys(list, item)
    }

    fn is_same(&self, wanted: &Value, live: &Value) -> bool {
        let amount = |value: &Value| match value {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        };
        wanted == live
            || self.is_amount()
                && amount(wanted)
                    .zip(amount(live))
                    .is_some_and(|(wanted, live)| quantity::is_same(&wanted, &live))
    }

    fn is_amount(&self) -> bool {
        match self.path.as_slice() {
            [.., Step::Field(last)] if last == "sizeLimit" => true,
            [.., Step::Field(list), Step::Field(_)] => ["requests", "limits"].contains(&&**list),
            _ => false,
        }
    }
}

/// The keys of an item of the list with this name; `None` where one manager owns the list as a whole.
pub(crate) fn item_keys(list: &str, item: &Value) -> Option<Map<String, Value>> {
    let names: &[&str] = match list {
        "containers" | "initContainers" | "env" | "volumes" | "imagePullSecrets" => &["name"],
        "volumeMounts" => &["mountPath"],
        "ownerReferences" => &["uid"],
        "topologySpreadConstraints" => &["topologyKey", "whenUnsatisfiable"],
        "ports" if item.get("containerPort").is_some() => &["containerPort", "protocol"],
        "ports" => &["port", "protocol"],
        _ => return None,
    };
    let item = item.as_object()?;
    let keys: Map<_, _> = names
        .iter()
        .filter_map(|&name| Some((name.to_owned(), item.get(name)?.clone())))
        .collect();
    (!keys.is_empty()).then_some(keys)
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
        _ => false,
    }
}

fn has(item: &Value, keys: &Map<String, Value>) -> bool {
    keys.iter()
        .all(|(name, value)| item.get(name) == Some(value))
}

#[cfg(test)]
mod recorded;
#[cfg(test)]
mod tests;
