//! Merges the changes of the resource's fields into a pod template that another operator rendered. Pure.
//!
//! Three templates are compared, place by place: one rendered for the earlier fields, one for the present fields, and the
//! accepted one. The differences between the first two are the user's, and go into the third.

use serde_json::{Map, Value};

use crate::controller::difference;

/// The user changed a place where the accepted template differs from the one rendered for the earlier fields: no code can
/// decide what the change means there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Conflict;

/// Merges the change.
///
/// # Errors
/// Where one place is not known. Nothing is merged then: half of a change would make a template that no operator rendered.
pub(super) fn merge(before: &Value, after: &Value, accepted: &Value) -> Result<Value, Conflict> {
    let merged = place("", Some(before), Some(after), Some(accepted))?;
    Ok(merged.unwrap_or_default())
}

/// Maps whose entries may have several managers: a user's entries stand beside the operator's.
const SHARED_MAPS: [&str; 2] = ["labels", "annotations"];

fn place(
    name: &str,
    before: Option<&Value>,
    after: Option<&Value>,
    accepted: Option<&Value>,
) -> Result<Option<Value>, Conflict> {
    if before == after {
        return Ok(accepted.cloned());
    }
    if accepted == before || accepted == after {
        return Ok(after.cloned());
    }
    let all = [before, after, accepted];
    let are = |is: fn(&Value) -> bool| all.iter().flatten().all(|value| is(value));
    // An empty map or list.
    let stays = after.is_some() && accepted.is_some();
    let is_keyed = || all.iter().flatten().all(|list| is_keyed(name, list));
    if are(Value::is_array) && is_keyed() {
        let merged = items(name, before, after, accepted)?;
        return Ok((!merged.is_empty() || stays).then(|| merged.into()));
    }
    let are_all_there = all.iter().all(Option::is_some);
    if are(Value::is_object) && (are_all_there || SHARED_MAPS.contains(&name)) {
        let merged = members(before, after, accepted)?;
        return Ok((!merged.is_empty() || stays).then(|| merged.into()));
    }
    match after {
        // A place that the user removed is gone, however it was rendered.
        None => Ok(None),
        Some(_) => Err(Conflict),
    }
}

fn members(
    before: Option<&Value>,
    after: Option<&Value>,
    accepted: Option<&Value>,
) -> Result<Map<String, Value>, Conflict> {
    let mut merged = Map::new();
    for name in names(accepted).chain(names(after)).chain(names(before)) {
        if merged.contains_key(name) {
            continue;
        }
        let of = |value: Option<&Value>| value.and_then(|value| value.get(name)).cloned();
        let (before, after, accepted) = (of(before), of(after), of(accepted));
        let value = place(name, before.as_ref(), after.as_ref(), accepted.as_ref())?;
        if let Some(value) = value {
            merged.insert(name.clone(), value);
        }
    }
    Ok(merged)
}

fn names(value: Option<&Value>) -> impl Iterator<Item = &String> {
    let members = value.and_then(Value::as_object);
    members.into_iter().flat_map(Map::keys)
}

type Keys = Map<String, Value>;

fn items(
    list: &str,
    before: Option<&Value>,
    after: Option<&Value>,
    accepted: Option<&Value>,
) -> Result<Vec<Value>, Conflict> {
    let [before, after, accepted] = [before, after, accepted].map(|value| keyed(list, value));
    let all: Vec<_> = order(&before, &after, &accepted);
    let mut merged = Vec::new();
    for keys in all {
        let of = |items: &[(Keys, &Value)]| {
            let item = items.iter().find(|(there, _)| *there == keys);
            item.map(|(_, item)| (*item).clone())
        };
        let (before, after, accepted) = (of(&before), of(&after), of(&accepted));
        merged.extend(place(
            "",
            before.as_ref(),
            after.as_ref(),
            accepted.as_ref(),
        )?);
    }
    Ok(merged)
}

/// The order of items: that of the accepted template, unless the user changed the order. An item that only the other template
/// has follows its predecessor there.
fn order(
    before: &[(Keys, &Value)],
    after: &[(Keys, &Value)],
    accepted: &[(Keys, &Value)],
) -> Vec<Keys> {
    let has = |list: &[(Keys, &Value)], keys: &Keys| list.iter().any(|(there, _)| there == keys);
    let common = |list: &[(Keys, &Value)], other: &[(Keys, &Value)]| -> Vec<Keys> {
        let kept = list.iter().filter(|(keys, _)| has(other, keys));
        kept.map(|(keys, _)| keys.clone()).collect()
    };
    let is_moved = common(before, after) != common(after, before);
    let (first, second) = if is_moved {
        (after, accepted)
    } else {
        (accepted, after)
    };
    let mut order: Vec<Keys> = first.iter().map(|(keys, _)| keys.clone()).collect();
    let mut previous: Option<&Keys> = None;
    for (keys, _) in second {
        if !order.contains(keys) {
            let place = previous.and_then(|previous| order.iter().position(|at| at == previous));
            order.insert(place.map_or(0, |place| place + 1), keys.clone());
        }
        previous = Some(keys);
    }
    order
}

fn keyed<'a>(list: &str, value: Option<&'a Value>) -> Vec<(Keys, &'a Value)> {
    let items = value.and_then(Value::as_array).into_iter().flatten();
    items
        .filter_map(|item| Some((difference::item_keys(list, item)?, item)))
        .collect()
}

/// Whether each item has keys of its own.
fn is_keyed(name: &str, list: &Value) -> bool {
    let keyed = keyed(name, Some(list));
    let is_first = |place: usize, keys: &Keys| {
        keyed.iter().position(|(other, _)| other == keys) == Some(place)
    };
    let all = list
        .as_array()
        .is_some_and(|items| items.len() == keyed.len());
    all && keyed
        .iter()
        .enumerate()
        .all(|(place, (keys, _))| is_first(place, keys))
}

#[cfg(test)]
mod tests;
