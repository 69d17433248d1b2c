//! Checks the node's files: whether others may read them, and when certificates end. It logs, and changes nothing.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::Metadata,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use crate::{
    config::{Config, TlsFiles},
    domain::Timestamp,
    metrics::{CertificateFile, FileMetrics},
    tls::{self, Presented, TlsStatus},
};

/// How often the files are checked.
pub(crate) const EVERY: Duration = Duration::from_hours(1);
/// How long before its end a certificate is logged.
const SOON: Duration = Duration::from_hours(14 * 24);
/// How often the same end is logged.
const AGAIN: Duration = Duration::from_hours(24);

/// The files of one node.
#[derive(Debug)]
pub(crate) struct FileCare {
    /// No other user may read or change them.
    secret: Vec<PathBuf>,
    /// No other user may change them.
    public: Vec<PathBuf>,
    certificates: Vec<(CertificateFile, PathBuf)>,
    /// Which of them are in force: files that are of no use replace none.
    status: Arc<TlsStatus>,
    metrics: FileMetrics,
    told_wide: BTreeSet<PathBuf>,
    /// When the end of each was logged last.
    told_ends: BTreeMap<PathBuf, Timestamp>,
    told_authorities: BTreeSet<PathBuf>,
}

impl FileCare {
    /// The files with secrets, and those of TLS.
    pub(crate) fn new(config: &Config, status: Arc<TlsStatus>, metrics: FileMetrics) -> Self {
        let mut care = Self {
            secret: config.secret_files(),
            public: Vec::new(),
            certificates: Vec::new(),
            status,
            metrics,
            told_wide: BTreeSet::new(),
            told_ends: BTreeMap::new(),
            told_authorities: BTreeSet::new(),
        };
        let of_clients = config.https.as_ref().map(|https| &https.files);
        if let Some(files) = of_clients.or(config.tls.as_ref()) {
            care.look_after(
                files,
                CertificateFile::Certificate,
                CertificateFile::Authorities,
            );
        }
        if let Some(files) = &config.node_tls {
            care.look_after(
                files,
                CertificateFile::NodeCertificate,
                CertificateFile::NodeAuthorities,
            );
        }
        care
    }

    fn look_after(
        &mut self,
        files: &TlsFiles,
        certificate: CertificateFile,
        authorities: CertificateFile,
    ) {
        let mut certificates = vec![(certificate, files.certificate.clone())];
        let more = files.client_authorities.iter().cloned();
        certificates.extend(more.map(|path| (authorities, path)));
        self.secret.push(files.key.clone());
        self.public
            .extend(certificates.iter().map(|(_, path)| path.clone()));
        self.certificates.extend(certificates);
    }

    /// Checks all files, and logs new findings.
    pub(crate) fn look(&mut self, now: Timestamp) {
        self.look_at_modes();
        self.look_at_ends(now);
    }

    fn presented(&self, kind: CertificateFile) -> Option<Presented> {
        match kind {
            CertificateFile::Certificate | CertificateFile::Authorities => self.status.clients(),
            CertificateFile::NodeCertificate | CertificateFile::NodeAuthorities => {
                self.status.node()
            }
        }
    }

    fn look_at_modes(&mut self) {
        let files = self.secret.iter().map(|path| (path, Content::Secret));
        let files = files.chain(self.public.iter().map(|path| (path, Content::Public)));
        let wide: BTreeSet<_> = files
            .filter(|(path, content)| is_open(path, *content))
            .map(|(path, _)| path.clone())
            .collect();
        self.metrics.wide(wide.len());
        for path in wide.difference(&self.told_wide) {
            let mode = std::fs::metadata(path).map_or(0, |file| file.mode() & 0o777);
            tracing::warn!(
                path = %path.display(),
                mode = format!("{mode:04o}"),
                advice = "chmod 600; in Kubernetes, defaultMode: 0440 for a Secret, and fsGroup",
                "file_permissions_too_open"
            );
        }
        self.told_wide = wide;
    }

