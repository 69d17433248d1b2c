//! Numbers in Python's spelling.

use std::borrow::Cow;

/// A number as Python holds it after `json.loads`.
#[derive(Debug, Clone, PartialEq)]
pub enum Number {
    /// Decimal digits with an optional minus; never `-0`.
    Integer(String),
    /// A double; also `NaN` and the infinities.
    Float(f64),
}

impl Number {
    /// The double of a spelling that JSON or Python accepts.
    pub(super) fn float(spelled: &str) -> Self {
        Self::Float(spelled.parse().unwrap_or(f64::NAN))
    }

    /// The spelling of Python's `repr`, except for `NaN`, `Infinity` and `-Infinity`, which are as in `json.dumps`.
    pub fn python_text(&self) -> Cow<'_, str> {
        match self {
            Self::Integer(digits) => Cow::Borrowed(digits),
            Self::Float(value) => Cow::Owned(float_text(*value)),
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
    let sign = if value.is_sign_negative() { "-" } else { "" };
    if value.is_infinite() {
        return format!("{sign}Infinity");
    }
    let (digits, exponent) = shortest_digits(value.abs());
    let (first, rest) = digits.split_at_checked(1).unwrap_or(("0", ""));
    match usize::try_from(exponent) {
        Ok(whole @ ..16) => {
            let (before, after) = digits.split_at_checked(whole + 1).unwrap_or((&digits, ""));
            let zeros = "0".repeat(whole + 1 - before.len());
            let after = if after.is_empty() { "0" } else { after };
            format!("{sign}{before}{zeros}.{after}")
        }
        Err(_) if exponent >= -4 => {
            let zeros = "0".repeat(usize::try_from(-exponent - 1).unwrap_or_default());
            format!("{sign}0.{zeros}{digits}")
        }
        _ => {
            let point = if rest.is_empty() { "" } else { "." };
            let exponent_sign = if exponent < 0 { '-' } else { '+' };
            format!(
                "{sign}{first}{point}{rest}e{exponent_sign}{:02}",
                exponent.unsigned_abs()
            )
        }
    }
}

/// The digits of a finite, non-negative number and the power of ten of the first one.
/// By Ryu and not the standard library, which rounds ties up where `CPython` rounds them to even.
fn shortest_digits(value: f64) -> (String, i32) {
    let mut buffer = ryu::Buffer::new();
    let text = buffer.format_finite(value);
    let (mantissa, exponent) = text.split_once('e').unwrap_or((text, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all = format!("{whole}{fraction}");
    let significant = all.trim_start_matches('0');
    if significant.is_empty() {
        return ("0".into(), 0);
    }
    let place = |length: usize| i32::try_from(length).unwrap_or_default();
    let exponent = exponent.parse().unwrap_or(0) + place(whole.len())
        - 1
        - place(all.len() - significant.len());
    (significant.trim_end_matches('0').to_owned(), exponent)
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
            (100.0, "100.0"),
            (
                0.5_f64.mul_add(0.5, 863_771_678_401_047.0),
                "863771678401047.2",
            ),
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
