//! What an encoding holds, by its first elements: enough to refuse what is no certificate by its name.

use x509_parser::asn1_rs::FromBer;
use x509_parser::asn1_rs::Header;
use x509_parser::asn1_rs::Length;
use x509_parser::asn1_rs::Tag;

use crate::pipeline::inventory::problem::Fault;

/// `1.2.840.113549.1.7`, the arc of PKCS#7 content types.
const PKCS7: &[u8] = &[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x07];

/// The first byte of a SEQUENCE.
const SEQUENCE: u8 = 0x30;

/// The fault of what is recognised as something else, even if it is cut off; `None`: it may be a certificate.
///
/// - PKCS#7: `SEQUENCE { OID 1.2.840.113549.1.7.…`
/// - PKCS#12 (RFC 7292): `SEQUENCE { INTEGER 3, SEQUENCE …`
/// - Private keys in clear (PKCS#1, PKCS#8, SEC 1, OpenSSL's DSA): `SEQUENCE { INTEGER 0 or 1, …`
/// - Encrypted private keys (PKCS#8): `SEQUENCE { SEQUENCE { OID …, OCTET STRING …`
///
/// A certificate is `SEQUENCE { SEQUENCE { [0] or INTEGER …`.
pub(super) fn foreign(bytes: &[u8]) -> Option<Fault> {
    let (Tag::Sequence, content, _) = element(bytes)? else {
        return None;
    };
    match element(content)? {
        (Tag::Oid, oid, _) if oid.starts_with(PKCS7) => Some(Fault::Pkcs7),
        (Tag::Integer, [0 | 1], _) => Some(Fault::PrivateKey),
        (Tag::Integer, [3], rest) if starts_with(rest, Tag::Sequence) => Some(Fault::Pkcs12),
        (Tag::Sequence, algorithm, rest)
            if starts_with(algorithm, Tag::Oid) && starts_with(rest, Tag::OctetString) =>
        {
            Some(Fault::PrivateKey)
        }
        _ => None,
    }
}

/// Whether a SEQUENCE is longer than what is there, or not even its length is there.
pub(super) fn is_cut_off(bytes: &[u8]) -> bool {
    bytes.first() == Some(&SEQUENCE)
        && Header::from_ber(bytes).map_or(true, |(content, header)| {
            matches!(header.length(), Length::Definite(length) if length > content.len())
        })
}

/// Whether bytes are DER rather than text: a SEQUENCE with a length that no text has, or that fits exactly.
pub(super) fn is_der(bytes: &[u8]) -> bool {
    match bytes {
        [SEQUENCE, length, content @ ..] => {
            *length >= 0x80 || usize::from(*length) == content.len()
        }
        _ => false,
    }
}

fn starts_with(bytes: &[u8], tag: Tag) -> bool {
    element(bytes).is_some_and(|(found, _, _)| found == tag)
}

/// Tag, content and what follows. The content is what is there of it; that of an indefinite length, which PKCS#12 files
/// of some programs have, is all that follows.
fn element(bytes: &[u8]) -> Option<(Tag, &[u8], &[u8])> {
    let (rest, header) = Header::from_ber(bytes).ok()?;
    let length = match header.length() {
        Length::Definite(length) => length.min(rest.len()),
        Length::Indefinite => rest.len(),
    };
    let (content, behind) = rest.split_at(length);
    Some((header.tag(), content, behind))
}
