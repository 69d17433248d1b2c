//! Metrics and status of nodes about the database that they share.

use std::{
    collections::BTreeSet,
    fs,
    io::Write,
    path::PathBuf,
    process::{Command, Stdio},
    time::Duration,
};

use crate::{
    server::Server,
    world::{SOON, World},
    writes::created,
};

/// Metrics that begin so are of a shared database.
const PREFIX: &str = "osc_database_";

fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_and_dashboard_use_only_metrics_that_exist() {
    let world = World::new().await;
    let node = world.node();
    let page = node.get("/metrics").await.text;
    for line in [
        "osc_database_reachable 1",
        "osc_database_commits_set_aside 0",
        "osc_database_unknown_commits_total 0",
        "osc_database_changes_held_back_seconds 0",
        "osc_database_timeline 1",
        r#"osc_database_requests_waiting{pool="writes"} 0"#,
    ] {
        assert!(page.lines().any(|found| found == line), "{line} in {page}");
    }
    let known: BTreeSet<_> = page
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next())
        .filter(|name| name.starts_with(PREFIX))
        .collect();
    let folder = repository().join("manifests/monitoring");
    let text = ["alerts.yaml", "dashboard.json"]
        .map(|file| fs::read_to_string(folder.join(file)).unwrap())
        .concat();
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let used: BTreeSet<_> = words.filter(|word| word.starts_with(PREFIX)).collect();
    assert!(!used.is_empty());
    let missing: Vec<_> = used.difference(&known).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn promtool_finds_nothing_in_what_is_said_of_the_database() {
    let world = World::new().await;
    let page = world.node().get("/metrics").await.text;
    let of_database = page.lines().filter(|line| line.contains(PREFIX));
    let of_database: String = of_database.flat_map(|line| [line, "\n"]).collect();
    let mut tool = Command::new(repository().join("target/tools/promtool"))
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = tool.stdin.take().unwrap();
    input.write_all(of_database.as_bytes()).unwrap();
    drop(input);
    let output = tool.wait_with_output().unwrap();
    let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert_eq!(text, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_that_an_open_transaction_holds_back_are_shown() {
    let server = Server::primary().await;
    let store = server.store(1).await;
    let mut other = server.connect("postgres").await.unwrap();
    let open = other.transaction().await.unwrap();
    open.batch_execute("SELECT pg_current_xact_id()")
        .await
        .unwrap();
    created(&store, "k", "gAAAA").await;
    let until = async |is_held_back: bool| {
        let shown = async {
            while store.usage().changes_held_back.is_zero() == is_held_back {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(SOON, shown).await.unwrap();
    };
    until(true).await;
    open.rollback().await.unwrap();
    until(false).await;
}