    fn look_at_ends(&mut self, now: Timestamp) {
        let micros = |duration: Duration| i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
        // A clock that was ahead and is right again does not silence the node until then.
        let recent = |told: &Timestamp| {
            (0..micros(AGAIN)).contains(&now.as_micros().saturating_sub(told.as_micros()))
        };
        for (kind, path) in &self.certificates {
            let presented = self.presented(*kind).unwrap_or_default();
            let facts = tls::facts(path);
            // What is in force ends too where its file is gone.
            let of_file = || facts.as_ref().map(|facts| facts.ends);
            if let Some(ends) = end_in_force(*kind, &presented).or_else(of_file) {
                let left = ends.saturating_sub(now.as_micros() / 1_000_000);
                let is_soon = left < i64::try_from(SOON.as_secs()).unwrap_or(i64::MAX);
                if is_soon && !self.told_ends.get(path).is_some_and(recent) {
                    self.told_ends.insert(path.clone(), now);
                    warn_of_end(path, left, presented.error.as_deref());
                }
            }
            if matches!(
                kind,
                CertificateFile::Certificate | CertificateFile::NodeCertificate
            ) && facts.is_some_and(|facts| facts.begins_with_authority)
                && self.told_authorities.insert(path.clone())
            {
                tracing::warn!(
                    path = %path.display(),
                    advice = "other nodes refuse it as a node's own; make it anew: openssl req -x509 ... -addext basicConstraints=critical,CA:FALSE",
                    "certificate_is_authority"
                );
            }
        }
    }
}

/// When the certificates of a file end, as the node uses them; `None` where it uses none of that file.
fn end_in_force(kind: CertificateFile, presented: &Presented) -> Option<i64> {
    let in_force = presented.in_force.as_ref()?;
    match kind {
        CertificateFile::Certificate | CertificateFile::NodeCertificate => {
            Some(in_force.chain_ends)
        }
        CertificateFile::Authorities | CertificateFile::NodeAuthorities => in_force.authorities_end,
    }
}

/// `refused` says why the files, as they are now, are not in force.
fn warn_of_end(path: &Path, seconds: i64, refused: Option<&str>) {
    const ADVICE: &str = "renew it; it is read again while the node runs";
    let (path, days) = (path.display(), seconds / 86_400);
    if seconds <= 0 {
        tracing::error!(path = %path, refused, advice = ADVICE, "certificate_has_ended");
    } else {
        tracing::warn!(path = %path, days, refused, advice = ADVICE, "certificate_ends_soon");
    }
}

/// The kind of content of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Content {
    Secret,
    Public,
}

/// Whether others may do with a file what they should not; no where it is not there.
fn is_open(path: &Path, content: Content) -> bool {
    // Who reads a mounted Secret is decided by who mounts it: no other pod sees the volume. Where the platform chooses the
    // user, the operator mounts Secrets for any user (0444).
    let content = if is_mounted_by_kubernetes(path) {
        Content::Public
    } else {
        content
    };
    std::fs::metadata(path).is_ok_and(|file| is_wide(&file, content, is_own_group(file.gid())))
}

/// Whether the kubelet wrote this file into a volume: it replaces all files at once, by a link of this name.
fn is_mounted_by_kubernetes(path: &Path) -> bool {
    let link = path.parent().map(|folder| folder.join("..data"));
    let link = link.and_then(|link| std::fs::symlink_metadata(link).ok());
    link.is_some_and(|link| link.is_symlink())
}

/// Whether others than the node may read secrets, or change the file. The node's own group is not another: Kubernetes gives
/// mounted files to it (`fsGroup`), with 0440 or 0660.
fn is_wide(file: &Metadata, content: Content, own_group: bool) -> bool {
    let access = match content {
        Content::Secret => 0o006,
        Content::Public => 0o002,
    };
    let group = if own_group { 0 } else { access << 3 };
    file.mode() & (access | group) != 0
}

