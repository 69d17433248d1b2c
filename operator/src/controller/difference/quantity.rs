//! Quantities of Kubernetes, which have several spellings.

/// Whether both texts are quantities, and equal: `0.5` and `500m`, `1Gi` and `1024Mi`.
pub(super) fn is_same(one: &str, other: &str) -> bool {
    amount(one).is_some_and(|amount_of_one| amount(other) == Some(amount_of_one))
}

/// The quantity in billionths; `None` where the text is none, or where it is larger than any cluster needs.
pub(crate) fn amount(text: &str) -> Option<i128> {
    let end = text
        .find(|c: char| !c.is_ascii_digit() && !['.', '+', '-'].contains(&c))
        .unwrap_or(text.len());
    let (number, suffix) = text.split_at_checked(end)?;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let is_negative = whole.starts_with('-');
    let whole = whole.strip_prefix(['+', '-']).unwrap_or(whole);
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let is_long = fraction.len() > 9;
    if is_long || whole.len() + fraction.len() == 0 || !is_number(whole) || !is_number(fraction) {
        return None;
    }
    let whole: i128 = match whole {
        "" => 0,
        whole => whole.parse().ok()?,
    };
    let whole = if is_negative { -whole } else { whole };
    let fraction: i128 = format!("{fraction:0<9}").parse().ok()?;
    let fraction = if is_negative { -fraction } else { fraction };
    let amount = whole.checked_mul(BILLION)?.checked_add(fraction)?;
    scaled(amount, suffix)
}

const BILLION: i128 = 1_000_000_000;

/// As `k8s.io/apimachinery/pkg/api/resource` lists the suffixes.
fn scaled(amount: i128, suffix: &str) -> Option<i128> {
    const DECIMAL: [&str; 7] = ["", "k", "M", "G", "T", "P", "E"];
    const BINARY: [&str; 7] = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
    const SMALL: [&str; 4] = ["", "m", "u", "n"];
    let power = |list: &[&str]| {
        let at = list.iter().position(|known| *known == suffix)?;
        u32::try_from(at).ok()
    };
    if let Some(power) = power(&DECIMAL) {
        return amount.checked_mul(1000_i128.checked_pow(power)?);
    }
    if let Some(power) = power(&BINARY) {
        return amount.checked_mul(1024_i128.checked_pow(power)?);
    }
    if let Some(power) = power(&SMALL) {
        return amount.checked_div(1000_i128.checked_pow(power)?);
    }
    let exponent: i32 = suffix.strip_prefix(['e', 'E'])?.parse().ok()?;
    let factor = 10_i128.checked_pow(exponent.unsigned_abs())?;
    if exponent < 0 {
        amount.checked_div(factor)
    } else {
        amount.checked_mul(factor)
    }
}

#[cfg(test)]
mod tests {
    use super::is_same;

    #[test]
    fn one_amount_has_several_spellings() {
        for (one, other) in [
            ("0.5", "500m"),
            ("1Gi", "1024Mi"),
            ("1Gi", "1073741824"),
            ("2", "2000m"),
            ("1k", "1e3"),
            (".5", "500m"),
            ("64M", "64E6"),
        ] {
            assert!(is_same(one, other), "{one} {other}");
        }
        for (one, other) in [
            ("1G", "1Gi"),
            ("1", "1m"),
            ("a", "a"),
            ("", ""),
            ("1x", "1x"),
            ("+", "0"),
            ("1.+5", "1.5"),
            ("+-1", "-1"),
        ] {
            assert!(!is_same(one, other), "{one} {other}");
        }
    }
}
