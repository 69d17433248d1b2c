//! Rules of the resource that its types cannot say, each once as CEL for the API server and once as Rust for everyone
//! who has no API server. A test holds the two together: `rules/agreement.rs`.

use std::net::IpAddr;

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::{
    ClusterSpec, Mode, OpenSecureConfCluster, ServiceType, TlsMode, UpgradePolicy, UpgradeWindow,
    duration, object_names, repeated,
};
use crate::{
    controller::difference::amount,
    names::ClusterName,
    pki::{OPERATOR_NAME, covers},
};

/// A rule that a resource breaks, in words for its author.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {message}")]
pub struct Violation {
    /// Which field.
    pub field: &'static str,
    /// What is wrong and what is right.
    pub message: &'static str,
}

/// One rule.
pub(super) struct Rule {
    /// Where it stands in the schema: transition rules on the field itself, for on an object that lacks the old field they
    /// would lock it.
    pub(super) at: &'static str,
    pub(super) field: &'static str,
    pub(super) cel: &'static str,
    pub(super) message: &'static str,
    /// Whether a resource keeps it; `None` where it compares with the resource before.
    pub(super) holds: Option<fn(&OpenSecureConfCluster) -> bool>,
}

/// How many nodes a cluster can have.
pub const REPLICAS: std::ops::RangeInclusive<i32> = 1..=15;
/// The same of nodes that share a database: they do not know each other.
pub const REPLICAS_SHARED: std::ops::RangeInclusive<i32> = 1..=50;

const SPEC: &str = "/properties/spec";
const STORAGE: &str = "/properties/spec/properties/storage";
const SERVICE: &str = "/properties/spec/properties/service";
const TLS: &str = "/properties/spec/properties/tls";
const UPGRADE: &str = "/properties/spec/properties/upgrade";
const SERVICE_MONITOR: &str = "/properties/spec/properties/monitoring/properties/serviceMonitor";

