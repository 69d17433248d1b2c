//! Why the system denies this process a file, in words that say what to do.

use std::{
    fs::{self, Metadata},
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

/// The same error. Of a permission that is missing it names the path, its owner and mode, the user of this process, and a
/// remedy.
pub fn explained(path: &Path, error: io::Error) -> io::Error {
    let is_told = error
        .get_ref()
        .is_some_and(<dyn std::error::Error + Send + Sync>::is::<Denied>);
    if error.kind() != io::ErrorKind::PermissionDenied || is_told {
        return error;
    }
    let Some((at, found)) = reached(path) else {
        return error;
    };
    let denied = Denied(words(&error, &at, &found));
    io::Error::new(io::ErrorKind::PermissionDenied, denied)
}

/// The whole explanation.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Denied(String);

/// The path itself, or the last folder on the way to it whose metadata is readable.
fn reached(path: &Path) -> Option<(PathBuf, Metadata)> {
    let path = std::path::absolute(path).ok()?;
    let found = |place: &Path| Some((place.to_owned(), fs::metadata(place).ok()?));
    path.ancestors().find_map(found)
}

fn words(error: &io::Error, at: &Path, found: &Metadata) -> String {
    let (user, group) = (rustix::process::geteuid(), rustix::process::getegid());
    let (user, group) = (user.as_raw(), group.as_raw());
    let at = at.display();
    format!(
        "{error}: {at} belongs to user {}, group {} with mode {:04o}, and this process runs as user {user}, group {group}; \
         let it in: chown {user} {at}, or chmod, in Kubernetes fsGroup of the pod's securityContext",
        found.uid(),
        found.gid(),
        found.mode() & 0o7777,
    )
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use tempfile::TempDir;

    use super::*;

    fn denied() -> io::Error {
        rustix::io::Errno::ACCESS.into()
    }

    #[test]
    fn a_file_that_may_not_be_read_is_told_with_owner_mode_user_and_remedy() {
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("key");
        fs::write(&file, "").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o400)).unwrap();
        let (user, group) = (rustix::process::geteuid(), rustix::process::getegid());
        let (user, group) = (user.as_raw(), group.as_raw());
        let error = explained(&file, denied());
        assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
        let path = file.display();
        assert_eq!(
            error.to_string(),
            format!(
                "Permission denied (os error 13): {path} belongs to user {user}, group {group} with mode 0400, and this process \
                 runs as user {user}, group {group}; let it in: chown {user} {path}, or chmod, in Kubernetes fsGroup of the \
                 pod's securityContext"
            )
        );
    }

    #[test]
    fn of_a_file_that_may_not_be_made_the_folder_is_told() {
        let folder = TempDir::new().unwrap();
        let error = explained(&folder.path().join("data/configurations.db"), denied());
        let place = format!(": {} belongs to user", folder.path().display());
        assert!(error.to_string().contains(&place), "{error}");
    }

    #[test]
    fn what_is_told_once_is_not_told_again() {
        let once = explained(Path::new("/"), denied());
        let words = once.to_string();
        assert_eq!(explained(Path::new("/etc"), once).to_string(), words);
    }

    #[test]
    fn other_errors_stay_as_they_are() {
        let error = explained(Path::new("/"), rustix::io::Errno::NOENT.into());
        assert_eq!(error.raw_os_error(), Some(2));
    }
}
