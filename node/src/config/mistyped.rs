//! Names that look like settings and are none. Pure.

use super::{SETTINGS, Setting};

/// What the node says of such a name: that it has no effect, and which setting it was probably meant to be.
pub(crate) fn remark(name: &str) -> String {
    let nothing = format!("{name} is no setting of this node and has no effect");
    match nearest(name) {
        Some(setting) => format!("{nothing}; did you mean {setting}?"),
        None => nothing,
    }
}

/// The variable of the setting that differs from this name in one letter of four at most.
fn nearest(name: &str) -> Option<String> {
    // What all names begin with makes none of them like another one.
    let bare = name.strip_prefix("OSC_").unwrap_or(name);
    let distance = |setting: &&Setting| strsim::damerau_levenshtein(bare, setting.name);
    let setting = SETTINGS.iter().min_by_key(distance)?;
    (distance(&setting) * 4 <= bare.len()).then(|| setting.variable())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_letters_exchanged_left_out_or_added_finds_its_setting() {
        for (name, meant) in [
            ("OSC_API_KEY_REQUIERD", "OSC_API_KEY_REQUIRED"),
            ("OSC_HOST_PROT", "OSC_HOST_PORT"),
            ("OSC_HOSTPORT", "OSC_HOST_PORT"),
            ("OSC_CLUSTER_NODSE", "OSC_CLUSTER_NODES"),
            ("OSC_CORS_ORIGINS", "CORS_ORIGINS"),
        ] {
            assert_eq!(nearest(name).as_deref(), Some(meant), "{name}");
        }
    }

    #[test]
    fn a_name_that_resembles_no_setting_finds_none() {
        for name in ["OSC_DATABASE", "OSC_PORT", "OSC_", "OSC_X"] {
            assert_eq!(nearest(name), None, "{name}");
        }
    }
}