/// All rules.
pub(super) const RULES: &[Rule] = &[
    Rule {
        at: "",
        field: "metadata.name",
        cel: "self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$') && size(self.metadata.name) <= 40 && !self.metadata.name.endsWith('-nodes')",
        message: "the name must begin with a letter, hold only a-z, 0-9 and '-', have at most 40 characters and not end in '-nodes'",
        holds: Some(|cluster| {
            ClusterName::new(cluster.metadata.name.as_deref().unwrap_or_default()).is_some()
        }),
    },
    Rule {
        at: SPEC,
        field: "spec.replicas",
        cel: "self.replicas >= 1 && self.replicas <= (self.mode == 'Shared' ? 50 : 15)",
        message: "replicas must be from 1 to 15, or to 50 with mode Shared",
        holds: Some(|cluster| {
            let bounds = match cluster.spec.mode {
                Mode::Replica | Mode::Federated => REPLICAS,
                Mode::Shared => REPLICAS_SHARED,
            };
            bounds.contains(&cluster.spec.replicas)
        }),
    },
    Rule {
        at: "/properties/spec/properties/mode",
        field: "spec.mode",
        cel: "self == oldSelf",
        message: "mode cannot be changed; create another cluster and copy the entries",
        holds: None,
    },
    Rule {
        at: SPEC,
        field: "spec.database",
        cel: "has(self.database) == (self.mode == 'Shared')",
        message: "database is for mode Shared, which needs it",
        holds: Some(|cluster| {
            let spec = &cluster.spec;
            spec.database.is_some() == (spec.mode == Mode::Shared)
        }),
    },
    Rule {
        at: SPEC,
        field: "spec.storage",
        cel: "self.mode != 'Shared' || self.storage.size == '1Gi' && !has(self.storage.storageClassName) && self.storage.retention.whenDeleted == 'Retain' && self.storage.retention.whenScaled == 'Retain'",
        message: "storage has no use with mode Shared: its nodes keep nothing, and the database has its own volumes; remove it",
        holds: Some(|cluster| unused_when_shared(&cluster.spec, |spec| &spec.storage)),
    },
    Rule {
        at: SPEC,
        field: "spec.writeAck",
        cel: "self.mode != 'Shared' || self.writeAck == 'Healthy'",
        message: "writeAck has no use with mode Shared: a write is acknowledged once the database has committed it, as durably as that is configured (synchronous_commit, synchronous_standby_names); remove it",
        holds: Some(|cluster| unused_when_shared(&cluster.spec, |spec| &spec.write_ack)),
    },
    Rule {
        at: SPEC,
        field: "spec.syncIntervalSeconds",
        cel: "self.mode != 'Shared' || self.syncIntervalSeconds == 30",
        message: "syncIntervalSeconds has no use with mode Shared: nodes that share a database do not ask each other; remove it",
        holds: Some(|cluster| {
            unused_when_shared(&cluster.spec, |spec| &spec.sync_interval_seconds)
        }),
    },
    Rule {
        at: SPEC,
        field: "spec.rebuildMembers",
        cel: "self.mode != 'Shared' || !has(self.rebuildMembers) || size(self.rebuildMembers) == 0",
        message: "rebuildMembers has no use with mode Shared: its nodes have no volumes to give up; delete the pod instead",
        holds: Some(|cluster| unused_when_shared(&cluster.spec, |spec| &spec.rebuild_members)),
    },
    Rule {
        at: "/properties/spec/properties/storage/properties/size",
        field: "spec.storage.size",
        cel: "isQuantity(self) && !quantity(self).isLessThan(quantity('1'))",
        message: "storage.size must be a size such as 1Gi",
        holds: Some(|cluster| is_size(&Quantity(cluster.spec.storage.size.clone()))),
    },
    Rule {
        // Not on the field: one that is added or taken away has no old value there.
        at: STORAGE,
        field: "spec.storage.storageClassName",
        cel: "has(self.storageClassName) == has(oldSelf.storageClassName) && (!has(self.storageClassName) || self.storageClassName == oldSelf.storageClassName)",
        message: "storage.storageClassName cannot be changed; create another cluster and copy the entries",
        holds: None,
    },
    Rule {
        at: "/properties/spec/properties/storage/properties/retention/properties/whenDeleted",
        field: "spec.storage.retention.whenDeleted",
        cel: "self == oldSelf",
        message: "storage.retention.whenDeleted cannot be changed: the keys were made to stay or to go with the volumes",
        // The operator, which sees no resource before, asks the owner of the keys' Secrets: `secrets/plan.rs`.
        holds: None,
    },
    Rule {
        at: "/properties/spec/properties/rebuildMembers",
        field: "spec.rebuildMembers",
        // That the node is one of this cluster cannot be said here at a bounded cost: condition `RebuildBlocked` says it.
        cel: "self.all(node, node.name.matches('^[a-z][-a-z0-9]*-(0|[1-9][0-9]?)$') && node.incarnation.matches('^[0-9a-f]{16}$'))",
        message: "rebuildMembers names nodes such as config-2, each with its incarnation: 16 hexadecimal digits, as status.members tells it",
        holds: Some(|cluster| {
            let mut nodes = cluster.spec.rebuild_members.iter();
            nodes.all(|node| is_node_name(&node.name) && is_incarnation(&node.incarnation))
        }),
    },
    Rule {
        at: SERVICE_MONITOR,
        field: "spec.monitoring.serviceMonitor.interval",
        cel: "self.interval.matches('^([0-9]+y)?([0-9]+w)?([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?$') && size(self.interval) > 0",
        message: "monitoring.serviceMonitor.interval must be a duration such as 30s or 1m30s",
        holds: Some(|cluster| {
            duration::seconds(&cluster.spec.monitoring.service_monitor.interval).is_some()
        }),
    },
    Rule {
        at: SERVICE_MONITOR,
        field: "spec.monitoring.serviceMonitor.scrapeTimeout",
        // CEL knows no days; the operator compares those too. An interval that is none has a rule of its own.
        cel: "!has(self.scrapeTimeout) || self.scrapeTimeout.matches('^([0-9]+y)?([0-9]+w)?([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?$') && size(self.scrapeTimeout) > 0 && (self.scrapeTimeout.matches('[ywd]') || !self.interval.matches('^([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?$') || size(self.interval) == 0 || duration(self.scrapeTimeout) <= duration(self.interval))",
        message: "monitoring.serviceMonitor.scrapeTimeout must be a duration such as 10s, and not longer than the interval",
        holds: Some(|cluster| {
            let monitor = &cluster.spec.monitoring.service_monitor;
            monitor.scrape_timeout.as_ref().is_none_or(|timeout| {
                duration::seconds(timeout).is_some_and(|timeout| {
                    duration::seconds(&monitor.interval).is_none_or(|interval| timeout <= interval)
                })
            })
        }),
    },
    Rule {
        at: SPEC,
        field: "spec.apiKey",
        cel: "self.apiKey.required || !has(self.apiKey.secretRef)",
        message: "apiKey.secretRef has no use while apiKey.required is false; remove one of the two",
        holds: Some(|cluster| {
            cluster.spec.api_key.required || cluster.spec.api_key.secret_ref.is_none()
        }),
    },
    Rule {
        at: SPEC,
        field: "spec.apiKey.rotate",
        cel: "!has(self.apiKey.rotate) || self.apiKey.required && !has(self.apiKey.secretRef)",
        message: "apiKey.rotate is about the key that the operator made: it has no use beside apiKey.secretRef, or while apiKey.required is false; remove one of the two",
        holds: Some(|cluster| {
            let api_key = &cluster.spec.api_key;
            api_key.rotate.is_none() || api_key.required && api_key.secret_ref.is_none()
        }),
    },
    Rule {
        at: TLS,
        field: "spec.tls.secretRef",
        cel: "has(self.secretRef) == (self.mode == 'Secret')",
        message: "tls.secretRef is for tls.mode Secret, which needs it",
        holds: Some(|cluster| {
            let tls = &cluster.spec.tls;
            tls.secret_ref.is_some() == (tls.mode == TlsMode::Secret)
        }),
    },
    Rule {
        at: TLS,
        field: "spec.tls.issuerRef",
        cel: "has(self.issuerRef) == (self.mode == 'Issuer')",
        message: "tls.issuerRef is for tls.mode Issuer, which needs it",
        holds: Some(|cluster| {
            let tls = &cluster.spec.tls;
            tls.issuer_ref.is_some() == (tls.mode == TlsMode::Issuer)
        }),
    },
    Rule {
        at: TLS,
        field: "spec.tls.plainHttp",
        cel: "self.plainHttp != 'Forbidden' || self.mode != 'Disabled'",
        message: "tls.plainHttp Forbidden with tls.mode Disabled leaves clients no port",
        holds: Some(|cluster| {
            let tls = &cluster.spec.tls;
            tls.serves_http() || tls.serves_https()
        }),
    },
    Rule {
        at: TLS,
        field: "spec.tls.altNames",
        cel: "!has(self.altNames) || self.altNames.all(name, isIP(name) || name.matches('^([*][.])?([a-z0-9]([-a-z0-9]*[a-z0-9])?[.])*[a-z0-9]([-a-z0-9]*[a-z0-9])?$'))",
        message: "tls.altNames must be DNS names in lower case, of which the first label may be a wildcard, and IP addresses",
        holds: Some(|cluster| {
            let names = &cluster.spec.tls.alt_names;
            names.iter().all(|name| is_alternative_name(name))
        }),
    },
    Rule {
        at: TLS,
        field: "spec.tls.altNames",
        cel: "!has(self.altNames) || !self.altNames.exists(name, name == 'operator.opensecureconf.io' || name == '*.opensecureconf.io')",
        message: "tls.altNames may not name operator.opensecureconf.io: by that name nodes know the operator, and a node's certificate would give orders",
        holds: Some(|cluster| {
            let names = &cluster.spec.tls.alt_names;
            !names.iter().any(|name| covers(name, OPERATOR_NAME))
        }),
    },
    Rule {
        at: UPGRADE,
        field: "spec.upgrade.window",
        cel: "has(self.window) == (self.policy == 'Window')",
        message: "upgrade.window is for upgrade.policy Window, which needs it",
        holds: Some(|cluster| {
            let upgrade = &cluster.spec.upgrade;
            upgrade.window.is_some() == (upgrade.policy == UpgradePolicy::Window)
        }),
    },
    Rule {
        at: UPGRADE,
        field: "spec.upgrade.window.schedule",
        // CEL knows no cron; the operator reads it as such, and refuses days that never come.
        cel: "!has(self.window) || self.window.schedule.matches('^ *[^ ]+( +[^ ]+){4} *$')",
        message: "upgrade.window.schedule must be a cron schedule of five fields, such as 0 2 * * 6",
        holds: Some(|cluster| window_holds(cluster, UpgradeWindow::has_schedule)),
    },
    Rule {
        at: UPGRADE,
        field: "spec.upgrade.window.duration",
        cel: "!has(self.window) || self.window.duration.matches('^([0-9]+y)?([0-9]+w)?([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?$') && size(self.window.duration) > 0 && (self.window.duration.matches('[ywd]') || duration(self.window.duration) >= duration('1m'))",
        message: "upgrade.window.duration must be a duration such as 4h, of at least a minute",
        holds: Some(|cluster| window_holds(cluster, UpgradeWindow::has_duration)),
    },
    Rule {
        at: UPGRADE,
        field: "spec.upgrade.window.timeZone",
        cel: "!has(self.window) || self.window.timeZone.matches('^[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*$')",
        message: "upgrade.window.timeZone must be a name of the IANA database, such as Europe/Rome or UTC",
        holds: Some(|cluster| window_holds(cluster, UpgradeWindow::has_time_zone)),
    },
    Rule {
        at: SPEC,
        field: "spec.service.exposePlainHttp",
        cel: "!self.service.exposePlainHttp || self.tls.plainHttp == 'Allowed'",
        message: "service.exposePlainHttp has no use while tls.plainHttp is Forbidden; remove one of the two",
        holds: Some(|cluster| {
            !cluster.spec.service.expose_plain_http || cluster.spec.tls.serves_http()
        }),
    },
    Rule {
        at: SERVICE,
        field: "spec.service.externalTrafficPolicy",
        cel: "!has(self.externalTrafficPolicy) || self.type != 'ClusterIP'",
        message: "service.externalTrafficPolicy is about traffic from outside: it needs service.type NodePort or LoadBalancer",
        holds: Some(|cluster| {
            let service = &cluster.spec.service;
            service.external_traffic_policy.is_none() || service.type_ != ServiceType::ClusterIP
        }),
    },
    Rule {
        at: SERVICE,
        field: "spec.service.loadBalancerSourceRanges",
        cel: "!has(self.loadBalancerSourceRanges) || size(self.loadBalancerSourceRanges) == 0 || self.type == 'LoadBalancer' && self.loadBalancerSourceRanges.all(range, isCIDR(range))",
        message: "service.loadBalancerSourceRanges needs service.type LoadBalancer, and networks such as 10.0.0.0/8",
        holds: Some(|cluster| {
            let service = &cluster.spec.service;
            let ranges = &service.load_balancer_source_ranges;
            ranges.is_empty()
                || service.type_ == ServiceType::LoadBalancer
                    && ranges.iter().all(|range| is_network(range))
        }),
    },
];

