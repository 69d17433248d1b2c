//! What Kubernetes and Prometheus ask the operator itself.

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

use tokio::net::TcpListener;

use crate::metrics::Metrics;

/// `/healthz`, `/readyz`, `/metrics`. A process that waits for the Lease is ready: it does all that it can.
pub fn router(metrics: Metrics) -> Router {
    Router::new()
        .route("/healthz", get(async || "ok"))
        .route("/readyz", get(async || "ok"))
        .route("/metrics", get(page))
        .with_state(metrics)
}

/// Listens. `::` takes IPv4 too, and is every IPv4 address where the kernel has no IPv6.
///
/// # Errors
/// Where the address is taken or is none of this machine.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let listener = match std::net::TcpListener::bind(address) {
        Err(error)
            if address.ip() == IpAddr::V6(Ipv6Addr::UNSPECIFIED) && is_without_ipv6(&error) =>
        {
            std::net::TcpListener::bind((Ipv4Addr::UNSPECIFIED, address.port()))?
        }
        bound => bound?,
    };
    listener.set_nonblocking(true)?;
    TcpListener::from_std(listener)
}

/// Linux' EAFNOSUPPORT and EADDRNOTAVAIL: no such family at all, or none on any interface.
fn is_without_ipv6(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(97 | 99))
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
    use super::*;

    #[tokio::test]
    async fn what_listens_everywhere_answers_ipv4() {
        let listener = listen("[::]:0".parse().unwrap()).unwrap();
        let port = listener.local_addr().unwrap().port();
        assert!(std::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok());
    }

    #[test]
    fn a_kernel_without_ipv6_is_told_from_a_taken_port() {
        assert!(is_without_ipv6(&io::Error::from_raw_os_error(97)));
        assert!(!is_without_ipv6(&io::Error::from_raw_os_error(98)));
    }
}
