//! Files of a node that are no files, or that it may not read: named at once, at the start and while it runs.

use std::{
    fs::{self, Permissions},
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use crate::process::{KilledOnDrop, Process, osc_node};

const KEY: &str = "an-api-key-of-the-tests";

fn pipe(path: &Path) {
    let made = Command::new("mkfifo").arg(path).status().unwrap();
    assert!(made.success());
}

/// A node with these settings, which does not start.
fn refused(folder: &Path, settings: &[(&str, &str)]) -> String {
    let mut command = osc_node(folder);
    command
        .env("OSC_HOST_PORT", "0")
        .env("OSC_API_KEY_REQUIRED", "false");
    said_at_its_end(command.envs(settings.iter().copied()))
}

/// The output of a node that does not start; waits a while for its end.
fn said_at_its_end(command: &mut Command) -> String {
    let mut child = KilledOnDrop(command.spawn().unwrap());
    let end = Instant::now() + Duration::from_secs(20);
    while child.0.try_wait().unwrap().is_none() {
        assert!(Instant::now() < end, "it waits: {command:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
    let said = std::io::read_to_string(child.0.stderr.take().unwrap()).unwrap();
    assert!(!child.0.wait().unwrap().success(), "{said}");
    said
}

#[test]
fn a_pipe_in_the_place_of_any_file_is_named_and_not_waited_for() {
    let clustered = [
        ("OSC_CLUSTER_ENABLED", "true"),
        ("OSC_CLUSTER_NODES", "127.0.0.1:9000"),
        ("OSC_CLUSTER_KEY", "the cluster key of the tests"),
    ];
    for (files, more) in [
        (
            &[
                ("OSC_API_KEY_FILE", "pipe"),
                ("OSC_API_KEY_REQUIRED", "true"),
            ][..],
            &[][..],
        ),
        (&[("OSC_CLUSTER_KEY_FILE", "pipe")], &clustered[..2]),
        (
            &[("OSC_CLUSTER_NODES_FILE", "pipe")],
            &[clustered[0], clustered[2]],
        ),
        (
            &[
                ("OSC_HTTPS_ENABLED", "true"),
                ("OSC_SSL_CERTFILE", "pipe"),
                ("OSC_SSL_KEYFILE", "pipe"),
            ],
            &[],
        ),
        (&[("OSC_SALT_FILE_PATH", "pipe")], &[]),
    ] {
        let folder = TempDir::new().unwrap();
        pipe(&folder.path().join("pipe"));
        let said = refused(folder.path(), &[files, more].concat());
        assert!(
            said.contains("pipe is a named pipe, and no regular file"),
            "{files:?}: {said}"
        );
    }
    let folder = TempDir::new().unwrap();
    pipe(&folder.path().join(".env"));
    let said = refused(folder.path(), &[]);
    assert!(
        said.contains("is a named pipe, and no regular file"),
        "{said}"
    );
}

#[test]
fn a_pipe_in_the_place_of_a_key_file_keeps_the_keys_and_the_node_ends_when_told() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("api-key");
    fs::write(&file, KEY).unwrap();
    let settings = [
        ("OSC_HOST_PORT", "0"),
        ("OSC_API_KEY_REQUIRED", "true"),
        ("OSC_API_KEY_FILE", "api-key"),
    ];
    let mut node = Process::start_command(osc_node(folder.path()).envs(settings));
    fs::remove_file(&file).unwrap();
    pipe(&file);
    node.error_of("keys_not_reloaded", "is a named pipe");
    let id = node.id().to_string();
    assert!(
        Command::new("kill")
            .args(["-TERM", &id])
            .status()
            .unwrap()
            .success()
    );
    node.event("node_stopped");
    assert!(node.wait().success());
}

#[test]
fn a_key_file_that_may_not_be_read_is_told_with_owner_and_remedy() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("api-key");
    fs::write(&file, KEY).unwrap();
    fs::set_permissions(&file, Permissions::from_mode(0o000)).unwrap();
    fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
    let mut command = osc_node(folder.path());
    command
        .env("OSC_API_KEY_FILE", "api-key")
        .env("OSC_API_KEY_REQUIRED", "true");
    if rustix::process::geteuid().is_root() {
        // Root may read every file, so the node runs as another user.
        command.uid(65_534).gid(65_534);
    }
    let said = said_at_its_end(&mut command);
    assert!(
        said.contains("with mode 0000") && said.contains("let it in: chown"),
        "{said}"
    );
}
