use std::io::Write;

use super::*;

fn config(
    flags: &[&str],
    environment: &[(&str, &str)],
    dotenv: &[(&str, &str)],
) -> Result<Config, UsageError> {
    let owned = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
        pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    };
    let flags = command()
        .try_get_matches_from(std::iter::once(&"osc-node").chain(flags))
        .unwrap();
    Config::from_layers(&Layers::new(&flags, owned(environment), owned(dotenv)))
}

fn faults(environment: &[(&str, &str)]) -> Vec<String> {
    config(&[], environment, &[]).unwrap_err().0
}

#[test]
fn without_any_setting_the_node_has_the_defaults_of_the_original() {
    let config = config(&[], &[], &[]).unwrap();
    assert_eq!(config.listen.to_string(), "127.0.0.1:9000");
    assert_eq!(config.database_path.to_str(), Some("configurations.db"));
    assert_eq!(config.salt_file_path.to_str(), Some("encryption.salt"));
    assert_eq!(config.min_user_key_length, 8);
    assert_eq!(config.node_id, "node-9000");
    assert_eq!(config.salt_policy, SaltPolicy::Generate);
    assert!(config.api_keys.is_none());
    assert!(config.cluster.is_none());
}

#[test]
fn a_flag_wins_over_the_environment_and_the_environment_over_the_file() {
    let port = |flags: &[&str], environment: &[(&str, &str)]| {
        config(flags, environment, &[("OSC_HOST_PORT", "1")])
            .unwrap()
            .listen
            .port()
    };
    assert_eq!(port(&[], &[]), 1);
    assert_eq!(port(&[], &[("OSC_HOST_PORT", "2")]), 2);
    assert_eq!(port(&["--host-port", "3"], &[("OSC_HOST_PORT", "2")]), 3);
}

#[test]
fn all_faults_are_listed_at_once() {
    let faults = faults(&[
        ("OSC_HOST_PORT", "70000"),
        ("OSC_API_KEY_REQUIRED", "yes"),
        ("OSC_LOG_LEVEL", "loud"),
        ("OSC_CLUSTER_MODE", "scattered"),
    ]);
    assert_eq!(
        faults,
        [
            "OSC_API_KEY_REQUIRED must be true or false, not 'yes'",
            "OSC_CLUSTER_MODE must be replica or federated, not 'scattered'",
            "OSC_HOST_PORT must be a port from 0 to 65535, not '70000'",
            "OSC_LOG_LEVEL must be DEBUG or INFO or WARNING or WARN or ERROR or CRITICAL or FATAL, not 'loud'",
        ]
    );
}

#[test]
fn help_names_every_level_that_is_accepted() {
    let level = SETTINGS.iter().find(|setting| setting.name == "LOG_LEVEL");
    for (name, _) in LogLevel::NAMES {
        let words = level
            .unwrap()
            .help
            .split(|letter: char| !letter.is_alphabetic());
        assert!(words.into_iter().any(|word| word == *name), "{name}");
    }
}

#[test]
fn federated_mode_is_for_clusters() {
    let faults = faults(&[("OSC_CLUSTER_MODE", "federated")]);
    assert_eq!(
        faults,
        ["OSC_CLUSTER_MODE is federated, which needs OSC_CLUSTER_ENABLED=true"]
    );
}

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
    file.write_all(b"first\n\n  second \r\n").unwrap();
    let path = file.path().to_str().unwrap();
    let environment = [("OSC_API_KEY_REQUIRED", "true"), ("OSC_API_KEY_FILE", path)];
    let keys = config(&[], &environment, &[]).unwrap().api_keys.unwrap();
    assert!(keys.accept(b"first") && keys.accept(b"second"));
    assert!(!keys.accept(b"") && !keys.accept(b"firs") && !keys.accept(b"first\n"));
}

