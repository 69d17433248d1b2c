//! Files of users that are read as a whole: their kind is checked first, because opening a named pipe waits for its writer for
//! ever.

use std::{
    fs::{File, FileType, OpenOptions},
    io::{self, Read},
    os::unix::fs::{FileTypeExt, OpenOptionsExt},
    path::Path,
};

use rustix::fs::OFlags;

use super::permission;

/// The largest file of keys or certificates, in bytes. A bundle of 10,000 authorities is smaller.
pub const MAX_FILE_BYTES: u64 = 1 << 20;

/// Opens a file for reading; never waits.
///
/// # Errors
/// Where it cannot be opened, or is no regular file. Of a missing permission the error names owner and remedy.
pub fn open(path: &Path) -> io::Result<File> {
    // A pipe without a writer, or a device without a peer, is opened without waiting for one.
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(i32::try_from(flags.bits()).unwrap_or_default())
        .open(path)
        .map_err(|error| permission::explained(path, error))?;
    let kind = file.metadata()?.file_type();
    if kind.is_file() {
        return Ok(file);
    }
    if kind.is_dir() {
        return Err(rustix::io::Errno::ISDIR.into());
    }
    let why = format!("{} is {}, and no regular file", path.display(), name(kind));
    Err(io::Error::new(io::ErrorKind::InvalidInput, why))
}

/// Reads a file of at most [`MAX_FILE_BYTES`].
///
/// # Errors
/// Where it cannot be read, is no regular file, or is larger.
pub fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open(path)?
        .take(MAX_FILE_BYTES + 1)
        .read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        let why = format!("it is larger than {MAX_FILE_BYTES} bytes");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, why));
    }
    Ok(bytes)
}

fn name(kind: FileType) -> &'static str {
    if kind.is_fifo() {
        "a named pipe"
    } else if kind.is_socket() {
        "a socket"
    } else {
        "a device"
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::net::UnixListener};

    use rustix::fs::{CWD, FileType as Kind, Mode, mknodat};
    use tempfile::TempDir;

    use super::*;

    #[test]
    fn what_is_no_regular_file_is_named_at_once() {
        let folder = TempDir::new().unwrap();
        let socket = folder.path().join("socket");
        let _listener = UnixListener::bind(&socket).unwrap();
        let pipe = folder.path().join("pipe");
        mknodat(CWD, &pipe, Kind::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
        let error = open(&pipe).unwrap_err().to_string();
        assert_eq!(
            error,
            format!("{} is a named pipe, and no regular file", pipe.display())
        );
        open(&socket).unwrap_err();
        let error = open(Path::new("/dev/zero")).unwrap_err().to_string();
        assert_eq!(error, "/dev/zero is a device, and no regular file");
        let error = open(folder.path()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::IsADirectory);
    }

    #[test]
    fn a_link_to_a_regular_file_is_read() {
        let folder = TempDir::new().unwrap();
        let [file, link] = ["file", "link"].map(|name| folder.path().join(name));
        fs::write(&file, "text").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        assert_eq!(read_bounded(&link).unwrap(), b"text");
    }
}
