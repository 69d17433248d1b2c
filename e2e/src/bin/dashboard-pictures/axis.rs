//! How numbers of Grafana's units are written beside an axis.

/// A value as people read it.
pub(crate) fn text(value: f64, unit: &str) -> String {
    match unit {
        "bytes" => scaled(value, 1024.0, &["B", "KiB", "MiB", "GiB", "TiB"]),
        "percentunit" => format!("{} %", short(value * 100.0)),
        "s" => seconds(value),
        "reqps" | "ops" => format!("{}/s", scaled(value, 1000.0, &["", "k", "M"])),
        _ => scaled(value, 1000.0, &["", "k", "M"]),
    }
}

fn seconds(value: f64) -> String {
    const UNITS: [(f64, &str); 4] = [
        (86_400.0 * 365.0, "years"),
        (86_400.0, "days"),
        (60.0, "min"),
        (1.0, "s"),
    ];
    for (size, name) in UNITS {
        if value >= size {
            return format!("{} {name}", short(value / size));
        }
    }
    format!("{} ms", short(value * 1000.0))
}

fn scaled(value: f64, step: f64, names: &[&str]) -> String {
    let mut value = value;
    let mut names = names.iter().peekable();
    while let Some(name) = names.next() {
        if value.abs() < step || names.peek().is_none() {
            let blank = if name.len() > 1 || *name == "B" {
                " "
            } else {
                ""
            };
            return format!("{}{blank}{name}", short(value));
        }
        value /= step;
    }
    short(value)
}

/// With two digits after the point at most, and none where they are zero.
fn short(value: f64) -> String {
    let text = format!("{value:.2}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0" } else { text }.to_owned()
}

#[cfg(test)]
mod tests {
    use super::text;

    #[test]
    fn values_are_written_as_people_read_them() {
        for (value, unit, wanted) in [
            (0.0, "short", "0"),
            (1500.0, "short", "1.5k"),
            (0.25, "percentunit", "25 %"),
            (1_572_864.0, "bytes", "1.5 MiB"),
            (12.5, "reqps", "12.5/s"),
            (0.012, "s", "12 ms"),
            (90.0, "s", "1.5 min"),
            (86_400.0 * 300.0, "s", "300 days"),
        ] {
            assert_eq!(text(value, unit), wanted);
        }
    }
}
