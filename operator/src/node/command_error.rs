//! Why a node did not carry out an order.

/// Why a node did not carry out an order.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// It did not answer.
    #[error("the node at {address} does not answer")]
    Unreachable {
        /// Where.
        address: String,
        /// The failure of the request.
        source: reqwest::Error,
    },
    /// It refused.
    #[error("the node at {address} refused: {text}")]
    Refused {
        /// Where.
        address: String,
        /// Its words.
        text: String,
    },
    /// The operator has no key to show it.
    #[error("there is no cluster key that a header can carry")]
    NoKey,
}
