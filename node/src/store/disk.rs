//! How much space is left, and what may still be written into it.

use std::{io, path::Path};

/// The space of one disk, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct DiskSpace {
    /// What this process may still use.
    pub(super) free: u64,
    /// All there is.
    pub(super) total: u64,
}

/// What may be written. A full store can be emptied through its API: deletes go on when creates have stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Room {
    /// Everything.
    Everything,
    /// Deletes only.
    Deletes,
    /// Nothing.
    Nothing,
}

impl DiskSpace {
    /// The space of the disk that holds the path.
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        let disk = rustix::fs::statvfs(path)?;
        Ok(Self {
            free: disk.f_bavail.saturating_mul(disk.f_frsize),
            total: disk.f_blocks.saturating_mul(disk.f_frsize),
        })
    }

    /// `reserve` is the space below which creates and updates stop; on small disks a tenth of them is enough.
    pub(super) fn room(self, reserve: u64) -> Room {
        let reserve = reserve.min(self.total / 10);
        if self.free >= reserve {
            Room::Everything
        } else if self.free >= reserve / 4 {
            Room::Deletes
        } else {
            Room::Nothing
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deletes_go_on_when_creates_have_stopped() {
        let room = |free| {
            DiskSpace {
                free,
                total: 10_000,
            }
            .room(400)
        };
        assert_eq!(room(400), Room::Everything);
        assert_eq!(room(399), Room::Deletes);
        assert_eq!(room(100), Room::Deletes);
        assert_eq!(room(99), Room::Nothing);
    }

    #[test]
    fn the_reserve_is_at_most_a_tenth_of_the_disk() {
        assert_eq!(
            DiskSpace {
                free: 100,
                total: 1000
            }
            .room(u64::MAX),
            Room::Everything
        );
        assert_eq!(
            DiskSpace {
                free: 99,
                total: 1000
            }
            .room(u64::MAX),
            Room::Deletes
        );
        assert_eq!(
            DiskSpace {
                free: 0,
                total: 1000
            }
            .room(0),
            Room::Everything,
            "switched off"
        );
    }
}
