//! Files with one item per line: keys, addresses. Pure.

/// Why a file of lines is of no use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LineFileError {
    /// Notepad and other editors write it as "Unicode".
    #[error("it is UTF-16 text; save it as UTF-8")]
    Utf16,
    /// A comment would count as an item: as a key, any client could show it.
    #[error("line {0} begins with #, and there are no comments in such a file; take it out")]
    Comment(usize),
}

/// The lines without surrounding blanks and without blank ones, after a byte order mark. Comments are not allowed, so a line
/// that begins with `#` is refused.
pub fn items(bytes: &[u8]) -> Result<Vec<&[u8]>, LineFileError> {
    if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
        return Err(LineFileError::Utf16);
    }
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let lines = bytes.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    let mut items = Vec::new();
    for (number, line) in (1..).zip(lines) {
        if line.starts_with(b"#") {
            return Err(LineFileError::Comment(number));
        }
        if !line.is_empty() {
            items.push(line);
        }
    }
    Ok(items)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_order_mark_belongs_to_no_item() {
        assert_eq!(
            items(b"\xef\xbb\xbfone\r\n\n two \n"),
            Ok(vec![&b"one"[..], b"two"])
        );
        assert_eq!(items(b"\xef\xbb\xbf\n"), Ok(vec![]));
    }

    #[test]
    fn a_comment_and_utf_16_are_no_items() {
        assert_eq!(items(b"one\n # mine\n"), Err(LineFileError::Comment(2)));
        assert_eq!(items(b"one#two"), Ok(vec![&b"one#two"[..]]));
        for text in [&b"\xff\xfeo\0n\0"[..], b"\xfe\xff\0o\0n"] {
            assert_eq!(items(text), Err(LineFileError::Utf16));
        }
    }
}
