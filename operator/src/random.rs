//! Random bytes for salts and keys, from the system and never from a generator of our own.

use rand::{
    TryRng,
    rngs::{SysError, SysRng},
};

/// `N` random bytes.
pub fn bytes<const N: usize>() -> Result<[u8; N], SysError> {
    let mut bytes = [0; N];
    SysRng.try_fill_bytes(&mut bytes)?;
    Ok(bytes)
}

/// 256 random bits as a key that people can copy: 64 hexadecimal digits.
pub fn key() -> Result<String, SysError> {
    let halves = [bytes::<16>()?, bytes::<16>()?].map(u128::from_be_bytes);
    Ok(halves.map(|half| format!("{half:032x}")).concat())
}

#[cfg(test)]
mod tests {
    #[test]
    fn keys_have_64_digits_and_differ() {
        let keys = [super::key().unwrap(), super::key().unwrap()];
        assert_ne!(keys[0], keys[1]);
        assert!(
            keys.iter()
                .all(|key| key.len() == 64 && key.chars().all(|c| c.is_ascii_hexdigit()))
        );
    }
}
