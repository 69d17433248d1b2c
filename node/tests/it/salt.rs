//! One salt, ever: what a node does at start with the salts that it finds.

use std::{fs, os::unix::fs::PermissionsExt};

use opensecureconf_node::{
    crypto::{Salt, SaltError, SaltPolicy},
    domain::Incarnation,
    store::{OpenedDatabase, SaltFileError, SaltPlaces, settle_salt},
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