/// Whether a group is this process's alone: a supplementary group, such as `fsGroup`, or a main group with the number of the
/// user, which systems make for one user.
fn is_own_group(group: u32) -> bool {
    let given = rustix::process::getgroups().unwrap_or_default();
    let (main, user) = (rustix::process::getegid(), rustix::process::geteuid());
    given.iter().any(|it| it.as_raw() == group)
        || (main.as_raw() == group && main.as_raw() == user.as_raw())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;
    use crate::{
        metrics::Metrics,
        tls::{Identity, Shown},
    };

    /// Writes a certificate that ends with this year, and gives its key.
    fn write(folder: &Path, ends: i32) -> KeyPair {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
        params.not_after = date_time_ymd(ends, 12, 31);
        let certificate = params.self_signed(&key).unwrap().pem();
        std::fs::write(folder.join("crt.pem"), certificate).unwrap();
        key
    }

    #[test]
    fn the_end_that_is_shown_is_that_of_the_certificate_in_force_whatever_came_into_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let files = TlsFiles {
            certificate: path("crt.pem"),
            key: path("key.pem"),
            key_password: None,
            client_authorities: None,
        };
        let key = write(folder.path(), 2030);
        std::fs::write(path("key.pem"), key.serialize_pem()).unwrap();
        let (status, metrics) = (Arc::new(TlsStatus::default()), Metrics::new().unwrap());
        let in_force = Identity::read(&files).unwrap().in_force();
        let ends = in_force.chain_ends;
        status.takes(Shown::ToClients, in_force);
        let gauges = metrics.files.clone();
        gauges.certificate_ends(CertificateFile::Certificate, ends);
        let mut care = FileCare {
            secret: Vec::new(),
            public: Vec::new(),
            certificates: Vec::new(),
            status: Arc::clone(&status),
            metrics: gauges.clone(),
            told_wide: BTreeSet::new(),
            told_ends: BTreeMap::new(),
            told_authorities: BTreeSet::new(),
        };
        care.look_after(
            &files,
            CertificateFile::Certificate,
            CertificateFile::Authorities,
        );
        // Renewed without its key: it does not come into force.
        write(folder.path(), 2040);
        assert!(Identity::read(&files).is_err());
        let days_before = |days: i64| Timestamp::from_micros((ends - days * 86_400) * 1_000_000);
        care.look(days_before(20));
        assert_eq!(gauges.ends(CertificateFile::Certificate), ends);
        assert!(care.told_ends.is_empty(), "it is not near yet");
        let told = |care: &FileCare| care.told_ends.get(&path("crt.pem")).copied();
        // By a clock that is ahead.
        care.look(days_before(1));
        assert_eq!(told(&care), Some(days_before(1)));
        // The clock is right again, and the file is gone: the certificate in force ends all the same.
        std::fs::remove_file(path("crt.pem")).unwrap();
        care.look(days_before(10));
        assert_eq!(told(&care), Some(days_before(10)));
    }

    #[test]
    fn a_mounted_secret_that_any_user_of_the_pod_reads_is_no_finding() {
        let folder = tempfile::tempdir().unwrap();
        let mounted = folder.path().join("mounted");
        let version = mounted.join("..2026_01_01");
        std::fs::create_dir_all(&version).unwrap();
        std::os::unix::fs::symlink("..2026_01_01", mounted.join("..data")).unwrap();
        std::os::unix::fs::symlink("..data/api-key", mounted.join("api-key")).unwrap();
        let by_hand = folder.path().join("api-key");
        let of = |mode| {
            for file in [&version.join("api-key"), &by_hand] {
                std::fs::write(file, "a key").unwrap();
                std::fs::set_permissions(file, PermissionsExt::from_mode(mode)).unwrap();
            }
            [&mounted.join("api-key"), &by_hand].map(|file| is_open(file, Content::Secret))
        };
        // `podSecurity: Platform`: the operator's Secrets have 0444, and perhaps no group of the node's.
        assert_eq!(of(0o444), [false, true]);
        assert_eq!(of(0o600), [false, false]);
        assert_eq!(of(0o666), [true, true], "others may change it");
    }

    #[test]
    fn what_others_may_read_or_change_is_wide_and_what_kubernetes_mounts_is_not() {
        let file = tempfile::NamedTempFile::new().unwrap();
        // Mode, whether the group is the node's own, and whether it is wide: as a secret, and as a certificate.
        let cases = [
            (0o600, false, false, false),
            (0o400, false, false, false),
            (0o440, true, false, false),
            (0o660, true, false, false),
            (0o440, false, true, false),
            (0o640, false, true, false),
            (0o660, false, true, true),
            (0o444, true, true, false),
            (0o644, true, true, false),
            (0o666, true, true, true),
        ];
        for (mode, own, secret, public) in cases {
            std::fs::set_permissions(file.path(), PermissionsExt::from_mode(mode)).unwrap();
            let metadata = file.path().metadata().unwrap();
            let wide = |content| is_wide(&metadata, content, own);
            assert_eq!(wide(Content::Secret), secret, "{mode:o} {own}");
            assert_eq!(wide(Content::Public), public, "{mode:o} {own}");
        }
    }
}
