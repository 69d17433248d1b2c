//! How addresses are taken, at the start or later.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener},
    time::Duration,
};

use anyhow::Context;
use socket2::{Domain, SockRef, Socket, Type};
use tokio::{net::TcpSocket, time::sleep};

use crate::tls::{Door, TlsStatus};

/// Backlog of connections that wait to be accepted. The standard library's 128 overflow within a tenth of a second of a flood,
/// and a client whose first packet is dropped waits a second.
const BACKLOG: u32 = 4096;
/// Between two tries to open a port that another process has taken.
const RETRY: Duration = Duration::from_secs(1);

/// A port for HTTPS that is ours and refuses connections, until there is a certificate.
#[derive(Debug)]
pub(crate) struct HttpsSocket {
    socket: TcpSocket,
    address: SocketAddr,
}

impl HttpsSocket {
    /// Binds the address, without listening.
    ///
    /// # Errors
    /// Where it cannot be bound.
    pub(crate) fn bind(address: SocketAddr) -> anyhow::Result<Self> {
        let socket = or_ipv4(address, |address| {
            // Two sockets with reused addresses share one until one of them listens: no other program may get this one. Reuse
            // is necessary only for remains of an earlier process's connections.
            let alone = bound(address, false);
            match alone {
                Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => bound(address, true),
                alone => alone,
            }
        });
        let socket = socket.with_context(|| {
            format!("cannot listen on {address}; choose another OSC_HTTPS_PORT")
        })?;
        let address = socket.local_addr()?;
        Ok(Self { socket, address })
    }

    /// The address that was taken, with its number where any would do.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    fn listen(self) -> anyhow::Result<TcpListener> {
        let address = self.address;
        // Remains of its connections must not keep the next process from the port.
        let listening = self.socket.set_reuseaddr(true);
        let listening = listening.and_then(|()| self.socket.listen(BACKLOG)?.into_std());
        listening.with_context(|| format!("cannot listen on {address}"))
    }

    /// Listens, however long another process has the port; meanwhile the status reports that.
    pub(crate) async fn open(self, status: &TlsStatus) -> TcpListener {
        let address = self.address;
        let mut listening = self.listen();
        let mut told = false;
        loop {
            match listening {
                Ok(listener) => return listener,
                Err(error) => {
                    let error = format!("{error:#}");
                    if !told {
                        tracing::error!(%address, error, "https_port_not_opened");
                        told = true;
                    }
                    status.port_of_clients(Door::Taken(error));
                }
            }
            sleep(RETRY).await;
            listening = Self::bind(address).and_then(Self::listen);
        }
    }
}

fn bound(address: SocketAddr, reused: bool) -> std::io::Result<TcpSocket> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4(),
        SocketAddr::V6(_) => TcpSocket::new_v6(),
    }?;
    socket.set_reuseaddr(reused)?;
    take_both_families(&SockRef::from(&socket), address)?;
    socket.bind(address)?;
    Ok(socket)
}

/// `::` accepts IPv4 too, whatever `net.ipv6.bindv6only` says.
fn take_both_families(socket: &SockRef<'_>, address: SocketAddr) -> std::io::Result<()> {
    if address.ip() == IpAddr::V6(Ipv6Addr::UNSPECIFIED) {
        socket.set_only_v6(false)?;
    }
    Ok(())
}

/// Binds an address. `::` accepts IPv4 too, and becomes the IPv4 wildcard where the kernel has no IPv6.
fn or_ipv4<T>(
    address: SocketAddr,
    take: impl Fn(SocketAddr) -> std::io::Result<T>,
) -> std::io::Result<T> {
    let everywhere = address.ip() == IpAddr::V6(Ipv6Addr::UNSPECIFIED);
    match take(address) {
        // Linux' EAFNOSUPPORT and EADDRNOTAVAIL: no such family at all, or none on any interface.
        Err(error) if everywhere && matches!(error.raw_os_error(), Some(97 | 99)) => take(
            SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), address.port()),
        ),
        taken => taken,
    }
}

/// As the standard library listens, with a longer backlog, and at `::` for both families.
fn bound_listener(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    take_both_families(&SockRef::from(&socket), address)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG.cast_signed())?;
    Ok(socket.into())
}

/// Listens at an address that this setting names.
///
/// # Errors
/// Where it cannot be had.
pub(crate) fn listen(address: SocketAddr, setting: &str) -> anyhow::Result<TcpListener> {
    let listener = or_ipv4(address, bound_listener)
        .with_context(|| format!("cannot listen on {address}; choose another {setting}"))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

#[cfg(test)]
mod tests {
    use std::{io, net::TcpStream};

    use super::*;

    const EVERYWHERE: SocketAddr = SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), 0);

    #[test]
    fn every_address_takes_ipv4_whatever_the_kernel_is_set_to() {
        let plain = listen(EVERYWHERE, "X").unwrap();
        let port = plain.local_addr().unwrap().port();
        TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
        if let Ok(socket) = Socket::new(Domain::IPV6, Type::STREAM, None) {
            // As where `net.ipv6.bindv6only` is 1.
            socket.set_only_v6(true).unwrap();
            take_both_families(&SockRef::from(&socket), EVERYWHERE).unwrap();
            assert!(!socket.only_v6().unwrap());
        }
    }

    #[test]
    fn where_there_is_no_ipv6_every_address_is_every_ipv4_address() {
        for missing in [97, 99] {
            let taken = or_ipv4(EVERYWHERE, |address| match address {
                SocketAddr::V6(_) => Err(io::Error::from_raw_os_error(missing)),
                SocketAddr::V4(address) => Ok(*address.ip()),
            });
            assert_eq!(taken.unwrap(), Ipv4Addr::UNSPECIFIED);
        }
        let one = SocketAddr::new(Ipv6Addr::LOCALHOST.into(), 1);
        let refused = or_ipv4(one, |_| -> io::Result<()> {
            Err(io::Error::from_raw_os_error(99))
        });
        assert!(
            refused.is_err(),
            "an address that was named is not another one"
        );
    }
}