/// Checks every rule that needs only the resource itself.
pub fn check(cluster: &OpenSecureConfCluster) -> Result<(), Vec<Violation>> {
    let violations: Vec<_> = RULES
        .iter()
        .filter(|rule| rule.holds.is_some_and(|holds| !holds(cluster)))
        .map(|rule| Violation {
            field: rule.field,
            message: rule.message,
        })
        .chain(object_names::violations(&cluster.spec))
        .chain(repeated::violations(&cluster.spec))
        .collect();
    if violations.is_empty() {
        Ok(())
    } else {
        Err(violations)
    }
}

fn window_holds(cluster: &OpenSecureConfCluster, holds: fn(&UpgradeWindow) -> bool) -> bool {
    cluster.spec.upgrade.window.as_ref().is_none_or(holds)
}

/// Whether a field is left out where the nodes share a database.
fn unused_when_shared<T: PartialEq>(spec: &ClusterSpec, field: fn(&ClusterSpec) -> &T) -> bool {
    spec.mode != Mode::Shared || field(spec) == field(&ClusterSpec::default())
}

/// An IP address, or a DNS name in lower case.
fn is_alternative_name(text: &str) -> bool {
    let label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
    };
    let name = text.strip_prefix("*.").unwrap_or(text);
    address(text).is_some() || name.split('.').all(label)
}

