//! Ports that a process is given before it listens.

use std::{
    net::TcpListener,
    process,
    sync::atomic::{AtomicU16, Ordering},
};

/// A port that is free at this address. It is below those that the system hands out, which begin with 32,768: otherwise a
/// connection that another test opens meanwhile may take it. No process gets the same one twice.
pub(crate) fn free_port(address: &str) -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = u16::try_from(process::id() % 300).unwrap() * 60;
    loop {
        let port = 11_000 + (start + NEXT.fetch_add(1, Ordering::Relaxed)) % 20_000;
        if TcpListener::bind((address, port)).is_ok() {
            return port;
        }
    }
}
