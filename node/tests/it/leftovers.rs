//! Copies of the database that a killed command leaves beside it: they hold all entries, also those that are deleted later.

use std::{
    fs::{self, File},
    io::Read as _,
    path::Path,
};

use reqwest::Method;
use serde_json::json;
use tempfile::TempDir;

use crate::{
    node::TestNode,
    process::{KilledOnDrop, osc_node},
};

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// A database that is larger than the buffer of a pipe.
async fn large_database() -> TempDir {
    let node = TestNode::start();
    for n in 0..8 {
        let body = json!({"key": format!("k{n}"), "value": "x".repeat(500_000)});
        let created = node.call(Method::POST, "/configs", Some(body)).await;
        assert_eq!(created.status, 201);
    }
    node.stop().await
}

#[tokio::test]
async fn a_backup_that_is_killed_while_it_is_written_out_leaves_no_copy() {
    let folder = large_database().await;
    let before = names(folder.path());
    let child = osc_node(folder.path())
        .args(["backup", "--output", "-"])
        .spawn();
    let mut child = KilledOnDrop(child.unwrap());
    // The command has begun to write, and goes on when the test reads more.
    let mut first = [0];
    let mut out = child.0.stdout.take().unwrap();
    out.read_exact(&mut first).unwrap();
    child.0.kill().unwrap();
    child.0.wait().unwrap();
    assert_eq!(names(folder.path()), before);
}

/// Files without a name leave a trace: the folder in which they were made has changed.
#[tokio::test]
async fn no_command_puts_a_copy_on_another_disk() {
    let folder = large_database().await;
    let elsewhere = TempDir::new().unwrap();
    let changed = || fs::metadata(elsewhere.path()).unwrap().modified().unwrap();
    let before = changed();
    for arguments in [
        &["check"][..],
        &["backup", "--output", "b.db"],
        &["vacuum"],
        &["restore", "--input", "b.db", "--force"],
    ] {
        let output = osc_node(folder.path())
            .args(arguments)
            .env("SQLITE_TMPDIR", elsewhere.path())
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        assert_eq!(changed(), before, "{arguments:?}");
    }
}

#[tokio::test]
async fn the_next_start_removes_what_killed_commands_left_and_nothing_else() {
    let folder = TestNode::start().stop().await;
    let left = |name: &str| fs::write(folder.path().join(name), "a copy").unwrap();
    let before = names(folder.path());
    for name in [
        "configurations.db.restoring",
        "configurations.db.restoring-journal",
        "configurations.db.original.new",
        "configurations.db.streamed-0123456789abcdef",
        "configurations.db.streamed-0123456789abcdef-journal",
    ] {
        left(name);
    }
    // Files of people, and of a backup in progress.
    let kept = [
        "configurations.db.original",
        "configurations.db.streamed-",
        "configurations.db.streamed-0123456789abcdeX",
        "configurations.db.streamed-fedcba9876543210",
        "configurations.db.unfinished",
        "other.db.streamed-0123456789abcdef",
        "other.db.restoring",
    ];
    kept.into_iter().for_each(left);
    let made = folder
        .path()
        .join("configurations.db.streamed-fedcba9876543210");
    let held = File::open(made).unwrap();
    held.lock().unwrap();

    let node = TestNode::start_in(folder, &[]);
    let mut expected: Vec<_> = before.into_iter().chain(kept.map(str::to_owned)).collect();
    expected.sort();
    let is_of_sqlite = |name: &String| name.ends_with("-wal") || name.ends_with("-shm");
    expected.retain(|name| !is_of_sqlite(name));
    let mut now = names(node.folder.path());
    now.retain(|name| !is_of_sqlite(name));
    assert_eq!(now, expected);
    drop(held);
    let folder = node.stop().await;

    let output = osc_node(folder.path())
        .args(["backup", "--output", "-"])
        .output();
    assert!(output.unwrap().status.success());
    let left = names(folder.path());
    assert!(
        !left.contains(&"configurations.db.streamed-fedcba9876543210".to_owned()),
        "the next backup removes what nobody makes any more: {left:?}"
    );
}
