use super::*;
use crate::cluster::resource::prod;

fn outcome(pod_template: &str) -> Result<ValidatedCluster, Error> {
    resource(&format!("{{podTemplate: {pod_template}}}"))
}

fn resource(spec: &str) -> Result<ValidatedCluster, Error> {
    validate(&prod(spec), "node:1")
}

#[test]
fn additions_with_names_of_their_own_are_taken() {
    let template = "{labels: {team: a}, env: [{name: TZ, value: UTC}], volumes: [{name: extra, emptyDir: {}}], \
                    volumeMounts: [{name: extra, mountPath: /extra}], sidecars: [{name: proxy, image: p:1}]}";
    let additions = outcome(template).unwrap().additions;
    assert_eq!(additions.env[0].name, "TZ");
    assert_eq!(additions.sidecars[0].image.as_deref(), Some("p:1"));
}

#[test]
fn what_no_pod_has_is_named_with_its_place_and_not_dropped() {
    for (template, field) in [
        (
            "{sidecars: [{name: a, image: i}, {name: b, image: i, envv: []}]}",
            "sidecars[1].envv",
        ),
        (
            "{initContainers: [{name: a, image: i, securityContext: {runAsNonroot: true}}]}",
            "initContainers[0].securityContext.runAsNonroot",
        ),
        (
            "{sidecars: [{name: a, image: i, volumeMounts: [{name: v, mountPath: /v, readonly: true}]}]}",
            "sidecars[0].volumeMounts[0].readonly",
        ),
        (
            "{volumes: [{name: v, emptydir: {medium: Memory}}]}",
            "volumes[0].emptydir",
        ),
        (
            "{env: [{name: A, valueFrom: {fieldRef: {fieldpath: x, fieldPath: spec.nodeName}}}]}",
            "env[0].valueFrom.fieldRef.fieldpath",
        ),
        (
            "{volumeMounts: [{name: v, mountPath: /v, subpath: x}]}",
            "volumeMounts[0].subpath",
        ),
    ] {
        let error = outcome(template).unwrap_err();
        assert!(
            matches!(&error, Error::PodTemplate { field: found, problem } if found == field && problem.contains("no field")),
            "{template}: {error}"
        );
        assert_eq!(error.reason(), "InvalidPodTemplate");
    }
    // A known field that is empty is not unknown.
    let empty = "{sidecars: [{name: a, image: i, env: [], command: null, securityContext: {}, resources: {limits: {}}}], \
                  volumes: [{name: v, emptyDir: {}}], env: [{name: A, value: ''}]}";
    assert!(outcome(empty).is_ok());
}

#[test]
fn what_is_ours_cannot_be_replaced() {
    for (template, field) in [
        ("{labels: {app.kubernetes.io/name: x}}", "labels"),
        ("{env: [{name: OSC_API_KEY, value: x}]}", "env"),
        ("{volumes: [{name: data, emptyDir: {}}]}", "volumes"),
        (
            "{volumeMounts: [{name: x, mountPath: /etc/opensecureconf/salt}]}",
            "volumeMounts",
        ),
        (
            "{volumeMounts: [{name: x, mountPath: /tmp/}]}",
            "volumeMounts",
        ),
        (
            "{volumeMounts: [{name: x, mountPath: /var/lib//opensecureconf}]}",
            "volumeMounts",
        ),
        (
            "{volumeMounts: [{name: x, mountPath: /var/lib/./x/../opensecureconf/db/}]}",
            "volumeMounts",
        ),
        ("{sidecars: [{name: node, image: x}]}", "sidecars"),
        ("{env: [{name: A}, {name: A}]}", "env"),
        (
            "{sidecars: [{name: p, ports: [{containerPort: 9000}]}]}",
            "sidecars[0].ports",
        ),
        (
            "{sidecars: [{name: p, ports: [{containerPort: 1, name: metrics}]}]}",
            "sidecars[0].ports",
        ),
        (
            "{sidecars: [{name: p, volumeMounts: [{name: salt, mountPath: /s}]}]}",
            "sidecars[0].volumeMounts",
        ),
        (
            "{initContainers: [{name: p, volumeMounts: [{name: data, mountPath: /s}]}]}",
            "initContainers[0].volumeMounts",
        ),
        (
            "{volumeMounts: [{name: cluster-key, mountPath: /s}]}",
            "volumeMounts",
        ),
        (
            "{initContainers: [{name: node, image: x}]}",
            "initContainers",
        ),
        ("{volumes: [{name: x, emptyDir: 5}]}", "volumes[0].emptyDir"),
        ("{sidecars: [{name: p, image: 7}]}", "sidecars[0].image"),
        (
            "{sidecars: [{name: p, image: i}, {name: q}]}",
            "sidecars[1].image",
        ),
        (
            "{initContainers: [{name: p, image: ''}]}",
            "initContainers[0].image",
        ),
        (
            "{initContainers: [{name: a}, {name: p, ports: [{containerPort: http}]}]}",
            "initContainers[1].ports[0].containerPort",
        ),
    ] {
        let error = outcome(template).unwrap_err();
        assert!(
            matches!(&error, Error::PodTemplate { field: found, .. } if found == field),
            "{template}: {error}"
        );
        assert_eq!(error.reason(), "InvalidPodTemplate");
    }
}

