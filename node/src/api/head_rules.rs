//! What is wrong with the head of a request, whatever its route.

use axum::{
    extract::Request,
    http::{Version, header},
};

use super::{answer::error::ApiError, extract::repeated_keys};

/// Headers of a request at most.
pub const MAX_HEADERS: usize = 100;

/// Says that the head of a request is larger than this node has room for. The server puts it into the extensions.
#[derive(Debug, Clone, Copy)]
pub struct HeadTooLarge;

/// Says that the certificate that the client showed on this connection is not accepted any more. The server puts it into the
/// extensions.
#[derive(Debug, Clone, Copy)]
pub struct CertificateWithdrawn;

/// Refuses a request by its head alone.
pub(super) fn judge(request: &Request) -> Result<(), ApiError> {
    if request.extensions().get::<CertificateWithdrawn>().is_some() {
        return Err(ApiError::CertificateWithdrawn);
    }
    // HTTP/2 bounds only their size.
    if request.headers().len() > MAX_HEADERS {
        return Err(ApiError::TooManyHeaders);
    }
    if request.extensions().get::<HeadTooLarge>().is_some() {
        return Err(ApiError::HeadTooLarge);
    }
    let hosts = request.headers().get_all(header::HOST).iter().count();
    match request.version() {
        // RFC 9112, section 3.2: two of them may mean two things to a proxy and to this node.
        _ if hosts > 1 => Err(ApiError::Host("more than one")),
        Version::HTTP_11 if hosts == 0 => Err(ApiError::Host("no")),
        _ => repeated_keys::judge(request.headers()),
    }
}
