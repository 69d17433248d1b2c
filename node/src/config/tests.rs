mod client_limits;
mod keys;

use clap::Command;

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

fn command() -> Command {
    Command::new("osc-node").args(SETTINGS.iter().map(flag))
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
            "OSC_API_KEY_REQUIERD is no setting of this node and has no effect; did you mean OSC_API_KEY_REQUIRED? \
             (osc-node --help lists all)",
            "OSC_DATABASE is no setting of this node and has no effect (osc-node --help lists all)",
        ]
    );
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

/// The settings of a node that shares a database.
const SHARED: [(&str, &str); 3] = [
    ("OSC_DATABASE_URL", "postgres://app:s3cret@db.example/app"),
    ("OSC_DATABASE_CA_FILE", "ca.crt"),
    ("OSC_SALT_SECRET_FILE", "salt"),
];

#[test]
fn a_database_that_nodes_share_has_its_defaults() {
    let config = config(&[], &SHARED, &[]).unwrap();
    let shared = config.shared.unwrap();
    assert_eq!(shared.timeout, Duration::from_secs(5));
    assert_eq!((shared.connections, shared.cluster.as_str()), (8, ""));
    assert!(shared.url.is_verified());
    assert!(!format!("{shared:?}").contains("s3cret"));
}

#[test]
fn beside_a_shared_database_there_are_no_peers() {
    let wrong = [
        ("OSC_CLUSTER_MODE", "federated"),
        ("OSC_CLUSTER_NODES", "a:1"),
        ("OSC_CLUSTER_SYNC_INTERVAL", "10"),
        ("OSC_CLUSTER_WRITE_ACK", "all"),
        ("OSC_DATABASE_CONNECTIONS", "1"),
    ];
    let faults = faults(&[&SHARED[..], &wrong].concat());
    let told = "has no meaning beside OSC_DATABASE_URL: nodes that share a database have no peers; unset it";
    assert_eq!(
        faults,
        [
            format!("OSC_CLUSTER_MODE {told}"),
            format!("OSC_CLUSTER_NODES {told}"),
            format!("OSC_CLUSTER_SYNC_INTERVAL {told}"),
            format!("OSC_CLUSTER_WRITE_ACK {told}"),
            "OSC_DATABASE_CONNECTIONS must be a number of connections from 2 to 1000, not '1'"
                .to_owned(),
        ]
    );
    let default = [("OSC_CLUSTER_WRITE_ACK", "Healthy")];
    config(&[], &[&SHARED[..], &default].concat(), &[]).unwrap();
}

#[test]
fn a_shared_database_needs_its_authorities_and_its_salt() {
    let url = SHARED[0];
    assert_eq!(
        faults(&[url]),
        [
            "OSC_DATABASE_CA_FILE is missing: OSC_DATABASE_URL needs it to verify the server (sslmode=disable is for a pooler on the same machine)",
            "OSC_SALT_SECRET_FILE is missing: OSC_DATABASE_URL needs the one salt of the store, which no node makes",
        ]
    );
    let bad = [("OSC_DATABASE_URL", "mysql://app:s3cret@db/app")];
    let told = faults(&bad);
    assert!(
        told[0].starts_with("OSC_DATABASE_URL cannot be used: the database's URL must begin"),
        "{told:?}"
    );
    assert!(!told[0].contains("s3cret"));
}

#[test]
fn a_name_that_other_nodes_would_refuse_is_refused_at_the_start() {
    let name = "n".repeat(256);
    assert!(faults(&[("OSC_CLUSTER_NODE_ID", &(name.clone() + "n"))])[0].contains("256 bytes"));
    config(&[], &[("OSC_CLUSTER_NODE_ID", &name)], &[]).unwrap();
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
fn shares_of_the_memory_that_do_not_fit_are_refused_with_their_names() {
    let mebibytes = |count: usize| (count << 20).to_string();
    let (total, bodies) = (mebibytes(100), mebibytes(60));
    let faults = faults(&[
        ("OSC_MEMORY_BYTES", &total),
        ("OSC_BODY_MEMORY_BYTES", &bodies),
    ]);
    assert_eq!(faults.len(), 1);
    assert!(
        faults[0].starts_with("OSC_MEMORY_BYTES is 104857600, but its shares are"),
        "{faults:?}"
    );
    assert!(faults[0].contains("OSC_BODY_MEMORY_BYTES"), "{faults:?}");
}

#[test]
fn a_body_that_no_share_has_room_for_is_refused() {
    let faults = faults(&[("OSC_MEMORY_BYTES", "6000000")]);
    assert_eq!(faults.len(), 1, "{faults:?}");
    assert!(
        faults[0].starts_with("OSC_MAX_BODY_BYTES is 1048576, but OSC_"),
        "{faults:?}"
    );
}

#[test]
fn a_body_that_could_not_be_stored_is_refused_with_the_limit_that_fits() {
    let memory = ("OSC_MEMORY_BYTES", "67108864");
    let faults = faults(&[memory, ("OSC_MAX_BODY_BYTES", "7000000")]);
    assert!(
        faults[0].contains("has room for 2796202 bytes at most"),
        "{faults:?}"
    );
    config(&[], &[memory, ("OSC_MAX_BODY_BYTES", "2796202")], &[]).unwrap();
}

#[test]
fn the_caches_fit_what_the_other_shares_leave() {
    let (total, store) = ((64_usize << 20).to_string(), "1000");
    let settings = [("OSC_MEMORY_BYTES", total.as_str()), ("OSC_WORKERS", "64")];
    let config = config(&[], &settings, &[]).unwrap();
    let share = config.memory.bytes(crate::budget::Share::Store);
    assert!(config.caches.pages * (config.caches.readers + 1) <= share / 2);
    let faults = faults(&[settings[0], ("OSC_STORE_MEMORY_BYTES", store)]);
    assert!(
        faults[0].starts_with("OSC_STORE_MEMORY_BYTES has 1000 bytes"),
        "{faults:?}"
    );
}
