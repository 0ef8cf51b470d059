//! Conversion between Kubernetes quantities and bytes.

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

/// The bytes of a gibibyte.
pub(crate) const GIB: u64 = 1 << 30;

/// The bytes of a quantity such as `10Gi`, `1.5T`, `5e9` or `1024`; none if it is invalid.
pub(crate) fn bytes(quantity: &Quantity) -> Option<u64> {
    let text = quantity.0.trim();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let factor = match suffix {
        "" => 1.0,
        "m" => 1e-3,
        "k" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        "T" => 1e12,
        "P" => 1e15,
        "E" => 1e18,
        "Ki" => 2f64.powi(10),
        "Mi" => 2f64.powi(20),
        "Gi" => 2f64.powi(30),
        "Ti" => 2f64.powi(40),
        "Pi" => 2f64.powi(50),
        "Ei" => 2f64.powi(60),
        exponent => 10f64.powi(exponent.strip_prefix(['e', 'E'])?.parse().ok()?),
    };
    let bytes = number.parse::<f64>().ok()? * factor;
    // The cast saturates, far beyond the size of any volume.
    bytes.is_finite().then_some(bytes.ceil() as u64)
}

/// The quantity of this many bytes; in gibibytes if their number is whole.
pub(crate) fn quantity(bytes: u64) -> Quantity {
    Quantity(if bytes.is_multiple_of(GIB) { format!("{}Gi", bytes / GIB) } else { bytes.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_parsed_as_by_kubernetes() {
        let known = [
            ("10Gi", 10 * GIB),
            ("0.5Gi", GIB / 2),
            ("1.5G", 1_500_000_000),
            ("5e9", 5_000_000_000),
            ("1E3", 1000),
            ("1E", 1_000_000_000_000_000_000),
            ("1024", 1024),
            ("1500m", 2),
            ("512Ki", 524_288),
        ];
        for (text, expected) in known {
            assert_eq!(bytes(&Quantity(text.to_owned())), Some(expected), "{text}");
        }
        for text in ["", "Gi", "ten", "10gi", "10 Gi", "-1Gi", "1.2.3"] {
            assert_eq!(bytes(&Quantity(text.to_owned())), None, "{text}");
        }
        assert_eq!(quantity(3 * GIB), Quantity("3Gi".to_owned()));
        assert_eq!(quantity(3 * GIB + 1), Quantity("3221225473".to_owned()));
    }
}