#[test]
fn a_key_that_stands_twice_in_any_list_is_named_with_its_place() {
    for (template, field) in [
        (
            "{sidecars: [{name: a, env: [{name: A}, {name: A}]}]}",
            "sidecars[0].env",
        ),
        (
            "{sidecars: [{name: a}, {name: b, ports: [{containerPort: 1}, {containerPort: 1, protocol: TCP}]}]}",
            "sidecars[1].ports",
        ),
        (
            "{sidecars: [{name: a, volumeMounts: [{name: x, mountPath: /x}, {name: v, mountPath: /x}]}]}",
            "sidecars[0].volumeMounts",
        ),
        (
            "{initContainers: [{name: a, volumeDevices: [{name: x, devicePath: /x}, {name: v, devicePath: /x}]}]}",
            "initContainers[0].volumeDevices",
        ),
        (
            "{initContainers: [{name: a, resources: {claims: [{name: x}, {name: x}]}}]}",
            "initContainers[0].resources.claims",
        ),
        ("{sidecars: [{name: a}, {name: a}]}", "sidecars"),
        (
            "{sidecars: [{name: a}], initContainers: [{name: a}]}",
            "initContainers",
        ),
        (
            "{volumes: [{name: x, emptyDir: {}}, {name: x, emptyDir: {}}]}",
            "volumes",
        ),
    ] {
        let error = outcome(template).unwrap_err();
        assert!(
            matches!(&error, Error::PodTemplate { field: found, problem } if found == field && problem.contains("twice")),
            "{template}: {error}"
        );
    }
    let both = "{sidecars: [{name: a, image: i, ports: [{containerPort: 53, protocol: TCP}, {containerPort: 53, protocol: UDP}]}]}";
    assert!(outcome(both).is_ok());
}

#[test]
fn no_pod_template_reaches_for_the_clusters_own_secrets_and_volumes() {
    for template in [
        "{volumes: [{name: x, secret: {secretName: prod-salt}}]}",
        "{volumes: [{name: x, projected: {sources: [{secret: {name: prod-cluster-key}}]}}]}",
        "{env: [{name: A, valueFrom: {secretKeyRef: {name: prod-api-key, key: api-key}}}]}",
        "{sidecars: [{name: a, envFrom: [{secretRef: {name: prod-salt}}]}]}",
        "{initContainers: [{name: a, env: [{name: A, valueFrom: {secretKeyRef: {name: prod-cluster-key, key: k}}}]}]}",
        "{volumes: [{name: x, persistentVolumeClaim: {claimName: data-prod-1}}]}",
    ] {
        let error = outcome(template).unwrap_err();
        assert_eq!(error.reason(), "InvalidPodTemplate", "{template}");
        assert!(
            error.to_string().contains("is part of cluster prod"),
            "{error}"
        );
    }
    assert!(outcome("{volumes: [{name: x, secret: {secretName: prod-salty}}]}").is_ok());
}

#[test]
fn no_value_of_an_entry_is_repeated() {
    for (template, said) in [
        (
            "{env: [{name: A, value: b}, {name: PASSWORD, value: 5, valueFrom: hunter2}]}",
            "podTemplate.env[1].value: it is not as in a Pod: expected ",
        ),
        (
            "{volumeMounts: [{name: x, readOnly: hunter2, mountPath: /x}]}",
            "podTemplate.volumeMounts[0].readOnly: it is not as in a Pod: expected a boolean",
        ),
    ] {
        let error = outcome(template).unwrap_err().to_string();
        assert!(error.starts_with(said), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
}

#[test]
fn labels_that_children_are_found_by_cannot_be_given() {
    for (spec, field) in [
        (
            "{service: {labels: {app.kubernetes.io/instance: other}}}",
            "spec.service.labels",
        ),
        (
            "{service: {labels: {opensecureconf.io/scrape: 'true'}}}",
            "spec.service.labels",
        ),
        (
            "{monitoring: {serviceMonitor: {labels: {app.kubernetes.io/managed-by: me}}}}",
            "spec.monitoring.serviceMonitor.labels",
        ),
    ] {
        let error = resource(spec).unwrap_err();
        assert_eq!(error.reason(), "InvalidSpec");
        assert!(error.to_string().starts_with(field), "{error}");
    }
    assert!(resource("{service: {labels: {app.kubernetes.io/part-of: shop}}}").is_ok());
}

#[test]
fn what_is_not_encrypted_leaves_the_cluster_only_where_that_is_asked_for() {
    for type_ in ["NodePort", "LoadBalancer"] {
        let spec = |expose: bool| {
            format!(
                "{{tls: {{mode: Disabled}}, service: {{type: {type_}, exposePlainHttp: {expose}}}}}"
            )
        };
        let error = resource(&spec(false)).unwrap_err();
        assert!(error.to_string().contains("exposePlainHttp"), "{error}");
        assert!(resource(&spec(true)).is_ok());
    }
    assert!(resource("{tls: {mode: Disabled}}").is_ok());
}

#[test]
fn the_image_of_the_resource_wins_over_the_operators() {
    assert_eq!(outcome("{}").unwrap().image, "node:1");
}

#[test]
fn a_field_that_the_pods_of_this_operator_lack_is_refused_with_the_release_that_it_knows() {
    let template = "{podTemplate: {sidecars: [{name: x, image: x, fieldOfALaterRelease: 1}]}}";
    let refused = validate(&prod(template), "node:1").unwrap_err().to_string();
    let release = pod_template::KNOWN_KUBERNETES;
    for words in [
        "podTemplate.sidecars[0].fieldOfALaterRelease",
        &format!("Kubernetes {release}"),
        "leave out what only a later Kubernetes has",
    ] {
        assert!(refused.contains(words), "{refused}");
    }
    let manifest = include_str!("../../../../Cargo.toml");
    let types = manifest
        .lines()
        .find(|line| line.starts_with("k8s-openapi = "));
    let feature = format!("\"v{}\"", release.replace('.', "_"));
    assert!(types.unwrap().contains(&feature), "{types:?}");
}
