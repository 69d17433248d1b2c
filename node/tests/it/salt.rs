//! One salt for ever: how a node starts with the salts that it finds.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
};

use opensecureconf_node::{
    crypto::{Salt, SaltError, SaltPolicy},
    domain::Incarnation,
    store::{SaltFileError, SaltPlaces, export_salt, settle_salt, sqlite::OpenedDatabase},
};
use reqwest::Method;
use serde_json::json;
use tempfile::TempDir;

use crate::node::TestNode;

fn settle(folder: &TempDir, mounted: Option<&str>) -> Result<Salt, SaltFileError> {
    let database = OpenedDatabase::open(
        &folder.path().join("configurations.db"),
        Incarnation::from_random(2),
    )
    .unwrap();
    let mounted = mounted.map(|name| folder.path().join(name));
    let places = SaltPlaces {
        mounted: mounted.as_deref(),
        file: &folder.path().join("encryption.salt"),
    };
    settle_salt(&database, places, SaltPolicy::Generate, || {
        Salt::from_bytes(&[9; 64]).unwrap()
    })
    .map(Option::unwrap)
}

#[tokio::test]
async fn a_lost_salt_file_comes_back_from_the_database() {
    let node = TestNode::start();
    node.call(
        Method::POST,
        "/configs",
        Some(json!({"key": "k", "value": 1})),
    )
    .await;
    let folder = node.stop().await;
    let file = folder.path().join("encryption.salt");
    let salt = fs::read(&file).unwrap();
    fs::remove_file(&file).unwrap();

    let node = TestNode::start_in(folder, &[]);

    assert_eq!(node.call(Method::GET, "/configs/k", None).await.status, 200);
    assert_eq!(fs::read(&file).unwrap(), salt);
    assert_eq!(
        fs::metadata(&file).unwrap().permissions().mode() & 0o777,
        0o600
    );
    node.stop().await;
}

#[test]
fn a_different_salt_file_is_refused_and_left_as_it_is() {
    let folder = TempDir::new().unwrap();
    settle(&folder, None).unwrap();
    fs::write(folder.path().join("encryption.salt"), [1; 64]).unwrap();
    assert!(matches!(
        settle(&folder, None),
        Err(SaltFileError::Refused(SaltError::Differ { .. }))
    ));
    assert_eq!(
        fs::read(folder.path().join("encryption.salt")).unwrap(),
        [1; 64]
    );
}

#[test]
fn a_torn_salt_file_is_refused() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("encryption.salt"), [1; 63]).unwrap();
    assert!(matches!(
        settle(&folder, None),
        Err(SaltFileError::WrongSize { found: 63, .. })
    ));
}

#[test]
fn a_mounted_salt_is_used_and_copied_and_its_absence_is_no_fault() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("mounted"), [3; 64]).unwrap();
    assert_eq!(
        settle(&folder, Some("mounted")).unwrap(),
        Salt::from_bytes(&[3; 64]).unwrap()
    );
    assert_eq!(
        fs::read(folder.path().join("encryption.salt")).unwrap(),
        [3; 64]
    );
    fs::remove_file(folder.path().join("mounted")).unwrap();
    fs::remove_file(folder.path().join("encryption.salt")).unwrap();
    assert_eq!(
        settle(&folder, Some("mounted")).unwrap(),
        Salt::from_bytes(&[3; 64]).unwrap()
    );
}

#[test]
fn an_exported_salt_is_its_owners_alone_and_touches_no_other_file() {
    let folder = TempDir::new().unwrap();
    let at = |name: &str| folder.path().join(name);
    let salt = Salt::from_bytes(&[9; 64]).unwrap();
    fs::write(at("salt.new"), "notes of a user").unwrap();
    symlink(at("elsewhere"), at("other.new")).unwrap();
    for name in ["salt", "other"] {
        export_salt(&at(name), &salt).unwrap();
        assert_eq!(fs::read(at(name)).unwrap(), [9; 64]);
        let metadata = fs::symlink_metadata(at(name)).unwrap();
        assert!(metadata.is_file());
        assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
    }
    assert_eq!(fs::read(at("salt.new")).unwrap(), b"notes of a user");
    assert!(!at("elsewhere").exists());
    assert!(at("other.new").is_symlink());
}

#[test]
fn an_exported_salt_replaces_neither_a_file_nor_a_link_and_leaves_nothing_behind() {
    let folder = TempDir::new().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::write(at("file"), "notes of a user").unwrap();
    symlink(at("nowhere"), at("link")).unwrap();
    for name in ["file", "link"] {
        let refused = export_salt(&at(name), &Salt::from_bytes(&[9; 64]).unwrap());
        let text = refused.unwrap_err().to_string();
        assert!(
            text.ends_with("exists already; name another file"),
            "{text}"
        );
    }
    assert_eq!(fs::read(at("file")).unwrap(), b"notes of a user");
    assert!(at("link").is_symlink() && !at("nowhere").exists());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
}

#[test]
fn the_nodes_own_salt_file_is_written_through_no_file_that_is_there() {
    let folder = TempDir::new().unwrap();
    let beside = folder.path().join("encryption.salt.new");
    symlink(folder.path().join("elsewhere"), &beside).unwrap();
    settle(&folder, None).unwrap();
    let file = fs::symlink_metadata(folder.path().join("encryption.salt")).unwrap();
    assert!(file.is_file());
    assert_eq!(file.permissions().mode() & 0o777, 0o600);
    assert!(beside.is_symlink() && !folder.path().join("elsewhere").exists());
}
