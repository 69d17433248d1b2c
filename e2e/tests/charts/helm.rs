//! Helm as a child process, and its renderings.

use std::{
    collections::BTreeSet,
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde_json::Value;

/// Release and namespace under which a chart renders the same as `install.yaml`.
pub(crate) const OPERATOR: (&str, &str) = ("opensecureconf-operator", "opensecureconf-system");

/// The programs of `HELM_PROGRAMS`, separated by colons.
fn programs() -> Vec<PathBuf> {
    let programs = std::env::var("HELM_PROGRAMS").unwrap_or_default();
    let programs: Vec<_> = programs
        .split(':')
        .filter(|path| !path.is_empty())
        .collect();
    assert!(
        !programs.is_empty(),
        "HELM_PROGRAMS names no Helm; `make charts` runs these tests"
    );
    programs.into_iter().map(PathBuf::from).collect()
}

/// The top of the repository.
pub(crate) fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The folder of a chart.
pub(crate) fn chart(name: &str) -> PathBuf {
    top().join("helm").join(name)
}

/// Copies a folder, so that a test may change it.
pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// Renders a chart with these values by every Helm, which all render the same. An error is Helm's own words.
pub(crate) fn template(
    chart: &Path,
    (release, namespace): (&str, &str),
    values: &Value,
) -> Result<Vec<Value>, String> {
    let mut outcomes = programs().into_iter().map(|program| {
        let outcome = run(&program, chart, (release, namespace), values);
        (program, outcome)
    });
    let (_, first) = outcomes.next().unwrap();
    for (program, outcome) in outcomes {
        match (&first, &outcome) {
            (Ok(first), Ok(other)) => {
                assert_eq!(sorted(first), sorted(other), "{}", program.display());
            }
            (Err(_), Err(_)) => {}
            (first, other) => panic!("{}: {first:?}, {other:?}", program.display()),
        }
    }
    let documents = first?;
    check(&documents);
    Ok(documents)
}

/// The same by one Helm, without the checks that hold for every rendering: for many values, one after the other.
pub(crate) fn by_one(
    chart: &Path,
    (release, namespace): (&str, &str),
    values: &Value,
) -> Result<Vec<Value>, String> {
    let program = programs().remove(0);
    run(&program, chart, (release, namespace), values)
}

fn run(
    program: &Path,
    chart: &Path,
    (release, namespace): (&str, &str),
    values: &Value,
) -> Result<Vec<Value>, String> {
    let mut child = Command::new(program)
        .args(["template", release])
        .arg(chart)
        .args(["--namespace", namespace, "--kube-version", "1.35.0"])
        .args(["--values", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // JSON is YAML.
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(values.to_string().as_bytes()).unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    let text = String::from_utf8(output.stdout).unwrap();
    Ok(documents(&text))
}

/// Documents of a YAML text, without empty ones.
pub(crate) fn documents(text: &str) -> Vec<Value> {
    let documents: Vec<Value> = serde_saphyr::from_multiple(text).unwrap();
    documents
        .into_iter()
        .filter(|document| !document.is_null())
        .collect()
}

/// The identity of an object: kind, namespace, name.
pub(crate) fn identity(document: &Value) -> (String, String, String) {
    let text = |pointer: &str| {
        let value = document.pointer(pointer).cloned().unwrap_or_default();
        value.as_str().unwrap_or_default().to_owned()
    };
    (
        text("/kind"),
        text("/metadata/namespace"),
        text("/metadata/name"),
    )
}

/// The documents in the order of their identities.
pub(crate) fn sorted(documents: &[Value]) -> Vec<Value> {
    let mut documents = documents.to_vec();
    documents.sort_by_key(identity);
    documents
}

/// Whether it is applied only for a hook or a test.
pub(crate) fn is_hook(document: &Value) -> bool {
    document["metadata"]["annotations"]
        .get("helm.sh/hook")
        .is_some()
}

/// The one object of a kind that is no hook.
pub(crate) fn one<'a>(documents: &'a [Value], kind: &str) -> &'a Value {
    let found: Vec<_> = documents
        .iter()
        .filter(|document| document["kind"] == kind && !is_hook(document))
        .collect();
    assert_eq!(found.len(), 1, "{kind}: {found:#?}");
    found[0]
}

/// Checks that hold for every rendering.
fn check(documents: &[Value]) {
    let identities: BTreeSet<_> = documents.iter().map(identity).collect();
    assert_eq!(identities.len(), documents.len(), "one name twice");
    for document in documents {
        let (kind, _, name) = identity(document);
        assert!(!name.is_empty(), "a name that is no text: {document}");
        if kind != "CustomResourceDefinition" {
            strings("", document);
        }
    }
}

/// Maps of strings hold only strings, whatever YAML makes of `true`, `1` or a date; and no value is null.
fn strings(path: &str, value: &Value) {
    const MAPS: [&str; 7] = [
        "labels",
        "annotations",
        "matchLabels",
        "nodeSelector",
        "requests",
        "limits",
        "data",
    ];
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                let path = format!("{path}/{name}");
                assert!(!member.is_null(), "{path} is null");
                match member.as_object() {
                    Some(map) if MAPS.contains(&name.as_str()) => {
                        for (name, text) in map {
                            assert!(text.is_string(), "{path}/{name} is no text: {text}");
                        }
                    }
                    _ => strings(&path, member),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| strings(path, item)),
        _ => {}
    }
}

/// Sets each value of the chart to null, which removes it, over these values. The chart renders without it, or its schema
/// refuses it by its name, and no template ends in an error of its own.
pub(crate) fn takes_null(chart: &Path, release: (&str, &str), with: &Value) {
    let text = fs::read_to_string(chart.join("values.yaml")).unwrap();
    let mut paths = Vec::new();
    names(&documents(&text)[0], &mut Vec::new(), &mut paths);
    assert!(paths.len() > 10, "{paths:?}");
    for path in paths {
        let mut values = with.clone();
        let last = path
            .iter()
            .fold(&mut values, |value, name| &mut value[name.as_str()]);
        *last = Value::Null;
        if let Err(words) = template(chart, release, &values) {
            let name = path.last().unwrap();
            let named = words.contains("specifications of the schema") && words.contains(name);
            assert!(named, "{path:?}: {words}");
        }
    }
}

fn names(values: &Value, before: &mut Vec<String>, found: &mut Vec<Vec<String>>) {
    for (name, value) in values.as_object().into_iter().flatten() {
        before.push(name.clone());
        found.push(before.clone());
        names(value, before, found);
        before.pop();
    }
}
