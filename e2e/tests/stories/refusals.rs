//! What the API server refuses by the rules of the resource, each of them.

use std::collections::BTreeSet;

use anyhow::{Context, ensure};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Api;
use opensecureconf_e2e::Stage;
use serde_json::Value;

/// Name, spec, and a part of the answer. The cluster `there` exists.
const REFUSED: &[(&str, &str, &str)] = &[
    ("none", "{replicas: 0}", "replicas must be from 1 to 15"),
    ("many", "{replicas: 16}", "replicas must be from 1 to 15"),
    ("some-nodes", "{}", "not end in '-nodes'"),
    ("1st", "{}", "the name must begin with a letter"),
    (
        "size",
        "{storage: {size: lots}}",
        "storage.size must be a size such as 1Gi",
    ),
    (
        "there",
        "{replicas: 1, storage: {storageClassName: other}}",
        "storageClassName cannot be changed",
    ),
    (
        "there",
        "{replicas: 1, mode: Federated}",
        "mode cannot be changed",
    ),
    (
        "there",
        "{replicas: 1, storage: {retention: {whenDeleted: Delete}}}",
        "whenDeleted cannot be changed",
    ),
    (
        "keys",
        "{apiKey: {required: false, secretRef: {name: mine}}}",
        "apiKey.secretRef has no use",
    ),
    (
        "rotated",
        "{apiKey: {rotate: now, secretRef: {name: mine}}}",
        "apiKey.rotate is about the key that the operator made",
    ),
    ("mode", "{mode: Anarchy}", "Unsupported value"),
    (
        "no-database",
        "{mode: Shared}",
        "database is for mode Shared",
    ),
    (
        "unused-database",
        "{database: {secretRef: {name: mine}}}",
        "database is for mode Shared",
    ),
    (
        "volumes",
        "{mode: Shared, database: {secretRef: {name: mine}}, storage: {size: 2Gi}}",
        "storage has no use with mode Shared",
    ),
    (
        "acks",
        "{mode: Shared, database: {secretRef: {name: mine}}, writeAck: All}",
        "writeAck has no use with mode Shared",
    ),
    (
        "sync",
        "{mode: Shared, database: {secretRef: {name: mine}}, syncIntervalSeconds: 9}",
        "syncIntervalSeconds has no use with mode Shared",
    ),
    (
        "rebuilt",
        "{mode: Shared, database: {secretRef: {name: mine}}, rebuildMembers: [{name: rebuilt-0, incarnation: 00000000000000aa}]}",
        "rebuildMembers has no use with mode Shared",
    ),
    (
        "members",
        "{rebuildMembers: [{name: members-0, incarnation: the first}]}",
        "rebuildMembers names nodes such as config-2",
    ),
    (
        "outside",
        "{service: {externalTrafficPolicy: Local}}",
        "externalTrafficPolicy is about traffic from outside",
    ),
    (
        "ranges",
        "{service: {type: LoadBalancer, loadBalancerSourceRanges: [everybody]}}",
        "networks such as 10.0.0.0/8",
    ),
    (
        "plain",
        "{service: {exposePlainHttp: true}, tls: {plainHttp: Forbidden}}",
        "exposePlainHttp has no use",
    ),
    (
        "interval",
        "{monitoring: {serviceMonitor: {interval: often}}}",
        "interval must be a duration",
    ),
    (
        "scrape",
        "{monitoring: {serviceMonitor: {interval: 10s, scrapeTimeout: 11s}}}",
        "not longer than the interval",
    ),
    (
        "no-secret",
        "{tls: {mode: Secret}}",
        "tls.secretRef is for tls.mode Secret",
    ),
    (
        "unused-secret",
        "{tls: {secretRef: {name: mine}}}",
        "tls.secretRef is for tls.mode Secret",
    ),
    (
        "no-issuer",
        "{tls: {mode: Issuer}}",
        "tls.issuerRef is for tls.mode Issuer",
    ),
    (
        "unused-issuer",
        "{tls: {issuerRef: {name: ours}}}",
        "tls.issuerRef is for tls.mode Issuer",
    ),
    (
        "no-port",
        "{tls: {mode: Disabled, plainHttp: Forbidden}}",
        "leaves clients no port",
    ),
    (
        "alias",
        "{tls: {altNames: [Not.Lower]}}",
        "tls.altNames must be DNS names in lower case",
    ),
    (
        "operators",
        "{tls: {altNames: [operator.opensecureconf.io]}}",
        "tls.altNames may not name operator.opensecureconf.io",
    ),
    (
        "all-operators",
        "{tls: {altNames: ['*.opensecureconf.io']}}",
        "tls.altNames may not name operator.opensecureconf.io",
    ),
    (
        "no-window",
        "{upgrade: {policy: Window}}",
        "upgrade.window is for upgrade.policy Window",
    ),
    (
        "unused-window",
        "{upgrade: {window: {schedule: 0 2 * * 6, duration: 4h}}}",
        "upgrade.window is for upgrade.policy Window",
    ),
    (
        "schedule",
        "{upgrade: {policy: Window, window: {schedule: at night, duration: 4h}}}",
        "upgrade.window.schedule must be a cron schedule",
    ),
    (
        "duration",
        "{upgrade: {policy: Window, window: {schedule: 0 2 * * 6, duration: 30s}}}",
        "upgrade.window.duration must be a duration",
    ),
    (
        "zone",
        "{upgrade: {policy: Window, window: {schedule: 0 2 * * 6, duration: 4h, timeZone: Rome time}}}",
        "upgrade.window.timeZone must be a name of the IANA database",
    ),
];

/// The messages of all rules in a schema.
fn messages(schema: &Value, into: &mut BTreeSet<String>) {
    match schema {
        Value::Object(members) => {
            for (name, member) in members {
                let rules = (name == "x-kubernetes-validations").then(|| member.as_array());
                for rule in rules.flatten().into_iter().flatten() {
                    into.extend(rule["message"].as_str().map(str::to_owned));
                }
                messages(member, into);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| messages(item, into)),
        _ => {}
    }
}

#[test]
fn resources_that_cannot_work_are_refused_with_words_that_help() {
    Stage::tell("refused", |stage| async move {
        let resource = |name: &str, spec: &str| {
            format!(
                "apiVersion: opensecureconf.io/v1alpha1\nkind: OpenSecureConfCluster\nmetadata: {{name: {name}}}\nspec: {spec}\n"
            )
        };
        stage
            .apply(&resource("there", "{replicas: 1, storage: {size: 1Gi}}"))
            .await?;
        for (name, spec, message) in REFUSED {
            let refusal = stage
                .apply(&resource(name, spec))
                .await
                .err()
                .with_context(|| format!("{name} {spec} was accepted"))?;
            let refusal = format!("{refusal:?}");
            ensure!(refusal.contains(message), "{name} {spec}: {refusal}");
        }
        let definitions: Api<CustomResourceDefinition> = Api::all(stage.client.clone());
        let definition = definitions
            .get("opensecureconfclusters.opensecureconf.io")
            .await?;
        let mut rules = BTreeSet::new();
        messages(&serde_json::to_value(definition.spec)?, &mut rules);
        let unseen: Vec<_> = rules
            .iter()
            .filter(|rule| !REFUSED.iter().any(|(.., message)| rule.contains(message)))
            .collect();
        ensure!(
            rules.len() > 20 && unseen.is_empty(),
            "no refusal by: {unseen:?}"
        );
        Ok(())
    });
}
