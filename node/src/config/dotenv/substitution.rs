//! `${NAME}` and `${NAME:-default}` in a value.

/// A value in which names were replaced.
pub(super) struct Substituted {
    pub(super) text: String,
    /// Whether any reference was replaced.
    pub(super) replaced: bool,
    /// The first name that has no value and no default; its reference is replaced with an empty text.
    pub(super) missing: Option<Missing>,
}

pub(super) struct Missing(pub(super) String);

/// Replaces the references for which `known` has a value. A `$` without a reference stays as it is.
pub(super) fn substitute(text: &str, known: impl Fn(&str) -> Option<String>) -> Substituted {
    let mut result = Substituted {
        text: String::with_capacity(text.len()),
        replaced: false,
        missing: None,
    };
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once("${") {
        result.text.push_str(before);
        let Some((name, default, behind)) = reference(behind) else {
            result.text.push_str("${");
            rest = behind;
            continue;
        };
        result.replaced = true;
        match known(name).or_else(|| default.map(str::to_owned)) {
            Some(value) => result.text.push_str(&value),
            None if result.missing.is_none() => result.missing = Some(Missing(name.to_owned())),
            None => {}
        }
        rest = behind;
    }
    result.text.push_str(rest);
    result
}

/// The parts behind `${`: the name, its default, and the text behind `}`.
fn reference(text: &str) -> Option<(&str, Option<&str>, &str)> {
    let end = text.find([':', '}'])?;
    let (name, behind) = text.split_at_checked(end)?;
    if let Some(behind) = behind.strip_prefix('}') {
        return Some((name, None, behind));
    }
    let (default, behind) = behind.strip_prefix(":-")?.split_once('}')?;
    Some((name, Some(default), behind))
}
