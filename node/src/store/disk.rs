//! The space that is left, and the writes that it still allows.

use std::{io, path::Path};

/// The space of one disk, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DiskSpace {
    /// The bytes that this process may still use.
    pub(crate) free: u64,
    /// All there is.
    pub(crate) total: u64,
}

/// The writes that are allowed. A full store can be emptied through its API: deletes go on when creates have stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Room {
    /// Everything.
    Everything,
    /// Deletes only.
    Deletes,
    /// Nothing.
    Nothing,
}

impl DiskSpace {
    /// The space of the disk that holds the path.
    pub(crate) fn of(path: &Path) -> io::Result<Self> {
        let disk = rustix::fs::statvfs(path)?;
        Ok(Self {
            free: disk.f_bavail.saturating_mul(disk.f_frsize),
            total: disk.f_blocks.saturating_mul(disk.f_frsize),
        })
    }

    /// The space that is left once this many bytes are reserved.
    pub(crate) fn without(self, bytes: u64) -> Self {
        Self {
            free: self.free.saturating_sub(bytes),
            ..self
        }
    }

    /// The part of a wanted reserve (bytes) that stays free on this disk: at most a tenth of it.
    pub(crate) fn reserve(self, wanted: u64) -> u64 {
        wanted.min(self.total / 10)
    }

    /// `reserve` is the space below which creates and updates stop; on small disks a tenth of them is enough. `reusable` is the
    /// free space inside the database, which it does not give back to the disk.
    pub(crate) fn room(self, reserve: u64, reusable: u64) -> Room {
        let reserve = self.reserve(reserve);
        // The log needs real space for every transaction.
        if self.free < reserve / 4 {
            Room::Nothing
        } else if self.free.saturating_add(reusable) < reserve {
            Room::Deletes
        } else {
            Room::Everything
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room(free: u64, total: u64, reserve: u64, reusable: u64) -> Room {
        DiskSpace { free, total }.room(reserve, reusable)
    }

    #[test]
    fn deletes_go_on_when_creates_have_stopped() {
        assert_eq!(room(400, 10_000, 400, 0), Room::Everything);
        assert_eq!(room(399, 10_000, 400, 0), Room::Deletes);
        assert_eq!(room(100, 10_000, 400, 0), Room::Deletes);
        assert_eq!(room(99, 10_000, 400, 0), Room::Nothing);
    }

    #[test]
    fn what_deletes_freed_inside_the_database_counts() {
        assert_eq!(room(300, 10_000, 400, 100), Room::Everything);
        assert_eq!(room(99, 10_000, 400, 10_000), Room::Nothing);
    }

    #[test]
    fn the_reserve_is_at_most_a_tenth_of_the_disk() {
        assert_eq!(room(100, 1000, u64::MAX, 0), Room::Everything);
        assert_eq!(room(99, 1000, u64::MAX, 0), Room::Deletes);
        assert_eq!(room(0, 1000, 0, 0), Room::Everything, "switched off");
    }
}
