//! Numbers in Python's spelling.

/// A number as Python holds it after `json.loads`.
#[derive(Debug, Clone, PartialEq)]
pub enum Number {
    /// Decimal digits with an optional minus; never `-0`.
    Integer(String),
    /// A double; also `NaN` and the infinities.
    Float(f64),
}

impl Number {
    /// The spelling of Python's `repr`, except for `NaN`, `Infinity` and `-Infinity`, which are as in `json.dumps`.
    pub fn python_text(&self) -> String {
        match self {
            Self::Integer(digits) => digits.clone(),
            Self::Float(value) => float_text(*value),
        }
    }

    /// Whether the number has no JSON spelling (`NaN` and the infinities).
    pub fn is_finite(&self) -> bool {
        match self {
            Self::Integer(_) => true,
            Self::Float(value) => value.is_finite(),
        }
    }
}

/// CPython's `float_repr`: the shortest digits that read back, with an exponent below 1e-4 and from 1e16 on.
fn float_text(value: f64) -> String {
    if value.is_nan() {
        return "NaN".into();
    }
    if value.is_infinite() {
        return if value > 0.0 { "Infinity" } else { "-Infinity" }.into();
    }
    let scientific = format!("{value:e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    if (-4..16).contains(&exponent) {
        let plain = format!("{value}");
        return if plain.contains('.') {
            plain
        } else {
            plain + ".0"
        };
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::float_text;

    #[test]
    fn floats_are_spelled_as_python_spells_them() {
        for (value, text) in [
            (1.0, "1.0"),
            (-0.0, "-0.0"),
            (0.1, "0.1"),
            (1e16, "1e+16"),
            (1e15, "1000000000000000.0"),
            (123_456_789_012_345_680.0, "1.2345678901234568e+17"),
            (0.0001, "0.0001"),
            (0.000_01, "1e-05"),
            (1.5e-7, "1.5e-07"),
            (5e-324, "5e-324"),
            (f64::MAX, "1.7976931348623157e+308"),
            (f64::NAN, "NaN"),
            (f64::NEG_INFINITY, "-Infinity"),
        ] {
            assert_eq!(float_text(value), text);
        }
    }
}
