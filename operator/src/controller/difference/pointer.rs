//! Where a field stands in an object, as JSON patches name it.

use std::fmt;

use serde_json::Value;

use super::{FieldPath, Step, has};

/// The place of a field in one very object: an item of a list by its number there. Sorted places in one list are in its order.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pointer(Vec<Token>);

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Token {
    Member(String),
    Item(usize),
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for token in &self.0 {
            match token {
                Token::Member(name) => {
                    write!(f, "/{}", name.replace('~', "~0").replace('/', "~1"))?;
                }
                Token::Item(place) => write!(f, "/{place}")?,
            }
        }
        Ok(())
    }
}

impl FieldPath {
    /// Where this field stands in `object`; `None` where it is not there.
    pub fn pointer(&self, object: &Value) -> Option<Pointer> {
        self.find(object).map(|(pointer, _)| pointer)
    }

    /// The value at this place.
    pub fn value<'a>(&self, object: &'a Value) -> Option<&'a Value> {
        self.find(object).map(|(_, value)| value)
    }

    fn find<'a>(&self, object: &'a Value) -> Option<(Pointer, &'a Value)> {
        let (mut at, mut tokens) = (object, Vec::new());
        for step in &self.0 {
            let (token, next) = match step {
                Step::Field(name) => (Token::Member(name.clone()), at.get(name)?),
                Step::Place(place) => (Token::Item(*place), at.get(place)?),
                Step::Item(keys) => {
                    let items = at.as_array()?;
                    let place = items.iter().position(|item| has(item, keys))?;
                    (Token::Item(place), items.get(place)?)
                }
            };
            tokens.push(token);
            at = next;
        }
        Some((Pointer(tokens), at))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_item_is_found_by_its_keys_and_named_by_its_place() {
        let object = json!({ "metadata": { "annotations": { "a.b/c~d": "x" } },
            "containers": [{ "name": "a" }, { "name": "node", "env": [{ "name": "FOO" }] }] });
        let keyed =
            |name: &str| Step::Item([("name".to_owned(), json!(name))].into_iter().collect());
        let field = |name: &str| Step::Field(name.to_owned());
        let foo = FieldPath(vec![
            field("containers"),
            keyed("node"),
            field("env"),
            keyed("FOO"),
        ]);
        assert_eq!(
            foo.pointer(&object).unwrap().to_string(),
            "/containers/1/env/0"
        );
        assert_eq!(foo.value(&object), Some(&json!({ "name": "FOO" })));
        let escaped = FieldPath::of(&["metadata", "annotations", "a.b/c~d"]);
        assert_eq!(
            escaped.pointer(&object).unwrap().to_string(),
            "/metadata/annotations/a.b~1c~0d"
        );
        assert_eq!(FieldPath::of(&["spec"]).pointer(&object), None);
    }

    #[test]
    fn places_are_sorted_as_numbers() {
        let at = |place| Pointer(vec![Token::Member("env".to_owned()), Token::Item(place)]);
        assert!(at(9) < at(10));
    }
}
