//! Inputs made from a corpus, by the number. Prints its seed; the same seed makes the same inputs.
//!
//!     make fuzz                       # a million inputs
//!     make fuzz FUZZ_SEED=random      # other ones than the last time
//!     make fuzz FUZZ_SEED=7           # with this seed
//!
//! As a part of `make test` the whole corpus runs, and some thousand inputs. What fails is written below `target/fuzz/`; as a file of
//! the corpus it runs for ever after.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "a test that cannot go on says so by panicking, and tells people its seed"
)]

mod corpus;
mod databases;
mod dotenv;
mod http;
mod json;
mod key_files;
mod mutation;
mod node;
mod peers;
mod random;
