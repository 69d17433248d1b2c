//! The file with the resource: read as strictly as the API server reads it, since none is here to do it.

use std::path::Path;

use anyhow::{Context, bail};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use serde_json::{Value, json};

use super::schema::{advice, violations};
use crate::cluster::{
    resource::{OpenSecureConfCluster, crd},
    validate::{ValidatedCluster, validate},
};

const FIELDS: [&str; 5] = ["apiVersion", "kind", "metadata", "spec", "status"];
/// The metadata that Kubernetes knows of every object.
const METADATA: [&str; 15] = [
    "annotations",
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "finalizers",
    "generateName",
    "generation",
    "labels",
    "managedFields",
    "name",
    "namespace",
    "ownerReferences",
    "resourceVersion",
    "selfLink",
    "uid",
];

/// Reads one valid OpenSecureConfCluster.
///
/// # Errors
/// A file that cannot be read, is no YAML or another kind of object; each field that the definition does not know, with the
/// nearest that it knows; each value of another type; every error that the operator reports on Kubernetes.
pub(super) fn read(file: &Path) -> anyhow::Result<ValidatedCluster> {
    let text =
        std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    parse(&text).with_context(|| format!("{} is not valid", file.display()))
}

fn parse(text: &str) -> anyhow::Result<ValidatedCluster> {
    let mut document = one_document(text)?;
    let found = faults(&document)?;
    if !found.is_empty() {
        bail!("\n  - {}", found.join("\n  - "));
    }
    drop_nulls(&mut document);
    if let Some(members) = document.as_object_mut() {
        members.entry("spec").or_insert_with(|| json!({}));
    }
    let mut cluster: OpenSecureConfCluster = serde_json::from_value(document)?;
    cluster.metadata.namespace = Some("local".to_owned());
    Ok(validate(&cluster, "")?)
}

fn one_document(text: &str) -> anyhow::Result<Value> {
    let error = match serde_saphyr::from_str(text) {
        Ok(document) => return Ok(document),
        Err(error) => error,
    };
    let Ok(documents) = serde_saphyr::from_multiple::<Value>(text) else {
        return Err(error.into());
    };
    let all = documents.len();
    if all < 2 {
        return Err(error.into());
    }
    let kind = OpenSecureConfCluster::kind(&());
    let clusters = documents
        .iter()
        .filter(|document| document.get("kind").and_then(Value::as_str) == Some(&kind))
        .count();
    bail!(
        "it holds {all} YAML documents, {clusters} of them of kind {kind}; give a file with one {kind} and nothing else, such as \
         manifests/samples/three-nodes.yaml"
    )
}

fn faults(document: &Value) -> anyhow::Result<Vec<String>> {
    let members = document
        .as_object()
        .context("it is no YAML document with apiVersion, kind and metadata")?;
    let mut found = Vec::new();
    let (version, kind) = (
        OpenSecureConfCluster::api_version(&()),
        OpenSecureConfCluster::kind(&()),
    );
    for (field, wanted) in [("apiVersion", version), ("kind", kind)] {
        match members.get(field).and_then(Value::as_str) {
            Some(given) if given == wanted => {}
            Some(given) => found.push(format!("{field} must be {wanted}, not '{given}'")),
            None => found.push(format!("{field} must be {wanted}")),
        }
    }
    let unknown = |parent: &str, members: &Value, known: &[&str]| -> Vec<String> {
        let names = members
            .as_object()
            .into_iter()
            .flat_map(|members| members.keys());
        names
            .filter(|name| !known.contains(&name.as_str()))
            .map(|name| advice(parent, name, known.iter().copied()))
            .collect()
    };
    found.extend(unknown("", document, &FIELDS));
    let metadata = members.get("metadata").unwrap_or(&Value::Null);
    found.extend(unknown("metadata", metadata, &METADATA));
    if let Err(error) = serde_json::from_value::<ObjectMeta>(metadata.clone()) {
        found.push(format!("metadata: {error}"));
    }
    let crd = serde_json::to_value(crd()?)?;
    let schema = crd.pointer("/spec/versions/0/schema/openAPIV3Schema/properties/spec");
    let schema = schema.context("the definition has no schema")?;
    let spec = members.get("spec").unwrap_or(&Value::Null);
    found.extend(violations("spec", spec, schema));
    Ok(found)
}

/// As the API server does before it sets defaults: a whole spec may be a default too.
fn drop_nulls(document: &mut Value) {
    match document {
        Value::Object(members) => {
            members.retain(|_, member| !member.is_null());
            members.values_mut().for_each(drop_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}

#[cfg(test)]
mod tests;
