//! Keys: which the node refuses, which protect nothing, and that it shows none.

use std::io::Write;

use super::*;

#[test]
fn a_required_api_key_must_be_ones_own() {
    for environment in [
        &[("OSC_API_KEY_REQUIRED", "true")][..],
        &[
            ("OSC_API_KEY_REQUIRED", "TRUE"),
            ("OSC_API_KEY", settings::DEFAULT_API_KEY),
        ],
        &[("OSC_API_KEY_REQUIRED", "true"), ("OSC_API_KEY", "  ")],
    ] {
        assert!(faults(environment)[0].starts_with("OSC_API_KEY is missing"));
    }
}

#[test]
fn every_key_of_a_file_is_accepted_and_no_other() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(b"the first\n\n  the second \r\n").unwrap();
    let path = file.path().to_str().unwrap();
    let environment = [("OSC_API_KEY_REQUIRED", "true"), ("OSC_API_KEY_FILE", path)];
    let keys = config(&[], &environment, &[]).unwrap().api_keys.unwrap();
    assert!(keys.accept(b"the first") && keys.accept(b"the second"));
    assert!(!keys.accept(b"") && !keys.accept(b"the firs") && !keys.accept(b"the first\n"));
}

#[test]
fn a_cluster_needs_its_own_key_and_a_peer_list() {
    assert_eq!(faults(&[("OSC_CLUSTER_ENABLED", "true")]).len(), 2);
    let cluster = |key: &'static str, nodes: &'static str| {
        config(
            &[],
            &[
                ("OSC_API_KEY_REQUIRED", "true"),
                ("OSC_API_KEY", "the api key of the tests"),
                ("OSC_CLUSTER_ENABLED", "true"),
                ("OSC_CLUSTER_KEY", key),
                ("OSC_CLUSTER_NODES", nodes),
            ],
            &[],
        )
    };
    assert!(
        cluster("the api key of the tests", "a:1")
            .unwrap_err()
            .to_string()
            .contains("OSC_CLUSTER_KEY is also an API key")
    );
    assert!(
        cluster("a cluster key of its own", "a:1, http://b:2")
            .unwrap_err()
            .to_string()
            .contains("not 'http://b:2'")
    );
    let config = cluster("a cluster key of its own", "a:1, [::1]:2,").unwrap();
    assert_eq!(config.salt_policy, SaltPolicy::Wait);
    let hosts: Vec<_> = config
        .cluster
        .unwrap()
        .peers
        .now
        .into_iter()
        .map(|peer| (peer.host, peer.port))
        .collect();
    assert_eq!(hosts, [("a".to_owned(), 1), ("::1".to_owned(), 2)]);
}

#[test]
fn an_api_key_that_nobody_has_to_show_is_told() {
    let weak = |environment: &[(&str, &str)]| config(&[], environment, &[]).unwrap().weak;
    let key = ("OSC_API_KEY", "an api key of the tests");
    assert_eq!(
        weak(&[key]),
        [
            "OSC_API_KEY is set and OSC_API_KEY_REQUIRED is not: no client has to show a key; set OSC_API_KEY_REQUIRED=true"
        ]
    );
    assert!(weak(&[key, ("OSC_API_KEY_REQUIRED", "true")]).is_empty());
    assert!(
        weak(&[]).is_empty(),
        "an operator that set no key expects none"
    );
}

#[test]
fn a_node_that_the_network_reaches_without_a_key_is_told() {
    let weak = |environment: &[(&str, &str)]| config(&[], environment, &[]).unwrap().weak;
    for host in ["0.0.0.0", "::"] {
        assert_eq!(
            weak(&[("OSC_HOST", host)]),
            [format!(
                "OSC_HOST is {host} and OSC_API_KEY_REQUIRED is not set: a client that reaches this node needs no API key; set \
                 OSC_API_KEY_REQUIRED=true and a key"
            )]
        );
    }
    let required = [
        ("OSC_API_KEY_REQUIRED", "true"),
        ("OSC_API_KEY", "an api key of the tests"),
    ];
    assert!(weak(&[&[("OSC_HOST", "0.0.0.0")][..], &required].concat()).is_empty());
    assert!(weak(&[("OSC_HOST", "::1")]).is_empty());
}

#[test]
fn debug_output_shows_no_key() {
    let config = config(
        &[],
        &[
            ("OSC_API_KEY_REQUIRED", "true"),
            ("OSC_API_KEY", "hunter2hunter2"),
        ],
        &[],
    )
    .unwrap();
    assert!(!format!("{config:?}").contains("hunter2"));
    let flags = command()
        .try_get_matches_from(["osc-node", "--api-key", "hunter2"])
        .unwrap();
    let layers = Layers::new(&flags, [], []);
    assert!(!format!("{layers:?}").contains("hunter2"));
}

#[test]
fn a_key_that_no_header_can_carry_is_refused() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(b"good\nbroken\rin two\n").unwrap();
    let path = file.path().to_str().unwrap();
    for (api_key_required, variable, key) in [
        ("true", "OSC_API_KEY", "one\ntwo"),
        ("true", "OSC_API_KEY", "bell\u{7}"),
        ("true", "OSC_API_KEY_FILE", path),
        ("false", "OSC_CLUSTER_KEY", "one\r\ntwo"),
    ] {
        let environment = [("OSC_API_KEY_REQUIRED", api_key_required), (variable, key)];
        assert_eq!(
            faults(&environment),
            [format!(
                "{variable} holds a key with a line break or another control character, which no HTTP header can carry; make another key"
            )]
        );
    }
}

#[test]
fn a_key_that_is_soon_guessed_stops_the_start_and_a_short_one_is_told() {
    for (variable, refused, weak, safe) in
        [("OSC_API_KEY", 7, 15, 16), ("OSC_CLUSTER_KEY", 15, 31, 32)]
    {
        let required = if variable == "OSC_API_KEY" {
            "true"
        } else {
            "false"
        };
        let with = |length: usize| {
            let key = "k".repeat(length);
            let environment = [("OSC_API_KEY_REQUIRED", required), (variable, key.as_str())];
            config(&[], &environment, &[])
        };
        let least = refused + 1;
        assert_eq!(
            with(refused).unwrap_err().0,
            [format!(
                "{variable} holds a key with {refused} characters; make a random one with at least {safe} ({least} are the least)"
            )]
        );
        for length in [least, weak] {
            let told = with(length).unwrap().weak;
            assert_eq!(told.len(), 1);
            assert!(told[0].starts_with(&format!("{variable} is shorter than {safe} characters")));
        }
        assert!(with(safe).unwrap().weak.is_empty());
    }
    let unused = config(&[], &[("OSC_API_KEY", "short")], &[]).unwrap();
    assert_eq!(unused.weak.len(), 1, "no client has to show it");
}
