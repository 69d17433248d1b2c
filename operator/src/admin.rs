//! The operator's own endpoints for Kubernetes and Prometheus.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use socket2::{Domain, Socket, Type};
use tokio::net::TcpListener;

use crate::metrics::Metrics;

/// Connections that wait to be taken, as the standard library has it.
const BACKLOG: i32 = 128;

/// `/healthz`, `/readyz`, `/metrics`. A process that waits for the Lease is ready: it does all that it can.
pub fn router(metrics: Metrics) -> Router {
    Router::new()
        .route("/healthz", get(async || "ok"))
        .route("/readyz", get(async || "ok"))
        .route("/metrics", get(page))
        .with_state(metrics)
}

/// Listens. `::` accepts IPv4 too, and becomes the IPv4 wildcard where the kernel has no IPv6.
///
/// # Errors
/// Where the address is in use or does not belong to this machine.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let listener = or_ipv4(address, bound)?;
    listener.set_nonblocking(true)?;
    TcpListener::from_std(listener)
}

/// Binds an address. `::` becomes the IPv4 wildcard where the kernel has no IPv6.
fn or_ipv4<T>(address: SocketAddr, take: impl Fn(SocketAddr) -> io::Result<T>) -> io::Result<T> {
    match take(address) {
        // Linux' EAFNOSUPPORT and EADDRNOTAVAIL: no such family at all, or none on any interface.
        Err(error) if is_everywhere(address) && matches!(error.raw_os_error(), Some(97 | 99)) => {
            take(SocketAddr::new(
                Ipv4Addr::UNSPECIFIED.into(),
                address.port(),
            ))
        }
        taken => taken,
    }
}

/// As the standard library listens, and at `::` for both families.
fn bound(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    take_both_families(&socket, address)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// `::` accepts IPv4 too, whatever `net.ipv6.bindv6only` says.
fn take_both_families(socket: &Socket, address: SocketAddr) -> io::Result<()> {
    if is_everywhere(address) {
        socket.set_only_v6(false)?;
    }
    Ok(())
}

fn is_everywhere(address: SocketAddr) -> bool {
    address.ip() == IpAddr::V6(Ipv6Addr::UNSPECIFIED)
}

async fn page(State(metrics): State<Metrics>) -> Response {
    match metrics.page() {
        Ok(page) => (
            [(
                header::CONTENT_TYPE,
                "text/plain; version=0.0.4; charset=utf-8",
            )],
            page,
        )
            .into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;

    use super::*;

    const EVERYWHERE: SocketAddr = SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), 0);

    #[tokio::test]
    async fn every_address_takes_ipv4_whatever_the_kernel_is_set_to() {
        let listener = listen(EVERYWHERE).unwrap();
        let port = listener.local_addr().unwrap().port();
        TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
        if let Ok(socket) = Socket::new(Domain::IPV6, Type::STREAM, None) {
            // As where `net.ipv6.bindv6only` is 1.
            socket.set_only_v6(true).unwrap();
            take_both_families(&socket, EVERYWHERE).unwrap();
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
        let taken = or_ipv4(EVERYWHERE, |_| -> io::Result<()> {
            Err(io::Error::from_raw_os_error(98))
        });
        assert!(taken.is_err(), "a port that is taken is no missing family");
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
