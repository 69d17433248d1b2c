use super::*;

fn read_text(text: &str) -> DotEnv {
    read(text.as_bytes(), |name| {
        (name == "FROM_OUTSIDE").then(|| "outside".to_owned())
    })
}

fn value_of(text: &str) -> String {
    let file = read_text(text);
    assert_eq!(file.faults, [], "{text}");
    file.values["OSC_API_KEY"].clone().unwrap()
}

#[test]
fn a_value_is_what_stands_there_unless_something_in_it_has_a_meaning() {
    for (text, value) in [
        (
            "OSC_API_KEY=S3cr$et-key-0123456789",
            "S3cr$et-key-0123456789",
        ),
        (r"OSC_API_KEY=a\b$c$(d)`e`#f", r"a\b$c$(d)`e`#f"),
        ("OSC_API_KEY=it's", "it's"),
        ("OSC_API_KEY = two words  ", "two words"),
        ("export OSC_API_KEY=exported", "exported"),
        ("\u{feff}OSC_API_KEY=below a mark", "below a mark"),
        ("OSC_API_KEY='${FROM_OUTSIDE} #'", "${FROM_OUTSIDE} #"),
        (r"OSC_API_KEY='it\'s \\ \n'", r"it's \ \n"),
        ("OSC_API_KEY=\"tab\\t\\$1\"", "tab\t\\$1"),
        ("OSC_API_KEY=a # comment", "a"),
        ("OSC_API_KEY=${FROM_OUTSIDE}!", "outside!"),
        ("A=1\nOSC_API_KEY=\"${A}${B:-2}\"", "12"),
        ("OSC_API_KEY=first\r\nOSC_API_KEY=last\r\n", "last"),
        ("OSC_API_KEY=", ""),
    ] {
        assert_eq!(value_of(text), value, "{text}");
    }
}

#[test]
fn a_secret_that_is_another_text_than_what_stands_there_is_told() {
    for (line, told) in [
        ("OSC_API_KEY=S3cr$et", false),
        ("OSC_API_KEY='S3cr${et}'", false),
        ("OSC_API_KEY=\"S3cret\"", false),
        ("OSC_API_KEY=S3cr #et", true),
        ("OSC_API_KEY='S3cr\\\\et'", true),
        ("OSC_API_KEY=\"S3cr\\net\"", true),
        ("OSC_API_KEY=S3cr${FROM_OUTSIDE}", true),
        ("OSC_CLUSTER_KEY=S3cr #et", true),
        ("OSC_SSL_KEYFILE_PASSWORD=S3cr #et", true),
        ("OSC_HOST_PORT=9000 # for clients", false),
    ] {
        let file = read_text(&format!("\n{line}\n"));
        let lines: Vec<_> = file.rewritten.iter().map(|(line, _)| *line).collect();
        assert_eq!(lines, if told { vec![2] } else { vec![] }, "{line}");
        assert!(!format!("{:?}", file.rewritten).contains("cr"), "{line}");
    }
}

#[test]
fn lines_of_others_are_left_alone() {
    let file = read_text(
        "GREETING=hello world\nJSON={\"a\": 1}\nMSG=it's\nHOME\nnothing at all\nOPEN='\n= \nX=${NOWHERE}\nOSC_HOST_PORT=1\n",
    );
    assert_eq!(file.faults, []);
    assert_eq!(file.values["OSC_HOST_PORT"].as_deref(), Some("1"));
    assert_eq!(file.values["GREETING"].as_deref(), Some("hello world"));
    let latin_1 = b"NAME=M\xfcller\nOSC_HOST_PORT=1\n";
    let file = read(latin_1, |_| None);
    assert_eq!(file.faults, []);
    assert_eq!(file.values["OSC_HOST_PORT"].as_deref(), Some("1"));
}

#[test]
fn a_setting_that_cannot_be_read_is_named_with_its_line_and_without_its_value() {
    for (text, line, fault) in [
        (
            "\n\nOSC_API_KEY",
            3,
            "has no value: write OSC_API_KEY=value",
        ),
        (
            "OSC_API_KEY: hidden",
            1,
            "is not OSC_API_KEY=value: a quote that does not end, or text behind one; put the whole value between single quotes",
        ),
        (
            "# comment\nOSC_API_KEY=\"hidden",
            2,
            "is not OSC_API_KEY=value: a quote that does not end, or text behind one; put the whole value between single quotes",
        ),
        (
            "CORS_ORIGINS='a' 'b'",
            1,
            "is not CORS_ORIGINS=value: a quote that does not end, or text behind one; put the whole value between single quotes",
        ),
        ("OSC_API_KEY=hidden${HIDDEN_TOO", 0, ""),
        (
            "OSC_API_KEY=hidden${NOWHERE}",
            1,
            "sets OSC_API_KEY to the value of ${NOWHERE}, which is set neither above it nor in the environment; if the value is to stand as it is, put it between single quotes",
        ),
        (
            "A='hidden\nOSC_API_KEY_REQUIRED=true\nB='",
            1,
            "begins a quoted text that goes on over line 2, which sets OSC_API_KEY_REQUIRED; end it with its quotes",
        ),
        (
            "A=\"hidden\nexport OSC_API_KEY=x\nB=\"y\"",
            1,
            "begins a quoted text that goes on over line 2, which sets OSC_API_KEY; end it with its quotes",
        ),
    ] {
        let expected: Vec<_> = (line > 0)
            .then(|| (line, fault.to_owned()))
            .into_iter()
            .collect();
        assert_eq!(read_text(text).faults, expected, "{text}");
    }
    let latin_1 = read(b"A=1\nOSC_API_KEY=hidden \xfc\n", |_| None);
    assert_eq!(
        latin_1.faults,
        [(
            2,
            "holds bytes that are no UTF-8; save the file as UTF-8".to_owned()
        )]
    );
    let utf_16 = read(b"\xff\xfeA\0=\0", |_| None);
    assert_eq!(utf_16.faults.len(), 1);
}
