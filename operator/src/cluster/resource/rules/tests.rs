//! Each rule, with what it refuses and what it lets pass.

use super::*;

fn fields(yaml: &str) -> Vec<&'static str> {
    let cluster: OpenSecureConfCluster = serde_saphyr::from_str(yaml).unwrap();
    check(&cluster)
        .err()
        .unwrap_or_default()
        .into_iter()
        .map(|violation| violation.field)
        .collect()
}

fn spec(name: &str, spec: &str) -> Vec<&'static str> {
    fields(&format!(
        "apiVersion: opensecureconf.io/v1alpha1\nkind: OpenSecureConfCluster\nmetadata: {{name: {name}}}\nspec: {spec}\n"
    ))
}

#[test]
fn an_empty_spec_is_a_cluster() {
    assert_eq!(spec("prod", "{}"), Vec::<&str>::new());
}

#[test]
fn networks_have_an_address_and_a_length() {
    for text in ["10.0.0.0/8", "0.0.0.0/0", "2001:db8::/32"] {
        assert!(is_network(text), "{text}");
    }
    for text in ["10.0.0.0", "10.0.0.0/33", "ten/8", "::/129", "/8", ""] {
        assert!(!is_network(text), "{text}");
    }
}

#[test]
fn what_only_one_type_of_service_has_is_refused_for_the_others() {
    let policy = |type_| {
        spec(
            "prod",
            &format!("{{service: {{type: {type_}, externalTrafficPolicy: Local}}}}"),
        )
    };
    assert_eq!(policy("ClusterIP"), ["spec.service.externalTrafficPolicy"]);
    assert_eq!(policy("NodePort"), Vec::<&str>::new());
    let ranges = |type_, range| {
        spec(
            "prod",
            &format!("{{service: {{type: {type_}, loadBalancerSourceRanges: [{range}]}}}}"),
        )
    };
    let field = ["spec.service.loadBalancerSourceRanges"];
    assert_eq!(ranges("LoadBalancer", "10.0.0.0/8"), Vec::<&str>::new());
    assert_eq!(ranges("LoadBalancer", "everybody"), field);
    assert_eq!(ranges("NodePort", "10.0.0.0/8"), field);
}

#[test]
fn each_mode_of_tls_has_what_it_needs_and_nothing_else() {
    let tls = |tls: &str| spec("prod", &format!("{{tls: {tls}}}"));
    for right in [
        "{}",
        "{mode: Secret, secretRef: {name: mine}}",
        "{mode: Issuer, issuerRef: {name: ours}, plainHttp: Forbidden}",
        "{mode: Disabled}",
        "{altNames: [config.example.org, '*.example.org', 10.1.2.3, '2001:db8::1']}",
    ] {
        assert_eq!(tls(right), Vec::<&str>::new(), "{right}");
    }
    assert_eq!(tls("{mode: Secret}"), ["spec.tls.secretRef"]);
    assert_eq!(tls("{secretRef: {name: mine}}"), ["spec.tls.secretRef"]);
    assert_eq!(tls("{mode: Issuer}"), ["spec.tls.issuerRef"]);
    assert_eq!(
        tls("{mode: Disabled, plainHttp: Forbidden}"),
        ["spec.tls.plainHttp"]
    );
    for wrong in ["Example.org", "a b", "", "a..b", "*", "x.*.org", "-a.org"] {
        let field = ["spec.tls.altNames"];
        assert_eq!(tls(&format!("{{altNames: ['{wrong}']}}")), field, "{wrong}");
    }
    for wrong in ["operator.opensecureconf.io", "*.opensecureconf.io"] {
        let field = ["spec.tls.altNames"];
        let names = format!("{{altNames: [config.example.org, '{wrong}']}}");
        assert_eq!(tls(&names), field, "{wrong}");
    }
    assert_eq!(
        tls("{altNames: ['*.operator.opensecureconf.io', opensecureconf.io]}"),
        Vec::<&str>::new()
    );
    let exposed = "{tls: {plainHttp: Forbidden}, service: {exposePlainHttp: true}}";
    assert_eq!(spec("prod", exposed), ["spec.service.exposePlainHttp"]);
}

