//! The texts that Kubernetes accepts as names of objects, namespaces and entries. Every text in the path of a request is
//! checked first.

/// Names of most objects, as a pattern of OpenAPI (DNS-1123 subdomain).
pub const SUBDOMAIN: &str = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$";
/// The same, or an empty text.
pub const SUBDOMAIN_OR_NOTHING: &str =
    r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*)?$";
/// Entries of Secrets and `ConfigMaps`: no path, and not hidden among those that Kubernetes makes itself.
pub const ENTRY: &str = r"^(\.?[-_a-zA-Z0-9])[-._a-zA-Z0-9]*$";
/// Longest name of an object, and of an entry (Kubernetes: 253).
pub const LONGEST: usize = 253;

/// Whether this can be the name of a namespace (DNS-1123 label).
pub fn is_label(text: &str) -> bool {
    let end = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = text.as_bytes();
    bytes.len() <= 63
        && bytes.first().is_some_and(|byte| end(*byte))
        && bytes.last().is_some_and(|byte| end(*byte))
        && bytes.iter().all(|byte| end(*byte) || *byte == b'-')
}

/// Whether this can be the name of an object.
pub fn is_subdomain(text: &str) -> bool {
    let end = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let is_part = |part: &str| {
        let bytes = part.as_bytes();
        bytes.first().is_some_and(|byte| end(*byte))
            && bytes.last().is_some_and(|byte| end(*byte))
            && bytes.iter().all(|byte| end(*byte) || *byte == b'-')
    };
    text.len() <= LONGEST && text.split('.').all(is_part)
}

/// Whether this can be the name of an entry of a Secret.
pub fn is_entry(text: &str) -> bool {
    let is_character = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    !text.is_empty()
        && text.len() <= LONGEST
        && text.bytes().all(is_character)
        && text != "."
        && !text.starts_with("..")
}

/// A namespace of the command line.
///
/// # Errors
/// The rules of a namespace's name, where the text breaks them.
pub fn namespace(text: &str) -> Result<String, String> {
    if is_label(text) {
        Ok(text.to_owned())
    } else {
        Err("a namespace has letters a-z, digits and '-', begins and ends with a letter or a digit, and has 63 characters at most".to_owned())
    }
}

/// The name of an object on the command line.
///
/// # Errors
/// The rules of a name, where the text breaks them.
pub fn object_name(text: &str) -> Result<String, String> {
    if is_subdomain(text) {
        Ok(text.to_owned())
    } else {
        Err("a name has letters a-z, digits, '-' and '.', and begins and ends with a letter or a digit".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Texts that would change the meaning of a request path.
    const TRICKS: [&str; 8] = [
        "",
        "x/../y",
        "x?watch=true&z=",
        "x#y",
        "a b",
        "..",
        "x%2fy",
        "x\n",
    ];

    #[test]
    fn nothing_that_changes_a_request_is_a_name() {
        for trick in TRICKS {
            assert!(!is_subdomain(trick), "{trick:?}");
            assert!(!is_label(trick), "{trick:?}");
            assert!(!is_entry(trick), "{trick:?}");
        }
    }

    #[test]
    fn names_are_those_of_kubernetes() {
        for name in ["a", "a-b", "a.b-c.1", "0"] {
            assert!(is_subdomain(name), "{name}");
        }
        for name in ["A", "-a", "a-", "a..b", ".a", "a.", "a_b", "a.-b"] {
            assert!(!is_subdomain(name), "{name}");
        }
        assert!(is_subdomain(&"a".repeat(253)) && !is_subdomain(&"a".repeat(254)));
        assert!(is_label("team-a") && !is_label("team.a") && !is_label(&"a".repeat(64)));
        for entry in ["api-key", "A_b.c", ".hidden", "-x"] {
            assert!(is_entry(entry), "{entry}");
        }
        for entry in [".", "..x", "a,b"] {
            assert!(!is_entry(entry), "{entry}");
        }
    }
}
