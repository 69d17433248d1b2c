//! Random bytes of the operating system.

use anyhow::Context;
use rand::{TryRng, rngs::SysRng};

/// `N` random bytes.
pub(crate) fn random<const N: usize>() -> anyhow::Result<[u8; N]> {
    let mut bytes = [0; N];
    SysRng
        .try_fill_bytes(&mut bytes)
        .context("the system gives no random bytes")?;
    Ok(bytes)
}
