//! A respelled text equals the output of its tree.

use proptest::prelude::*;

use super::*;

/// A JSON text as clients write it: blanks anywhere, escapes of all kinds, numbers of all shapes, few names so that some are
/// there twice.
fn text() -> impl Strategy<Value = String> {
    let blank = "[ \t\n\r]{0,2}";
    let string = proptest::collection::vec(
        prop_oneof![
            "[a-z é€😀~\u{7f}/]{0,3}",
            Just(r"\n".to_owned()),
            Just(r#"\""#.to_owned()),
            Just(r"\\".to_owned()),
            Just(r"\/".to_owned()),
            Just(r"\b\f\r\t".to_owned()),
            r"\\u[dD][89abAB][0-9a-f]{2}",
            r"\\u[dD][c-fC-F][0-9a-f]{2}",
            r"\\u00[0-9a-f]{2}",
            r"\\u[0-9a-c][0-9a-f]{3}",
        ],
        0..4,
    )
    .prop_map(|parts| format!("\"{}\"", parts.concat()));
    let scalar = prop_oneof![
        "null|true|false|NaN|Infinity|-Infinity|-0|-0\\.0|1e400|-1e-7",
        "-?[1-9][0-9]{0,25}",
        "-?[1-9][0-9]{0,3}\\.[0-9]{1,5}",
        "[1-9]\\.[0-9]{1,3}[eE][+-]?[0-9]{1,3}",
        string.clone(),
    ];
    let name = prop_oneof![
        3 => "\"[ab]\"",
        1 => Just(r#""\u0061""#.to_owned()),
        1 => Just(r#""\ud800""#.to_owned()),
        2 => string,
    ];
    scalar.prop_recursive(4, 40, 6, move |inner| {
        let items = proptest::collection::vec((blank, inner.clone(), blank), 0..5);
        let members = proptest::collection::vec((blank, name.clone(), blank, inner), 0..6);
        prop_oneof![
            items.prop_map(|items| {
                let items: Vec<_> = items
                    .into_iter()
                    .map(|(before, item, after)| format!("{before}{item}{after}"))
                    .collect();
                format!("[{}]", items.join(","))
            }),
            members.prop_map(|members| {
                let members: Vec<_> = members
                    .into_iter()
                    .map(|(before, name, blank, value)| {
                        format!("{before}{name}{blank}:{blank}{value}")
                    })
                    .collect();
                format!("{{{}}}", members.join(","))
            }),
        ]
    })
}

const LIMITS: Limits = Limits {
    depth: 64,
    values: usize::MAX,
};

fn has_duplicates(value: &str) -> bool {
    inspect(value, LIMITS).unwrap().has_duplicates
}

fn respelled(text: &str) -> [String; 2] {
    let (mut wire, mut storage) = (String::new(), String::new());
    respell_for_wire(text, &mut wire).unwrap();
    respell_for_storage(text, &mut storage).unwrap();
    [wire, storage]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn a_text_is_respelled_as_its_tree_is_spelled(text in text()) {
        let tree = parse(&text, LIMITS.depth).unwrap();
        let findings = inspect(&text, LIMITS).unwrap();
        if findings.has_duplicates {
            // A tree keeps no duplicates.
            prop_assert!(!has_duplicates(&tree.to_python()));
        } else {
            prop_assert_eq!(respelled(&text), [tree.to_wire(), tree.to_python()]);
            prop_assert_eq!(findings.has_lone_surrogate, tree.has_lone_surrogate());
            let mut plain = String::new();
            respell_as_text(&text, &mut plain).unwrap();
            let characters = if let Json::String(characters) = &tree {
                characters.as_str().map(str::to_owned)
            } else {
                Some(tree.to_wire())
            };
            prop_assert!(characters.is_none_or(|characters| characters == plain));
        }
        // A stored text is read back the same.
        prop_assert_eq!(respelled(&tree.to_python()), [tree.to_wire(), tree.to_python()]);
    }

    #[test]
    fn whatever_is_read_is_inspected_with_the_same_words(text in "[\\[\\]{}:, \"\\\\au0-9dDeE.+-]{0,24}", valid in text(), cut in 0_usize..60) {
        let cut = (0..=cut.min(valid.len())).rev().find(|at| valid.is_char_boundary(*at)).unwrap_or(0);
        for text in [text.as_str(), &valid[..cut]] {
            prop_assert_eq!(inspect(text, LIMITS).map(drop), parse(text, LIMITS.depth).map(drop));
        }
    }
}

#[test]
fn values_are_counted_within_the_value() {
    let limits = |values| Limits { depth: 8, values };
    let text = r#"[1, {"a": [2]}]"#;
    assert_eq!(inspect(text, limits(4)).unwrap().values, 4);
    let error = inspect(text, limits(3)).unwrap_err();
    assert_eq!(error, ParseError::TooManyValues { most: 3 });
}

#[test]
fn the_last_of_each_member_is_found_where_it_stands() {
    let text = r#"{"value": 1, "key": "k", "v\u0061lue": {"a": [1], "a": 2}, "other": "\ud800"}"#;
    let root = inspect_members(text, LIMITS, &["key", "value", "category"]).unwrap();
    let Root::Object(members) = root else {
        panic!("{root:?}");
    };
    let [Some(key), Some(value), None] = members.as_slice() else {
        panic!("{members:?}");
    };
    assert_eq!(&text[key.at.clone()], r#""k""#);
    assert_eq!(&text[value.at.clone()], r#"{"a": [1], "a": 2}"#);
    assert!(value.findings.has_duplicates && !value.findings.has_lone_surrogate);
    assert_eq!(value.findings.values, 3);
    assert_eq!(inspect_members("null", LIMITS, &[]), Ok(Root::Null));
    assert_eq!(inspect_members("[]", LIMITS, &[]), Ok(Root::Other));
}

#[test]
fn the_members_of_each_item_are_found_where_they_stand() {
    let text = r#"[{"key": "a", "value": [{"key": 1}]}, 7, {"value": {"a": 1, "a": 2}}, null, [{"key": 2}]]"#;
    let items = inspect_items(text, LIMITS, 5, &["key", "value"]).unwrap();
    let Items::Array(items) = items else {
        panic!("{items:?}");
    };
    let [
        Root::Object(first),
        Root::Other,
        Root::Object(third),
        Root::Null,
        Root::Other,
    ] = items.as_slice()
    else {
        panic!("{items:?}");
    };
    let found = |members: &[Option<Member>]| -> Vec<Option<String>> {
        let texts = members.iter().map(Option::as_ref);
        texts
            .map(|member| member.map(|member| text[member.at.clone()].to_owned()))
            .collect()
    };
    let texts = |texts: [Option<&str>; 2]| texts.map(|text| text.map(str::to_owned)).to_vec();
    assert_eq!(
        found(first),
        texts([Some(r#""a""#), Some(r#"[{"key": 1}]"#)])
    );
    assert_eq!(found(third), texts([None, Some(r#"{"a": 1, "a": 2}"#)]));
    let duplicates = |members: &[Option<Member>]| {
        members[1]
            .as_ref()
            .is_some_and(|member| member.findings.has_duplicates)
    };
    assert!(duplicates(third) && !duplicates(first));
    let too_many = inspect_items(text, LIMITS, 4, &["key"]);
    assert_eq!(too_many, Err(ParseError::TooManyItems { most: 4 }));
    assert_eq!(
        inspect_items("[]", LIMITS, 0, &[]),
        Ok(Items::Array(vec![]))
    );
    assert_eq!(inspect_items("null", LIMITS, 1, &[]), Ok(Items::Null));
    let object = r#"{"a": 1, "b": 2, "c": [{}]}"#;
    assert_eq!(inspect_items(object, LIMITS, 1, &[]), Ok(Items::Other));
}

#[test]
fn an_item_may_be_as_deep_as_a_text_of_its_own() {
    let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
    let item = format!("{{\"value\": {}}}", nested(LIMITS.depth - 1));
    inspect_members(&item, LIMITS, &["value"]).unwrap();
    inspect_items(&format!("[{item}]"), LIMITS, 1, &["value"]).unwrap();
    let deeper = format!("{{\"value\": {}}}", nested(LIMITS.depth));
    let error = inspect_items(&format!("[{deeper}]"), LIMITS, 1, &["value"]);
    assert_eq!(error, Err(ParseError::TooDeep));
}

#[test]
fn names_are_found_twice_in_large_objects_too() {
    let members = |last: &str| {
        let all: Vec<_> = (0..100).map(|n| format!("\"n{n}\": {n}")).collect();
        format!("{{{}, \"{last}\": 1}}", all.join(", "))
    };
    assert!(!has_duplicates(&members("n100")));
    assert!(has_duplicates(&members("n7")));
}

#[test]
fn half_a_surrogate_pair_is_no_text() {
    let mut plain = String::new();
    respell_as_text(r#" "a\ud800b\ud83e\udd80" "#, &mut plain).unwrap();
    assert_eq!(plain, "a\u{fffd}b🦀");
}
