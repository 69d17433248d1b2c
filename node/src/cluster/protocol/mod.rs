//! All wire types of nodes and of the commands beside them. JSON over HTTP; unknown members are ignored, so that neighbouring
//! releases work together.

mod exchange;
mod import;
mod values;

pub use exchange::{
    Answer, ENTRIES_BYTES, EXCHANGE_PATH, Envelope, PassedOver, PeerInfo, Protocol, Request,
    SnapshotHead, WireIdentity, WireRow, WireSalt,
};
pub use import::{IMPORT_PATH, ImportAnswer, ImportOrder, ImportOutcome, ImportedEntry};
pub use values::{
    DamagedValue, FoundValue, HandedOver, NewValue, OwnersWrite, Question, VALUES_PATH,
    ValueAnswer, ValueRefusal, ValueRequest,
};