#[test]
fn a_cluster_needs_its_own_key_and_a_peer_list() {
    assert_eq!(faults(&[("OSC_CLUSTER_ENABLED", "true")]).len(), 2);
    let cluster = |key: &'static str, nodes: &'static str| {
        config(
            &[],
            &[
                ("OSC_API_KEY_REQUIRED", "true"),
                ("OSC_API_KEY", "api"),
                ("OSC_CLUSTER_ENABLED", "true"),
                ("OSC_CLUSTER_KEY", key),
                ("OSC_CLUSTER_NODES", nodes),
            ],
            &[],
        )
    };
    assert!(
        cluster("api", "a:1")
            .unwrap_err()
            .to_string()
            .contains("OSC_CLUSTER_KEY is also an API key")
    );
    assert!(
        cluster("own", "a:1, http://b:2")
            .unwrap_err()
            .to_string()
            .contains("not 'http://b:2'")
    );
    let config = cluster("own", "a:1, [::1]:2,").unwrap();
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
fn settings_without_effect_are_told() {
    let environment = [
        ("OSC_API_KEY_FILE", "keys"),
        ("OSC_SSL_CERTFILE", "cert.pem"),
        ("prometheus_multiproc_dir", "anything"),
    ];
    let config = config(&[], &environment, &[]).unwrap();
    assert_eq!(
        config.ineffective,
        [
            "OSC_API_KEY_FILE has no effect without OSC_API_KEY_REQUIRED=true",
            "OSC_SSL_CERTFILE has no effect without OSC_HTTPS_ENABLED=true",
        ]
    );
}

#[test]
fn a_name_that_is_no_setting_is_told() {
    let environment = [
        ("OSC_API_KEY_REQUIERD", "true"),
        // Of the operator, and of tests that run beside it.
        ("OSC_OPERATOR_NAMESPACES", "default"),
        ("OSC_TEST_FAULT", "1"),
        ("PATH", "/bin"),
    ];
    let dotenv = [("OSC_DATABASE", "a.db"), ("OSC_API_KEY_REQUIERD", "true")];
    let config = config(&[], &environment, &dotenv).unwrap();
    assert_eq!(
        config.ineffective,
        [
            "OSC_API_KEY_REQUIERD is no setting of this node and has no effect; osc-node --help lists all",
            "OSC_DATABASE is no setting of this node and has no effect; osc-node --help lists all",
        ]
    );
}

#[test]
fn an_api_key_that_nobody_has_to_show_is_told() {
    let weak = |environment: &[(&str, &str)]| config(&[], environment, &[]).unwrap().weak;
    let key = ("OSC_API_KEY", "an api key of the tests");
    assert_eq!(
        weak(&[key]),
        [
            "OSC_API_KEY is set and OSC_API_KEY_REQUIRED is not: nobody has to show a key; set OSC_API_KEY_REQUIRED=true"
        ]
    );
    assert!(weak(&[key, ("OSC_API_KEY_REQUIRED", "true")]).is_empty());
    assert!(weak(&[]).is_empty(), "whoever set no key expects none");
}

#[test]
fn a_node_that_the_network_reaches_without_a_key_is_told() {
    let weak = |environment: &[(&str, &str)]| config(&[], environment, &[]).unwrap().weak;
    for host in ["0.0.0.0", "::"] {
        assert_eq!(
            weak(&[("OSC_HOST", host)]),
            [format!(
                "OSC_HOST is {host} and OSC_API_KEY_REQUIRED is not set: whoever reaches this node needs no API key; set \
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
fn a_host_may_be_a_name() {
    let listen = |host| config(&[], &[("OSC_HOST", host)], &[]).map(|config| config.listen.ip());
    assert_eq!(listen("localhost").unwrap().to_string(), "127.0.0.1");
    assert_eq!(listen("::1").unwrap().to_string(), "::1");
    assert_eq!(
        faults(&[("OSC_HOST", "no host")]),
        ["OSC_HOST must be an IP address or a name of one, not 'no host'"]
    );
}

#[test]
fn an_empty_user_key_is_never_long_enough() {
    assert_eq!(
        faults(&[("OSC_MIN_USER_KEY_LENGTH", "0")]),
        ["OSC_MIN_USER_KEY_LENGTH must be a number of characters from 1, not '0'"]
    );
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
fn numbers_that_nobody_can_mean_are_refused_with_their_range() {
    for (variable, value, wanted) in [
        (
            "OSC_DRAIN_SECONDS",
            "1000000000000",
            "a number of seconds from 0 to 3600",
        ),
        (
            "OSC_WORKERS",
            "1000000",
            "a number of threads from 1 to 1024",
        ),
        ("OSC_WORKERS", "0", "a number of threads from 1 to 1024"),
        (
            "OSC_MAX_BODY_BYTES",
            "0",
            "a number of bytes from 1 to 8388608",
        ),
        (
            "OSC_MAX_BODY_BYTES",
            "1000000000000",
            "a number of bytes from 1 to 8388608",
        ),
        (
            "OSC_CLUSTER_SYNC_INTERVAL",
            "18446744073709551615",
            "a number of seconds from 1 to 86400",
        ),
    ] {
        assert_eq!(
            config(&[], &[(variable, value)], &[])
                .map_err(|error| error.0)
                .err(),
            Some(vec![format!("{variable} must be {wanted}, not '{value}'")])
        );
    }
}

#[test]
fn a_setting_that_is_given_empty_has_its_default() {
    let empty: Vec<_> = SETTINGS
        .iter()
        .map(|setting| (setting.variable(), ""))
        .collect();
    let empty: Vec<_> = empty
        .iter()
        .map(|(name, value)| (name.as_str(), *value))
        .collect();
    let config = |environment| format!("{:?}", config(&[], environment, &[]).unwrap());
    assert_eq!(config(&empty), config(&[]));
}

#[test]
fn a_database_is_a_file() {
    for name in [
        ":memory:",
        "file:configurations.db",
        "file::memory:?cache=shared",
    ] {
        assert_eq!(
            faults(&[("OSC_DATABASE_PATH", name)]),
            [format!(
                "OSC_DATABASE_PATH must be the path of a file, not '{name}', which SQLite takes for something else; a file of this name is './{name}'"
            )]
        );
    }
}

#[test]
fn every_bad_item_of_a_list_is_named() {
    for (variable, list, fault) in [
        (
            "OSC_CLUSTER_NODES",
            "a:1, b, c:1, d:x",
            "must list host:port, not 'b', 'd:x'",
        ),
        (
            "OSC_TRUSTED_PROXIES",
            "10.0.0.0/8, x, 10.0.0.1, y",
            "must list addresses or networks, not 'x', 'y'",
        ),
        (
            "CORS_ORIGINS",
            "https://a, b, ftp://c",
            "must be * or list origins such as https://console.example.org, not 'b', 'ftp://c'",
        ),
    ] {
        let environment = [
            ("OSC_CLUSTER_ENABLED", "true"),
            ("OSC_CLUSTER_KEY", "a cluster key of the tests"),
            ("OSC_CLUSTER_NODES", "a:1"),
            (variable, list),
        ];
        assert_eq!(faults(&environment), [format!("{variable} {fault}")]);
    }
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
fn a_cluster_key_that_is_soon_guessed_is_told() {
    let weak = |key| config(&[], &[("OSC_CLUSTER_KEY", key)], &[]).unwrap().weak;
    assert_eq!(
        weak("k"),
        [
            "OSC_CLUSTER_KEY is shorter than 16 characters: whoever guesses it is a node of the cluster; make a random one"
        ]
    );
    assert!(weak("0123456789abcdef").is_empty());
}