/// An address as Kubernetes writes one: no IPv4 address inside of an IPv6 address.
fn address(text: &str) -> Option<IpAddr> {
    let address = text.parse().ok()?;
    let is_mapped = matches!(address, IpAddr::V6(six) if six.to_ipv4_mapped().is_some());
    (!is_mapped).then_some(address)
}

/// The name of a cluster, and an ordinal.
fn is_node_name(text: &str) -> bool {
    let Some((cluster, ordinal)) = text.rsplit_once('-') else {
        return false;
    };
    let is_usual = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let number = ordinal.parse::<u8>();
    cluster.starts_with(|first: char| first.is_ascii_lowercase())
        && cluster.bytes().all(is_usual)
        && number.is_ok_and(|number| number < 100 && number.to_string() == ordinal)
}

/// As nodes report it.
fn is_incarnation(text: &str) -> bool {
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    text.len() == 16 && text.bytes().all(is_digit)
}

/// An address and the length of its prefix.
fn is_network(text: &str) -> bool {
    let Some((first, length)) = text.split_once('/') else {
        return false;
    };
    let longest = match address(first) {
        Some(IpAddr::V4(_)) => 32,
        Some(IpAddr::V6(_)) => 128,
        None => return false,
    };
    // Without a sign, and without a zero before it.
    let number = length.parse::<u8>();
    number.is_ok_and(|number| number <= longest && number.to_string() == length)
}

/// A quantity of a byte and more.
fn is_size(Quantity(text): &Quantity) -> bool {
    amount(text).is_some_and(|billionths| billionths >= amount("1").unwrap_or_default())
}

#[cfg(test)]
mod agreement;
#[cfg(test)]
mod tests;
