//! Axes: where they are labelled, and how numbers of Grafana's units are written there.

use std::ops::Range;

use plotters::coord::{
    ranged1d::{DefaultFormatting, KeyPointHint, Ranged},
    types::RangedCoordf64,
};

/// An axis from zero on.
pub(crate) struct Axis {
    inner: RangedCoordf64,
    labelled: Vec<f64>,
}

impl Axis {
    /// To `top`, in a unit of Grafana.
    pub(crate) fn new(top: f64, unit: &str) -> Self {
        Self {
            inner: (0.0..top).into(),
            labelled: steps(top, unit),
        }
    }
}

impl Ranged for Axis {
    type FormatOption = DefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        self.inner.map(value, limit)
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        if hint.weight().allow_light_points() {
            Vec::new()
        } else {
            self.labelled.clone()
        }
    }

    fn range(&self) -> Range<f64> {
        self.inner.range()
    }
}

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

/// The largest comes first.
const SECONDS: [(f64, &str); 5] = [
    (86_400.0 * 365.0, "years"),
    (86_400.0, "days"),
    (60.0, "min"),
    (1.0, "s"),
    (0.001, "ms"),
];

fn seconds(value: f64) -> String {
    if value <= 0.0 {
        return short(value);
    }
    let unit = SECONDS.iter().find(|(size, _)| value >= *size);
    let (size, name) = unit.unwrap_or(&(0.001, "ms"));
    format!("{} {name}", short(value / size))
}

/// The labels of an axis that ends at `top`: five values at most, round ones in their unit.
fn steps(top: f64, unit: &str) -> Vec<f64> {
    let size = match unit {
        "bytes" => (0..5)
            .rev()
            .map(|power| 1024.0_f64.powi(power))
            .find(|size| top >= *size),
        "s" => SECONDS
            .iter()
            .map(|(size, _)| *size)
            .find(|size| top >= *size),
        _ => None,
    }
    .unwrap_or(1.0);
    let least = top / size / 4.0;
    let magnitude = 10.0_f64.powf(least.log10().floor());
    let round = [1.0, 2.0, 5.0]
        .into_iter()
        .find(|round| round * magnitude >= least)
        .unwrap_or(10.0);
    let step = round * magnitude * size;
    (0..5)
        .map(|number| f64::from(number) * step)
        .filter(|value| *value <= top)
        .collect()
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
    use super::{steps, text};

    #[test]
    fn values_are_written_as_people_read_them() {
        for (value, unit, wanted) in [
            (0.0, "short", "0"),
            (0.0, "s", "0"),
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

    #[test]
    fn an_axis_is_labelled_with_round_values() {
        for (top, unit, wanted) in [
            (1.08, "short", &["0", "0.5", "1"][..]),
            (3.24, "short", &["0", "1", "2", "3"]),
            (0.33, "percentunit", &["0 %", "10 %", "20 %", "30 %"]),
            (3_300_000.0, "bytes", &["0 B", "1 MiB", "2 MiB", "3 MiB"]),
            (0.54, "s", &["0", "200 ms", "400 ms"]),
            (420.0, "s", &["0", "2 min", "4 min", "6 min"]),
        ] {
            let labels = steps(top, unit);
            let labels: Vec<_> = labels.iter().map(|value| text(*value, unit)).collect();
            assert_eq!(labels, wanted, "{top} {unit}");
        }
    }
}
