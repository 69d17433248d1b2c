//! The table of attacks in the threat model has the rows that `make attack` prints.

use crate::files;

/// The names of all attacks, as their files give them.
fn attacks() -> Vec<String> {
    let mut names = Vec::new();
    for file in files::below("node/tests/attacks", &["rs"]) {
        // `Attack { name: "...", caller: ... }`; routes and other things of a name have no caller.
        for attack in file.text.split("Attack {\n").skip(1) {
            let name = attack.trim_start().strip_prefix("name: \"");
            let name = name.and_then(|name| name.split_once("\","));
            names.extend(name.map(|(name, _)| name.to_owned()));
        }
    }
    names
}

/// The first cells of the table.
fn rows(page: &str) -> Vec<&str> {
    let (_, table) = page.split_once("| attack | caller |").unwrap();
    let rows = table.lines().skip(2);
    rows.take_while(|row| row.starts_with('|'))
        .map(|row| row.trim_start_matches("| ").split(" | ").next().unwrap())
        .collect()
}

#[test]
fn the_threat_model_has_a_row_for_each_attack_and_no_other() {
    let pages = files::below("docs", &["md"]);
    let page = pages
        .iter()
        .find(|page| page.path.ends_with("threat-model.md"))
        .unwrap();
    let (attacks, rows) = (attacks(), rows(&page.text));
    assert!(attacks.len() > 40, "{}", attacks.len());
    let is_of = |row: &str, attack: &str| {
        let rest = row.strip_prefix(attack);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(": "))
    };
    let missing: Vec<_> = attacks
        .iter()
        .filter(|attack| rows.iter().filter(|row| is_of(row, attack)).count() != 1)
        .collect();
    assert!(missing.is_empty(), "no row, or two: {missing:?}");
    let others: Vec<_> = rows
        .iter()
        .filter(|row| !attacks.iter().any(|attack| is_of(row, attack)))
        .collect();
    assert!(others.is_empty(), "no such attack: {others:?}");
}
