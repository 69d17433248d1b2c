//! What goes wrong below HTTP, as the refusal that a client gets.

use super::error::ApiError;
use crate::{
    budget::NoRoom,
    crypto::NotOpened,
    domain::Identity,
    entries::Error,
    keys::DerivationQueueFull,
    replica::Ended,
    store::{ReadError, WriteError},
};

impl From<Error> for ApiError {
    fn from(error: Error) -> Self {
        match error {
            Error::NotFound(identity) => {
                let (key, environment) = names(&identity);
                Self::NotFound { key, environment }
            }
            Error::NotFoundHere { identity, nodes } => {
                let (key, environment) = names(&identity);
                Self::NotFoundHere {
                    key,
                    environment,
                    nodes,
                }
            }
            Error::Lost(identity) => {
                let (key, environment) = names(&identity);
                Self::Lost { key, environment }
            }
            Error::AlreadyExists(identity) => {
                let (key, environment) = names(&identity);
                Self::AlreadyExists { key, environment }
            }
            Error::MissingNodes { nodes } => Self::MissingNodes { nodes },
            Error::HomeNodeSilent { name } => Self::OwnerSilent { name },
            Error::OfAnotherNode { identity, name } => {
                let (key, environment) = names(&identity);
                Self::OfAnotherNode {
                    key,
                    environment,
                    name,
                }
            }
            Error::ChangedMeanwhile => Self::ChangedMeanwhile,
            Error::Read(error) => error.into(),
            Error::Write(error) => error.into(),
            Error::Damaged(error) => Self::Internal(error.into()),
        }
    }
}

fn names(identity: &Identity) -> (String, Option<String>) {
    let environment = identity.environment.name().map(str::to_owned);
    (identity.key.as_str().to_owned(), environment)
}

impl From<ReadError> for ApiError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Busy => Self::ListsBusy,
            ReadError::Lost(loss) => Self::StoreLost(loss),
            error @ ReadError::Away(_) => Self::DatabaseAway(error),
            error => Self::Internal(error.into()),
        }
    }
}

impl From<WriteError> for ApiError {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::DiskFull => Self::DiskFull,
            WriteError::NotServing(reason) => Self::NotReady {
                reason: reason.to_owned(),
            },
            WriteError::Unknown => Self::OutcomeUnknown,
            WriteError::Lost(loss) => Self::StoreLost(loss),
            error => Self::NotWritten(error),
        }
    }
}

impl From<Ended> for ApiError {
    fn from(error: Ended) -> Self {
        Self::Internal(error.into())
    }
}

impl From<NoRoom> for ApiError {
    fn from(error: NoRoom) -> Self {
        Self::NoRoom(error)
    }
}

impl From<DerivationQueueFull> for ApiError {
    fn from(_: DerivationQueueFull) -> Self {
        Self::Busy
    }
}

/// Sealing failed: what was encrypted does not open again.
impl From<NotOpened> for ApiError {
    fn from(error: NotOpened) -> Self {
        Self::Internal(error.into())
    }
}

#[cfg(test)]
mod tests {
    use axum::{http::StatusCode, response::IntoResponse};

    use super::*;
    use crate::store::StoreLoss;

    #[test]
    fn a_write_that_may_have_been_made_says_so_and_never_that_nothing_was_written() {
        let error = ApiError::from(WriteError::Unknown);
        assert!(!error.body(None).to_string().contains("nothing was written"));
        let answer = error.into_response();
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(answer.headers()["x-osc-outcome"], "unknown");
    }

    #[test]
    fn a_database_that_is_not_the_store_any_more_says_what_mends_it() {
        for (loss, remedy) in [
            (StoreLoss::Another, "lead the node back"),
            (StoreLoss::Gone, "bring its backup back"),
        ] {
            for error in [
                ApiError::from(ReadError::Lost(loss)),
                ApiError::from(WriteError::Lost(loss)),
            ] {
                let told = error.body(None).to_string();
                assert!(told.contains(remedy), "{told}");
                let answer = error.into_response();
                assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
                assert!(answer.headers().contains_key("retry-after"));
            }
        }
    }

    #[test]
    fn a_database_that_is_away_is_no_fault_of_the_node() {
        let error = ApiError::from(ReadError::Away("no route to host".into()));
        assert_eq!(
            error.into_response().status(),
            StatusCode::SERVICE_UNAVAILABLE
        );
    }
}
