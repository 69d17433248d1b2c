//! PostgreSQL's programs on this machine, and the user that may run them.

use std::{
    ffi::{OsStr, OsString},
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::{Context, bail};
use tokio::process::Command;

/// A user without rights: a server refuses to run as root.
pub(super) const UNPRIVILEGED: u32 = 65534;
/// Where Debian has a folder for each version.
const DEBIAN: &str = "/usr/lib/postgresql";
/// Without them there is no server.
const NEEDED: [&str; 3] = ["initdb", "postgres", "pg_isready"];

/// A folder with the programs.
#[derive(Debug)]
pub(in super::super) struct Programs {
    folder: PathBuf,
    is_root: bool,
}

impl Programs {
    /// The given folder, or the first one with the programs.
    ///
    /// # Errors
    /// Where there is none, or the programs cannot be run.
    pub(super) async fn find(given: Option<&Path>) -> anyhow::Result<Self> {
        let folder = match given {
            Some(folder) => std::path::absolute(folder)?,
            None => search(std::env::var_os("PATH").as_deref(), Path::new(DEBIAN)).context(
                "there is no PostgreSQL on this machine: install it (Debian: postgresql), or name its programs with --postgres-programs",
            )?,
        };
        if !has_all(&folder) {
            bail!("{} has no {}", folder.display(), NEEDED.join(", "));
        }
        let is_root = fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0);
        let programs = Self { folder, is_root };
        programs.run("postgres", [OsStr::new("--version")]).await?;
        Ok(programs)
    }

    /// The user who runs them; `None` for the user of this process.
    pub(super) fn user(&self) -> Option<u32> {
        self.is_root.then_some(UNPRIVILEGED)
    }

    /// A command line that becomes one of them, without a shell.
    pub(super) fn line(&self, name: &str) -> Vec<OsString> {
        let mut line = Vec::new();
        if let Some(user) = self.user() {
            line.extend([
                OsString::from("setpriv"),
                format!("--reuid={user}").into(),
                format!("--regid={user}").into(),
                "--clear-groups".into(),
            ]);
        }
        line.push(self.folder.join(name).into());
        line
    }

    /// Runs one program to its end.
    ///
    /// # Errors
    /// In the program's words, where it fails.
    pub(super) async fn run<Argument: AsRef<OsStr>>(
        &self,
        name: &str,
        arguments: impl IntoIterator<Item = Argument>,
    ) -> anyhow::Result<()> {
        let mut line = self.line(name).into_iter();
        let program = line.next().unwrap_or_default();
        let whose = if self.is_root {
            format!(" as user {UNPRIVILEGED}, since PostgreSQL refuses to run as root")
        } else {
            String::new()
        };
        let what = || format!("cannot run {}{whose}", self.folder.join(name).display());
        let output = Command::new(program)
            .args(line)
            .args(arguments)
            // Where that user may be.
            .current_dir("/")
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await
            .with_context(what)?;
        if !output.status.success() {
            bail!(
                "{}: {}",
                what(),
                String::from_utf8_lossy(&output.stderr).trim()
            );
        }
        Ok(())
    }
}

fn has_all(folder: &Path) -> bool {
    NEEDED.iter().all(|name| folder.join(name).is_file())
}

/// The folder of the programs that a shell would find, or of Debian's newest ones.
fn search(path: Option<&OsStr>, debian: &Path) -> Option<PathBuf> {
    let of_path = path.into_iter().flat_map(std::env::split_paths);
    let mut versions: Vec<u32> = fs::read_dir(debian)
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    versions.sort_unstable_by(|one, other| other.cmp(one));
    let of_debian = versions
        .into_iter()
        .map(|version| debian.join(version.to_string()).join("bin"));
    of_path.chain(of_debian).find(|folder| has_all(folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn installed(folder: &Path) -> PathBuf {
        fs::create_dir_all(folder).unwrap();
        for name in NEEDED {
            fs::write(folder.join(name), "").unwrap();
        }
        folder.to_owned()
    }

    #[test]
    fn those_of_the_path_come_before_the_newest_of_debian() {
        let root = tempfile::tempdir().unwrap();
        let debian = root.path().join("postgresql");
        assert_eq!(search(None, &debian), None);
        installed(&debian.join("9/bin"));
        let newest = installed(&debian.join("15/bin"));
        fs::create_dir_all(debian.join("18/bin")).unwrap();
        assert_eq!(search(None, &debian), Some(newest));
        let own = installed(&root.path().join("bin"));
        let path = std::env::join_paths([root.path(), &own]).unwrap();
        assert_eq!(search(Some(&path), &debian), Some(own));
    }
}
