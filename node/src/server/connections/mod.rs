//! The HTTP edge of a node: connections, and the work around a request.
//!
//! | file | idea |
//! |---|---|
//! | `accept` | the loop that accepts connections on a port |
//! | `table` | the open connections on ports that share their limits, and which ends first |
//! | `connection` | one connection from its first byte to its end |
//! | `activity` | the activity of a connection, and its deadlines (no I/O) |
//! | `leave` | the end of a connection in good order (no I/O) |
//! | `handshake` | TLS, with certificates that may change |
//! | `intake` | bytes below and above TLS: how many there may be before they are complete |
//! | `wire` | the bytes between client and hyper: size of heads, refusals that hyper makes itself |
//! | `wire::turns` | connections of HTTP/2 take requests by turns |
//! | `frames`, `unsent_answers` | frames of HTTP/2: what a client leaves unfinished, and answers that it does not have as a whole |
//! | `stall_guard` | writes that the client does not read |
//! | `edge` | one request: the facts of its connection, and the headers that only a connection knows |
//! | `request_body`, `answer_body` | bodies whose end is noticed; the rest of a refused request's body |
//! | `head_room` | memory for large heads, shared by all streams |
//! | `refusal` | answers of this module itself |
//! | `health` | `/health` and `/ready` on a port and a thread of their own |
//! | `prober` | the bytes of a prober, below the answers of `health` |

mod accept;
mod activity;
mod answer_body;
mod bell;
mod connection;
mod edge;
mod frames;
mod handshake;
mod head_room;
mod health;
mod intake;
mod leave;
mod limits;
mod prober;
mod refusal;
mod request_body;
mod stall_guard;
mod table;
mod unsent_answers;
mod wire;

pub(crate) use accept::Port;
pub(crate) use handshake::LiveTls;
pub(crate) use health::HealthPort;
pub(crate) use limits::ConnectionLimits;
pub(crate) use table::SharedTable;
