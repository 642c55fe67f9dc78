//! Object identifiers in dotted form.

use x509_parser::asn1_rs::Oid;

/// The longest OID that is printed, in bytes of its encoding; those in use stay below 20.
const MAX_OID_BYTES: usize = 64;

/// The dotted form; `None` when the OID is longer than [`MAX_OID_BYTES`], cut off, or has a number beyond 128 bits.
///
/// X.690, 8.19: the first two numbers share one subidentifier. The parser's own printer takes one byte for it, so it
/// prints `2.40` as `3.0`.
pub(super) fn dotted(oid: &Oid<'_>) -> Option<String> {
    let bytes = oid.as_bytes();
    if bytes.len() > MAX_OID_BYTES || bytes.last().is_none_or(|byte| byte & 0x80 != 0) {
        return None;
    }
    let mut text = String::new();
    let mut number: u128 = 0;
    for byte in bytes {
        number = number.checked_mul(128)? + u128::from(byte & 0x7F);
        if byte & 0x80 != 0 {
            continue;
        }
        if text.is_empty() {
            let first = (number / 40).min(2);
            text = format!("{first}.{}", number - first * 40);
        } else {
            text.push('.');
            text.push_str(&number.to_string());
        }
        number = 0;
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dotted_form() {
        let long = [0x81_u8; MAX_OID_BYTES + 1];
        for (bytes, expected) in [
            (&[0x55, 4, 3][..], Some("2.5.4.3")),
            (
                &[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 1, 9, 1],
                Some("1.2.840.113549.1.9.1"),
            ),
            (&[0], Some("0.0")),
            (&[39], Some("0.39")),
            (&[40], Some("1.0")),
            (&[79], Some("1.39")),
            (&[80], Some("2.0")),
            (&[120], Some("2.40")),
            (&[0x88, 0x37, 3], Some("2.999.3")),
            (&[], None),
            (&[0x55, 0x84], None),
            (&long, None),
            (&[&[0x55][..], &[0xFF; 20], &[1]].concat(), None),
        ] {
            let oid = Oid::new(bytes.into());
            assert_eq!(dotted(&oid).as_deref(), expected, "{bytes:?}");
        }
    }
}