#[test]
fn a_window_belongs_to_its_policy_and_can_be_understood() {
    let upgrade = |upgrade: &str| spec("prod", &format!("{{upgrade: {upgrade}}}"));
    let window = |schedule: &str, duration: &str, zone: &str| {
        let window = format!("schedule: '{schedule}', duration: {duration}, timeZone: {zone}");
        upgrade(&format!("{{policy: Window, window: {{{window}}}}}"))
    };
    assert_eq!(window("0 2 * * 6", "4h", "Europe/Rome"), Vec::<&str>::new());
    assert_eq!(window("30 1 1-7 * *", "1d", "UTC"), Vec::<&str>::new());
    assert_eq!(upgrade("{policy: Manual}"), Vec::<&str>::new());
    assert_eq!(upgrade("{policy: Window}"), ["spec.upgrade.window"]);
    let unused = "{window: {schedule: '0 2 * * 6', duration: 4h}}";
    assert_eq!(upgrade(unused), ["spec.upgrade.window"]);
    for schedule in [
        "0 2 * *",
        "0 2 * * 6 UTC",
        "0 25 * * *",
        "0 2 31 2 *",
        "daily",
        "H 2 * * *",
        "",
    ] {
        let field = ["spec.upgrade.window.schedule"];
        assert_eq!(window(schedule, "4h", "UTC"), field, "{schedule}");
    }
    for duration in ["soon", "59s", "4 h"] {
        let field = ["spec.upgrade.window.duration"];
        assert_eq!(window("0 2 * * 6", duration, "UTC"), field, "{duration}");
    }
    for zone in ["Europe/Atlantis", "'+02:00'", "'UTC 1'"] {
        let field = ["spec.upgrade.window.timeZone"];
        assert_eq!(window("0 2 * * 6", "4h", zone), field, "{zone}");
    }
}

#[test]
fn a_scrape_that_may_take_longer_than_the_interval_is_refused() {
    let monitor = |monitor| {
        spec(
            "prod",
            &format!("{{monitoring: {{serviceMonitor: {monitor}}}}}"),
        )
    };
    let field = ["spec.monitoring.serviceMonitor.scrapeTimeout"];
    assert_eq!(monitor("{scrapeTimeout: 30s}"), Vec::<&str>::new());
    assert_eq!(monitor("{scrapeTimeout: 31s}"), field);
    assert_eq!(
        monitor("{interval: 1d, scrapeTimeout: 23h}"),
        Vec::<&str>::new()
    );
    assert_eq!(monitor("{interval: 1h, scrapeTimeout: 1d}"), field);
    assert_eq!(monitor("{scrapeTimeout: soon}"), field);
}

#[test]
fn nodes_to_rebuild_have_an_ordinal_and_an_incarnation() {
    let of = |name: &str, incarnation: &str| {
        let entry = format!("{{name: {name}, incarnation: '{incarnation}'}}");
        spec("prod", &format!("{{rebuildMembers: [{entry}]}}"))
    };
    let field = ["spec.rebuildMembers"];
    assert_eq!(of("prod-2", "0123456789abcdef"), Vec::<&str>::new());
    for name in ["prod-02", "prod-x", "prod-", "Prod-1", "prod", "prod-100"] {
        assert_eq!(of(name, "0123456789abcdef"), field, "{name}");
    }
    for incarnation in ["", "0123456789ABCDEF", "0123456789abcde"] {
        assert_eq!(of("prod-2", incarnation), field, "{incarnation}");
    }
}

