/// The exit code of a node that does not start because a later release wrote its database. It has changed nothing there.
pub const EXIT_NEWER_DATABASE: u8 = 4;
