//! What a controller of any kind needs: what differs between a wanted and a live object and whose change it was, objects in few
//! bytes, watches that fail, namespaces that end.

pub mod difference;
pub(crate) mod namespace_end;
pub(crate) mod packed;
pub(crate) mod port_clash;
pub(crate) mod recorder;
pub(crate) mod watch_retries;
