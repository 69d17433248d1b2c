//! The cost of overwriting deleted and replaced values: SQLite alone, with and without `secure_delete`.

use std::time::{Duration, Instant};

use opensecureconf_node::{domain::Incarnation, store::sqlite::OpenedDatabase};
use rusqlite::Connection;
use tempfile::TempDir;

use crate::report::{Bar, Row, median};

const AGAINST: &str = "the same without secure_delete";

pub(crate) fn rows() -> Vec<Row> {
    let kinds: [(&'static str, Load); 3] = [
        (
            "erasing: creates of 200 bytes, 64 together",
            Load {
                creates: true,
                bytes: 200,
                together: 64,
            },
        ),
        (
            "erasing: updates of 200 bytes, 64 together",
            Load {
                creates: false,
                bytes: 200,
                together: 64,
            },
        ),
        (
            "erasing: updates of 256 KiB",
            Load {
                creates: false,
                bytes: 256 << 10,
                together: 1,
            },
        ),
    ];
    let row = |(what, load): (&'static str, Load)| {
        let (mut with, mut without) = (Vec::new(), Vec::new());
        for _ in 0..3 {
            without.push(load.rows_per_second(false));
            with.push(load.rows_per_second(true));
        }
        Row {
            what,
            unit: "rows/s",
            ours: median(with),
            against: AGAINST,
            limit: median(without),
            bar: Bar::None,
        }
    };
    kinds.into_iter().map(row).collect()
}

/// Writes of one kind.
#[derive(Clone, Copy)]
struct Load {
    /// New entries, or new values of a hundred that are there.
    creates: bool,
    /// How long a value is.
    bytes: usize,
    /// How many are in a transaction.
    together: usize,
}

impl Load {
    fn rows_per_second(self, secure_delete: bool) -> f64 {
        const TIME: Duration = Duration::from_secs(2);
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("configurations.db");
        drop(OpenedDatabase::open(&path, Incarnation::from_random(7)).unwrap());
        let mut connection = Connection::open(&path).unwrap();
        for (name, value) in [("journal_mode", "wal"), ("synchronous", "full")] {
            connection.pragma_update(None, name, value).unwrap();
        }
        connection
            .pragma_update(None, "secure_delete", secure_delete)
            .unwrap();
        let token = "x".repeat(self.bytes);
        let (start, mut n) = (Instant::now(), 0_usize);
        while start.elapsed() < TIME {
            let transaction = connection.transaction().unwrap();
            for _ in 0..self.together {
                n += 1;
                let name = if self.creates { n } else { n % 100 };
                // Values differ a little in length, as those of users do.
                let token = token.get(n % 7..).unwrap();
                transaction
                    .prepare_cached(
                        "INSERT INTO entries (environment, key, token, created_at, updated_at, clock, incarnation, row_hash, clocks, seq)
                         VALUES ('', ?1, ?2, 0, 0, ?3, 7, ?4, ?5, ?3)
                         ON CONFLICT (environment, key) DO UPDATE SET token = excluded.token, clock = excluded.clock, seq = excluded.seq",
                    )
                    .unwrap()
                    .execute((
                        format!("k{name}"),
                        token,
                        i64::try_from(n).unwrap(),
                        [0_u8; 32],
                        [0_u8; 16],
                    ))
                    .unwrap();
            }
            transaction.commit().unwrap();
        }
        n as f64 / start.elapsed().as_secs_f64()
    }
}
