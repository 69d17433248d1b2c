//! Durations as Prometheus writes them.

/// Units from the longest to the shortest, with their seconds.
const UNITS: [(&str, f64); 7] = [
    ("y", 365.0 * 86400.0),
    ("w", 7.0 * 86400.0),
    ("d", 86400.0),
    ("h", 3600.0),
    ("m", 60.0),
    ("s", 1.0),
    ("ms", 0.001),
];

/// Seconds of a text such as `1m30s`: each unit once at most, from the longest to the shortest; `None` for any other text.
pub(super) fn seconds(text: &str) -> Option<f64> {
    let (mut rest, mut sum) = (text, 0.0);
    for (unit, length) in UNITS {
        let behind = rest.trim_start_matches(|c: char| c.is_ascii_digit());
        let number = rest.get(..rest.len() - behind.len())?;
        let Some(after) = behind.strip_prefix(unit).filter(|_| !number.is_empty()) else {
            continue;
        };
        // `5ms` is no `5m` with an `s` behind it.
        if unit == "m" && after == "s" {
            continue;
        }
        sum += number.parse::<f64>().ok()? * length;
        rest = after;
    }
    (rest.is_empty() && !text.is_empty()).then_some(sum)
}

#[cfg(test)]
mod tests {
    use super::seconds;

    #[test]
    fn durations_are_prometheus_own() {
        for (text, wanted) in [
            ("30s", 30.0),
            ("1m30s", 90.0),
            ("5ms", 0.005),
            ("1h5ms", 3600.005),
            ("2m5ms", 120.005),
            ("1d", 86400.0),
        ] {
            assert_eq!(seconds(text), Some(wanted), "{text}");
        }
        assert!(seconds("1y2w3d4h5m6s7ms").is_some());
        for text in [
            "", "30", "s", "30 s", "s30", "30s1m", "1m1m", "-1s", "1.5s", "30sec",
        ] {
            assert_eq!(seconds(text), None, "{text}");
        }
    }
}
