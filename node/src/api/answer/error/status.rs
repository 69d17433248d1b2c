//! The status of each refusal.

use axum::http::StatusCode;

use super::ApiError;

impl ApiError {
    /// The status of the answer.
    pub(in crate::api) fn status(&self) -> StatusCode {
        match self {
            Self::MissingApiKey
            | Self::InvalidApiKey
            | Self::MissingClusterKey
            | Self::InvalidClusterKey
            | Self::MissingClientCertificate
            | Self::OrderOfNode
            | Self::CertificateWithdrawn
            | Self::MessageOfOperator
            | Self::ProofRequired
            | Self::WrongUserKey { .. } => StatusCode::FORBIDDEN,
            Self::TooManyFailures { .. } | Self::TooManyRows { .. } | Self::AnotherList => {
                StatusCode::TOO_MANY_REQUESTS
            }
            Self::PreconditionFailed(_) => StatusCode::PRECONDITION_FAILED,
            Self::OfRow { error, .. } => error.status(),
            Self::OtherSalt
            | Self::Refused(_)
            | Self::OfAnotherNode { .. }
            | Self::ChangedMeanwhile => StatusCode::CONFLICT,
            Self::SlowBody => StatusCode::REQUEST_TIMEOUT,
            Self::MissingUserKey { .. } | Self::Invalid(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::ShortUserKey { .. } | Self::ProofWanted => StatusCode::UNAUTHORIZED,
            Self::UnreadableBody
            | Self::UnreadableProof
            | Self::TooManyValues { .. }
            | Self::AlreadyExists { .. }
            | Self::NoAckLevels
            | Self::RepeatedKey(_)
            | Self::Host(_) => StatusCode::BAD_REQUEST,
            Self::BodyTooLarge { .. } | Self::ValueTooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::NotFound { .. }
            | Self::NotFoundHere { .. }
            | Self::Lost { .. }
            | Self::UnknownRoute
            | Self::ServedElsewhere(_)
            | Self::NotReplicating
            | Self::NoSaltYet => StatusCode::NOT_FOUND,
            Self::TooManyHeaders | Self::HeadTooLarge => {
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE
            }
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::Busy
            | Self::PeersBusy
            | Self::ListsBusy
            | Self::ValuesBusy
            | Self::NoRoom(_)
            | Self::NotReady { .. }
            | Self::Behind
            | Self::MissingNodes { .. }
            | Self::OwnerSilent { .. }
            | Self::OutcomeUnknown
            | Self::DatabaseAway(_)
            | Self::StoreLost(_)
            | Self::NotWritten(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::DiskFull => StatusCode::INSUFFICIENT_STORAGE,
            Self::Unreadable { .. } | Self::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}
