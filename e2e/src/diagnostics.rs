//! Diagnostics that are kept after a failure.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::Command,
    time::{SystemTime, UNIX_EPOCH},
};

use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, Client, ResourceExt,
    api::{ListParams, LogParams},
};

const OPERATOR_NAMESPACE: &str = "opensecureconf-system";

/// Keeps logs, events and resources of a story's namespace and of the operator in a new folder below another, and prints its
/// name. Missing parts are left out: the failure itself matters.
pub(crate) async fn keep(client: &Client, namespace: &str, story: &str, below: &Path) {
    let time = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map(|time| time.as_secs())
        .unwrap_or_default();
    let folder = below.join(format!("{story}-{time}"));
    for namespace in [namespace, OPERATOR_NAMESPACE] {
        let folder = folder.join(namespace);
        if fs::create_dir_all(&folder).is_ok() {
            logs(client, namespace, &folder).await;
            // Secrets are named, but their content stays where it is.
            kubectl(
                namespace,
                &[
                    "get",
                    "osc,all,configmaps,pvc,pdb,networkpolicies,events",
                    "-o",
                    "yaml",
                ],
                &folder.join("resources.yaml"),
            );
            kubectl(namespace, &["get", "secrets"], &folder.join("secrets.txt"));
            kubectl(namespace, &["describe", "pods"], &folder.join("pods.txt"));
        }
    }
    let _ = writeln!(
        std::io::stderr(),
        "logs, events and resources: {}",
        folder.display()
    );
}

async fn logs(client: &Client, namespace: &str, folder: &Path) {
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let Ok(found) = pods.list(&ListParams::default()).await else {
        return;
    };
    for pod in found {
        for (previous, suffix) in [(false, "log"), (true, "previous.log")] {
            let parameters = LogParams {
                previous,
                ..LogParams::default()
            };
            if let Ok(log) = pods.logs(&pod.name_any(), &parameters).await {
                let _ = fs::write(folder.join(format!("{}.{suffix}", pod.name_any())), log);
            }
        }
    }
}

fn kubectl(namespace: &str, arguments: &[&str], file: &Path) {
    let cache = std::env::var("KUBE_CACHE").unwrap_or_else(|_| {
        format!(
            "{}/.cache/opensecureconf-e2e",
            std::env::var("HOME").unwrap_or_default()
        )
    });
    // The kubectl that was built for the cluster, otherwise the system's.
    let built = PathBuf::from(cache).join("bin/kubectl");
    let program = if built.exists() {
        built
    } else {
        "kubectl".into()
    };
    let output = Command::new(program)
        .args(["-n", namespace])
        .args(arguments)
        .output();
    if let Ok(output) = output {
        let _ = fs::write(file, [output.stdout, output.stderr].concat());
    }
}
