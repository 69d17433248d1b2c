//! What a page asks of `kubectl`, held against the resource and the objects that the operator makes of it.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::Service;
use kube::ResourceExt;
use opensecureconf_operator::cluster::{
    build::{ClusterResources, build},
    resource::{CONDITIONS, OpenSecureConfCluster},
    validate::{ValidatedCluster, validate},
};
use serde_json::Value;

use crate::golden::roots;

/// The entries of a Secret for HTTPS.
const TLS_ENTRIES: [&str; 3] = ["tls.crt", "tls.key", "ca.crt"];

/// A resource that a page changes step by step.
pub(super) struct Kubectl {
    resource: Value,
    /// The Secrets that the page made.
    secrets: BTreeSet<String>,
    asked: BTreeSet<String>,
}

impl Kubectl {
    pub(super) fn of(resource: &str) -> Self {
        Self {
            resource: serde_saphyr::from_str(resource).unwrap(),
            secrets: BTreeSet::new(),
            asked: BTreeSet::new(),
        }
    }

    /// The same with this resource.
    pub(super) fn begin_anew(&mut self, resource: &str) {
        self.resource = serde_saphyr::from_str(resource).unwrap();
    }

    /// The verbs so far.
    pub(super) fn asked(&self) -> &BTreeSet<String> {
        &self.asked
    }

    /// Judges a call, and remembers its changes.
    pub(super) fn take(&mut self, call: &[String]) {
        let words: Vec<_> = call.iter().map(String::as_str).collect();
        self.asked.insert(words[0].to_owned());
        match words.as_slice() {
            ["patch", "osc", "config", "--type", "merge", "-p", patch] => self.patch(patch),
            [
                "create",
                "secret",
                "generic",
                name,
                "--type",
                "kubernetes.io/tls",
                files @ ..,
            ] => {
                let files = files
                    .iter()
                    .map(|file| file.strip_prefix("--from-file=").unwrap());
                assert_eq!(files.collect::<Vec<_>>(), TLS_ENTRIES);
                self.secrets.insert((*name).to_owned());
            }
            ["get", "configmap", name, "-o", r"jsonpath={.data.ca\.crt}"] => {
                let map = self.built().ca_config_map;
                assert_eq!(*name, map.name_any());
                assert!(map.data.unwrap().contains_key("ca.crt"));
            }
            ["get", "osc", "config", "-o", path] => {
                let type_ = path.split('"').nth(1).unwrap();
                assert!(CONDITIONS.contains(&type_), "{path}");
                let around = path.replace(type_, "TYPE");
                let expected = r#"jsonpath={.status.conditions[?(@.type=="TYPE")].message}"#;
                assert_eq!(around, expected);
            }
            ["describe", "certificate", name] => {
                let certificate = self.built().certificate.unwrap();
                assert_eq!(*name, certificate.name_any());
            }
            ["port-forward", target, port] => {
                let service = self.built().client_service;
                assert_eq!(*target, format!("service/{}", service.name_any()));
                assert!(ports(&service).contains(&(*port).to_owned()), "{port}");
            }
            // What runs in the pod has run: a page names any pod, or one of this cluster.
            ["exec", pod, "-c", "node", "--", "osc-node", ..] => {
                assert!(*pod == "POD" || *pod == "config-0", "{pod}");
            }
            other => panic!("no test for kubectl {other:?}"),
        }
    }

    fn patch(&mut self, patch: &str) {
        let patch: Value =
            serde_json::from_str(patch).unwrap_or_else(|error| panic!("{patch}: {error}"));
        merge(&mut self.resource, &patch);
        let read: OpenSecureConfCluster = serde_json::from_value(self.resource.clone()).unwrap();
        let whole = serde_json::to_value(read).unwrap();
        assert_eq!(is_in(&self.resource, &whole), Ok(()), "{patch}");
        let spec = &self.valid().spec;
        if let Some(secret) = &spec.tls.secret_ref {
            assert!(self.secrets.contains(&secret.name), "{}", secret.name);
        }
    }

    fn valid(&self) -> ValidatedCluster {
        let resource = serde_json::from_value(self.resource.clone()).unwrap();
        validate(&resource, "node:1").unwrap_or_else(|error| panic!("{}: {error}", self.resource))
    }

    fn built(&self) -> ClusterResources {
        build(&self.valid(), &roots())
    }
}

fn ports(service: &Service) -> Vec<String> {
    let spec = service.spec.as_ref().unwrap();
    let ports = spec.ports.iter().flatten();
    ports.map(|port| port.port.to_string()).collect()
}

/// RFC 7396.
fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(serde_json::Map::new());
    }
    let target = target.as_object_mut().unwrap();
    for (name, value) in patch {
        if value.is_null() {
            target.remove(name);
        } else {
            merge(target.entry(name.clone()).or_insert(Value::Null), value);
        }
    }
}

/// Whether all that was written was read: types drop what they do not know.
///
/// # Errors
/// The first part that was not.
pub(super) fn is_in(written: &Value, read: &Value) -> Result<(), String> {
    match (written, read) {
        (Value::Object(written), Value::Object(read)) => {
            written.iter().try_for_each(|(name, value)| {
                let there = read.get(name).ok_or_else(|| name.clone())?;
                is_in(value, there).map_err(|inner| format!("{name}.{inner}"))
            })
        }
        (Value::Array(written), Value::Array(read)) if written.len() == read.len() => {
            let mut items = written.iter().zip(read);
            items.try_for_each(|(written, read)| is_in(written, read))
        }
        _ if written == read => Ok(()),
        _ => Err(format!("{written} is read as {read}")),
    }
}
