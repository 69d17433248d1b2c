//! Databases of the original, with any content in their columns and any byte of the file changed: taken over whole, or left alone.

use std::{fs, path::Path};

use opensecureconf_node::{domain::Incarnation, store::sqlite::OpenedDatabase};
use rusqlite::{Connection, types::Value};
use tempfile::TempDir;

use crate::{
    corpus::{Share, files, inputs, judge},
    mutation::mutate,
    random::Random,
};

const SCHEMA: &str = include_str!("../original_2_1.sql");
const TOKEN: &str = "gAAAAABpaL0lAAECAwQFBgcICQoLDA0OD1xn5CYLb5yvmI0MNhNKjBTeuJjEnEHo8yb6f04frKWYJnzvVp2kjhNYvdjQV_4pUckf7AoZoZTmy2pnKnhYr-wbpeqj1aWyDATAa3ONAsyTyjet8cCnPWQi1UjORMtIdw==";

/// A database of 2.1 whose fields hold parts of the input: one row for each line, its fields behind tabs.
fn make(path: &Path, input: &[u8]) -> i64 {
    let database = Connection::open(path).unwrap();
    // These files are made to be thrown away.
    database.pragma_update(None, "synchronous", "OFF").unwrap();
    database.execute_batch(SCHEMA).unwrap();
    for line in input.split(|byte| *byte == b'\n').take(6) {
        let mut fields = line.split(|byte| *byte == b'\t').map(|field| match field {
            b"TOKEN" => Value::Text(TOKEN.to_owned()),
            b"NULL" => Value::Null,
            field => match std::str::from_utf8(field) {
                Ok(text) => Value::Text(text.to_owned()),
                Err(_) => Value::Blob(field.to_owned()),
            },
        });
        let mut field = || fields.next().unwrap_or(Value::Null);
        // Rows that the original's own constraints refuse were never in its databases.
        let _ = database.execute(
            "INSERT OR IGNORE INTO configurations (key, encrypted_value, category) VALUES (?1, ?2, ?3)",
            (field(), field(), field()),
        );
    }
    rows(&database, "configurations").unwrap()
}

fn rows(database: &Connection, table: &str) -> rusqlite::Result<i64> {
    database.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| {
        row.get(0)
    })
}

/// Opens it as a node does at its start.
fn take_over(path: &Path) -> Result<(), String> {
    OpenedDatabase::open(path, Incarnation::from_raw(1))
        .map(drop)
        .map_err(|error| error.to_string())
}

/// Every row is an entry or set aside, and the copy has them all.
fn is_whole(path: &Path, expected: i64) -> Result<(), String> {
    let text = |error: rusqlite::Error| error.to_string();
    let database = Connection::open(path).map_err(text)?;
    let entries = rows(&database, "entries").map_err(text)?;
    let set_aside = rows(&database, "set_aside").map_err(text)?;
    let copy = path.with_extension("db.original");
    let copied = rows(&Connection::open(copy).map_err(text)?, "configurations").map_err(text)?;
    if (entries + set_aside, copied) == (expected, expected) {
        Ok(())
    } else {
        Err(format!(
            "of {expected} rows {entries} became entries, {set_aside} were set aside, {copied} copied"
        ))
    }
}

#[test]
fn any_content_of_an_original_is_taken_over_or_set_aside() {
    let corpus = files("databases");
    let mut random = Random::of("databases");
    let words = ["\t", "\n", "TOKEN", "NULL", "é", "\0", "gAAAAAB", "key"];
    let count = inputs(Share(8));
    for number in 0..corpus.len() + count {
        let input = match corpus.get(number) {
            Some(file) => file.clone(),
            None => mutate(&mut random, &corpus, &words),
        };
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("configurations.db");
        let expected = make(&path, &input);
        let result = take_over(&path).and_then(|()| is_whole(&path, expected));
        judge("databases", &input, result);
    }
}

#[test]
fn an_original_with_changed_bytes_is_never_lost() {
    let mut random = Random::of("damaged databases");
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("whole.db");
    let input = format!("a\t{TOKEN}\tc\nb\t{TOKEN}\nc\t{TOKEN}\td");
    assert_eq!(make(&path, input.as_bytes()), 3);
    let whole = fs::read(&path).unwrap();
    for _ in 0..inputs(Share(8)) {
        let mut bytes = whole.clone();
        for _ in 0..=random.below(6) {
            let at = random.below(bytes.len());
            bytes[at] = u8::try_from(random.below(256)).unwrap();
        }
        if random.below(8) == 0 {
            bytes.truncate(random.below(bytes.len()));
        }
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("configurations.db");
        fs::write(&path, &bytes).unwrap();
        let copy = path.with_extension("db.original");
        let kept = match take_over(&path) {
            // The node takes over a database that SQLite finds sound; its copy has the same rows.
            Ok(()) => copy.exists() || bytes.is_empty(),
            Err(_) => copy.exists() || same_content(&fs::read(&path).unwrap(), &bytes),
        };
        judge(
            "damaged databases",
            &bytes,
            kept.then_some(())
                .ok_or_else(|| "it is neither left alone nor copied".to_owned()),
        );
    }
}

/// Whether two files differ at most in SQLite's header: the connection that looks for damage changes the journal mode.
fn same_content(one: &[u8], other: &[u8]) -> bool {
    const HEADER: usize = 100;
    one.len() == other.len() && one.get(HEADER..) == other.get(HEADER..)
}
