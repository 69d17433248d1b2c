//! Resources on both sides of each rule's bounds, and in the spellings that parsers differ about.

/// Inputs: the name of the resource, and its spec.
pub(super) fn inputs() -> Vec<(String, String)> {
    let (long, longer) = ("a".repeat(40), "a".repeat(41));
    let names = NAMES
        .iter()
        .copied()
        .chain([long.as_str(), longer.as_str()]);
    let names = names.map(|name| (name.to_owned(), "{}".to_owned()));
    let specs = SPECS.iter().flat_map(|(template, values)| {
        let spec = |value: &&str| ("prod".to_owned(), template.replace("VALUE", value));
        values.iter().map(spec)
    });
    names.chain(specs).collect()
}

const NAMES: &[&str] = &[
    "a",
    "prod",
    "a-1",
    "1a",
    "a-",
    "-a",
    "A",
    "a.b",
    "prod-nodes",
    "nodes",
];

/// Specs with `VALUE` in them, and what takes its place.
const SPECS: &[(&str, &[&str])] = &[
    ("{replicas: VALUE}", &["-1", "0", "1", "15", "16", "50"]),
    (
        "{mode: Shared, database: {secretRef: {name: pg}}VALUE}",
        &[
            "",
            ", replicas: 50",
            ", replicas: 51",
            ", storage: {size: 1Gi}",
            ", storage: {size: 2Gi}",
            ", storage: {size: 1024Mi}",
            ", storage: {storageClassName: x}",
            ", storage: {retention: {whenDeleted: Delete}}",
            ", storage: {retention: {whenScaled: Delete}}",
            ", writeAck: All",
            ", writeAck: Healthy",
            ", syncIntervalSeconds: 5",
            ", syncIntervalSeconds: 30",
            ", rebuildMembers: []",
            ", rebuildMembers: [{name: prod-0, incarnation: '0123456789abcdef'}]",
        ],
    ),
    (
        "VALUE",
        &[
            "{mode: Shared}",
            "{mode: Federated}",
            "{database: {secretRef: {name: pg}}}",
            "{writeAck: All}",
            "{apiKey: {required: false}}",
            "{apiKey: {required: false, secretRef: {name: s}}}",
            "{apiKey: {secretRef: {name: s}}}",
            "{apiKey: {rotate: '1'}}",
            "{apiKey: {rotate: '1', required: false}}",
            "{apiKey: {rotate: '1', secretRef: {name: s}}}",
            "{tls: {mode: Secret}}",
            "{tls: {secretRef: {name: s}}}",
            "{tls: {mode: Secret, secretRef: {name: s}}}",
            "{tls: {mode: Issuer}}",
            "{tls: {issuerRef: {name: i}}}",
            "{tls: {mode: Issuer, issuerRef: {name: i}}}",
            "{tls: {mode: Disabled}}",
            "{tls: {mode: Disabled, plainHttp: Forbidden}}",
            "{tls: {plainHttp: Forbidden}}",
            "{service: {exposePlainHttp: true}}",
            "{service: {exposePlainHttp: true}, tls: {plainHttp: Forbidden}}",
            "{service: {externalTrafficPolicy: Local}}",
            "{service: {type: NodePort, externalTrafficPolicy: Local}}",
            "{service: {loadBalancerSourceRanges: []}}",
            "{service: {loadBalancerSourceRanges: [10.0.0.0/8]}}",
            "{upgrade: {policy: Manual}}",
            "{upgrade: {policy: Window}}",
            "{upgrade: {window: {schedule: '0 2 * * 6', duration: 4h}}}",
        ],
    ),
    (
        "{storage: {size: 'VALUE'}}",
        &[
            "1Gi", "0.5Gi", ".5Gi", "5.", "+1Gi", "-1Gi", "1", "0", "0Gi", "1.5", "100m", "999m",
            "1000m", "1500m", "1u", "1n", "1e3", "1E3", "1e-3", "1e+3", "1e", "1E", "1e3Gi", "1k",
            "1K", "1ki", "1Ki", "1mi", "1 Gi", " 1Gi", "1Gi ", "", "Gi", ".", "+", "-", "+-1",
            "1-", "1+5", "1.+5", "1.5.5", "lots", "inf", "NaN", "0x10", "1_000", "10Ei", "1Zi",
        ],
    ),
    (
        "{rebuildMembers: [{name: 'VALUE', incarnation: '0123456789abcdef'}]}",
        &[
            "prod-0", "prod-99", "prod-100", "prod-01", "prod-+1", "prod-", "-0", "0-0", "prod",
            "Prod-1", "pr_od-1", "a-b-3",
        ],
    ),
    (
        "{rebuildMembers: [{name: prod-0, incarnation: 'VALUE'}]}",
        &[
            "0123456789abcde",
            "0123456789abcdef0",
            "0123456789ABCDEF",
            "0123456789abcdeg",
            "",
        ],
    ),
    (
        "{monitoring: {serviceMonitor: {scrapeTimeout: 1ms, interval: 'VALUE'}}}",
        DURATIONS,
    ),
    (
        "{monitoring: {serviceMonitor: {scrapeTimeout: 'VALUE'}}}",
        DURATIONS,
    ),
    (
        "{monitoring: {serviceMonitor: {interval: 1d, scrapeTimeout: 'VALUE'}}}",
        DURATIONS,
    ),
    (
        "{upgrade: {policy: Window, window: {schedule: '0 2 * * 6', duration: 'VALUE'}}}",
        DURATIONS,
    ),
    (
        "{upgrade: {policy: Window, window: {schedule: \"VALUE\", duration: 4h}}}",
        &[
            "0 2 * * 6",
            " 0  2 * * 6 ",
            "0 2 * *",
            "0 2 * * 6 UTC",
            "0 25 * * *",
            "daily",
            "",
            r"0\t2 * * 6",
            r"0\t2 * * * 6",
            r"0 2 * * 6\n",
            "0 2 * * L",
        ],
    ),
    (
        "{upgrade: {policy: Window, window: {schedule: '0 2 * * 6', duration: 4h, timeZone: 'VALUE'}}}",
        &[
            "UTC",
            "Europe/Rome",
            "Etc/GMT+3",
            "America/Argentina/Ushuaia",
            "",
            "+02:00",
            "UTC 1",
            "/UTC",
            "UTC/",
            "Europe/Atlantis",
        ],
    ),
    (
        "{tls: {altNames: ['VALUE']}}",
        &[
            "config.example.org",
            "*.example.org",
            "*",
            "*.",
            "x.*.org",
            "a..b",
            "a.",
            ".a",
            "-a",
            "a-",
            "A.org",
            "a b",
            "",
            "a_b",
            "10.1.2.3",
            "010.1.2.3",
            "1.2.3.400",
            "1.2.3",
            "::",
            "::1",
            "2001:db8::1",
            "2001:DB8::1",
            "::ffff:10.1.2.3",
            "::10.1.2.3",
            "fe80::1%eth0",
            "[::1]",
            "2001:db8::1/64",
            "operator.opensecureconf.io",
            "*.opensecureconf.io",
            "opensecureconf.io",
            "*.operator.opensecureconf.io",
        ],
    ),
    (
        "{service: {type: LoadBalancer, loadBalancerSourceRanges: ['VALUE']}}",
        &[
            "10.0.0.0/8",
            "10.0.0.1/8",
            "0.0.0.0/0",
            "10.0.0.0",
            "10.0.0.0/33",
            "10.0.0.0/08",
            "10.0.0.0/+8",
            "10.0.0.0/",
            "/8",
            "ten/8",
            "010.0.0.0/8",
            "2001:db8::/32",
            "::/0",
            "::/129",
            "::ffff:10.0.0.0/104",
            "fe80::%eth0/64",
            "10.0.0.0/8/8",
            "",
        ],
    ),
];

const DURATIONS: &[&str] = &[
    "30s",
    "1m30s",
    "5ms",
    "1h5ms",
    "1d",
    "1y2w3d4h5m6s7ms",
    "",
    "30",
    "s",
    "30 s",
    "30s1m",
    "1m1m",
    "-1s",
    "1.5s",
    "30sec",
    "0s",
    "59s",
    "60s",
    "1m",
    "60000ms",
    "0d",
    "1M",
];