#[test]
fn what_kubernetes_keeps_by_a_key_stands_there_once() {
    let secrets = |names: &str| spec("prod", &format!("{{imagePullSecrets: [{names}]}}"));
    assert_eq!(secrets("{name: a}, {name: b}"), Vec::<&str>::new());
    assert_eq!(
        secrets("{name: a}, {name: b}, {name: a}"),
        ["spec.imagePullSecrets"]
    );
    let constraint = |key: &str, when: &str| {
        format!("{{maxSkew: 1, topologyKey: {key}, whenUnsatisfiable: {when}}}")
    };
    let spread = |second: String| {
        let first = constraint("zone", "ScheduleAnyway");
        spec(
            "prod",
            &format!("{{topologySpreadConstraints: [{first}, {second}]}}"),
        )
    };
    assert_eq!(
        spread(constraint("zone", "DoNotSchedule")),
        Vec::<&str>::new()
    );
    assert_eq!(
        spread(constraint("host", "ScheduleAnyway")),
        Vec::<&str>::new()
    );
    assert_eq!(
        spread(constraint("zone", "ScheduleAnyway")),
        ["spec.topologySpreadConstraints"]
    );
    let claims = "{resources: {claims: [{name: gpu}, {name: gpu}]}}";
    assert_eq!(spec("prod", claims), ["spec.resources.claims"]);
}

#[test]
fn only_a_key_that_the_operator_made_is_changed_by_it() {
    let api_key = |api_key: &str| spec("prod", &format!("{{apiKey: {api_key}}}"));
    let field = ["spec.apiKey.rotate"];
    assert_eq!(api_key("{rotate: '2027-01'}"), Vec::<&str>::new());
    assert_eq!(api_key("{rotate: '1', secretRef: {name: mine}}"), field);
    assert_eq!(api_key("{rotate: '1', required: false}"), field);
}

#[test]
fn a_database_belongs_to_its_mode_and_takes_the_place_of_what_nodes_would_keep() {
    let shared = |more: &str| {
        spec(
            "prod",
            &format!("{{mode: Shared, database: {{secretRef: {{name: pg-app}}}}{more}}}"),
        )
    };
    assert_eq!(shared(""), Vec::<&str>::new());
    assert_eq!(shared(", replicas: 50"), Vec::<&str>::new());
    assert_eq!(shared(", replicas: 51"), ["spec.replicas"]);
    assert_eq!(spec("prod", "{mode: Shared}"), ["spec.database"]);
    assert_eq!(
        spec("prod", "{database: {secretRef: {name: pg-app}}}"),
        ["spec.database"]
    );
    for (more, field) in [
        (", storage: {size: 2Gi}", "spec.storage"),
        (", storage: {storageClassName: fast}", "spec.storage"),
        (
            ", storage: {retention: {whenDeleted: Delete}}",
            "spec.storage",
        ),
        (", writeAck: All", "spec.writeAck"),
        (", syncIntervalSeconds: 5", "spec.syncIntervalSeconds"),
        (
            ", rebuildMembers: [{name: prod-1, incarnation: '0123456789abcdef'}]",
            "spec.rebuildMembers",
        ),
    ] {
        assert_eq!(shared(more), [field], "{more}");
    }
    // What these fields are by default may stand there.
    assert_eq!(
        shared(", storage: {size: 1Gi}, writeAck: Healthy"),
        Vec::<&str>::new()
    );
}

#[test]
fn each_rule_names_its_field() {
    assert_eq!(
        spec("prod", "{monitoring: {serviceMonitor: {interval: often}}}"),
        ["spec.monitoring.serviceMonitor.interval"]
    );
    assert_eq!(spec("prod-nodes", "{}"), ["metadata.name"]);
    assert_eq!(spec("prod", "{replicas: 0}"), ["spec.replicas"]);
    assert_eq!(spec("prod", "{replicas: 16}"), ["spec.replicas"]);
    assert_eq!(
        spec("prod", "{storage: {size: lots}}"),
        ["spec.storage.size"]
    );
    assert_eq!(
        spec("prod", "{storage: {size: '0'}}"),
        ["spec.storage.size"]
    );
    assert_eq!(
        spec("prod", "{apiKey: {required: false, secretRef: {name: s}}}"),
        ["spec.apiKey"]
    );
    assert_eq!(
        spec("Prod", "{replicas: 99}"),
        ["metadata.name", "spec.replicas"]
    );
}
