//! How large a volume is.

use std::{cmp::Ordering, fmt};

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use crate::controller::difference::amount;

/// Amounts are counted in billionths.
const BILLION: i128 = 1_000_000_000;

/// A size in the user's spelling: `1Gi` and `1024Mi` are equal.
#[derive(Debug, Clone)]
pub struct VolumeSize {
    amount: i128,
    text: String,
}

impl VolumeSize {
    /// Reads a size; `None` where the text is none.
    pub fn read(text: &str) -> Option<Self> {
        let amount = amount(text)?;
        let text = text.to_owned();
        Some(Self { amount, text })
    }

    /// The same of an amount of Kubernetes.
    pub fn of(Quantity(text): &Quantity) -> Option<Self> {
        Self::read(text)
    }

    /// The smallest size above this one, in bytes.
    #[must_use]
    pub fn just_above(&self) -> Self {
        let bytes = self.amount.div_euclid(BILLION).saturating_add(1);
        Self {
            amount: bytes.saturating_mul(BILLION),
            text: bytes.to_string(),
        }
    }

    /// As Kubernetes gets it.
    pub fn quantity(&self) -> Quantity {
        Quantity(self.text.clone())
    }
}

impl fmt::Display for VolumeSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl PartialEq for VolumeSize {
    fn eq(&self, other: &Self) -> bool {
        self.amount == other.amount
    }
}

impl Eq for VolumeSize {}

impl PartialOrd for VolumeSize {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for VolumeSize {
    fn cmp(&self, other: &Self) -> Ordering {
        self.amount.cmp(&other.amount)
    }
}

#[cfg(test)]
mod tests {
    use super::VolumeSize;

    #[test]
    fn sizes_are_compared_by_amount_and_told_as_they_were_given() {
        let size = |text| VolumeSize::read(text).unwrap();
        assert_eq!(size("1Gi"), size("1024Mi"));
        assert!(size("1G") < size("1Gi"));
        assert_eq!(size("1024Mi").to_string(), "1024Mi");
        assert_eq!(size("1Gi").just_above(), size("1073741825"));
        assert!(VolumeSize::read("lots").is_none());
    }
}
