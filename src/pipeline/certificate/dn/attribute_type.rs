//! Attribute types: their many names, one OID.

use std::borrow::Cow;

/// `commonName`.
pub(super) const COMMON_NAME: &str = "2.5.4.3";

/// Names of attribute types, upper case, and their OIDs: Windows' (`CertNameToStr`), RFC 4514 and RFC 4519,
/// OpenSSL's, and those of the CA/Browser Forum's extended validation.
const TYPES: &[(&str, &str)] = &[
    ("CN", COMMON_NAME),
    ("COMMONNAME", COMMON_NAME),
    ("SN", "2.5.4.4"),
    ("SURNAME", "2.5.4.4"),
    ("SERIALNUMBER", "2.5.4.5"),
    ("C", "2.5.4.6"),
    ("COUNTRYNAME", "2.5.4.6"),
    ("L", "2.5.4.7"),
    ("LOCALITYNAME", "2.5.4.7"),
    ("S", "2.5.4.8"),
    ("ST", "2.5.4.8"),
    ("STATEORPROVINCENAME", "2.5.4.8"),
    ("STREET", "2.5.4.9"),
    ("STREETADDRESS", "2.5.4.9"),
    ("O", "2.5.4.10"),
    ("ORGANIZATIONNAME", "2.5.4.10"),
    ("OU", "2.5.4.11"),
    ("ORGANIZATIONALUNITNAME", "2.5.4.11"),
    ("T", "2.5.4.12"),
    ("TITLE", "2.5.4.12"),
    ("DESCRIPTION", "2.5.4.13"),
    ("BUSINESSCATEGORY", "2.5.4.15"),
    ("POSTALCODE", "2.5.4.17"),
    ("POBOX", "2.5.4.18"),
    ("POSTOFFICEBOX", "2.5.4.18"),
    ("PHONE", "2.5.4.20"),
    ("TELEPHONENUMBER", "2.5.4.20"),
    ("X21ADDRESS", "2.5.4.24"),
    ("NAME", "2.5.4.41"),
    ("G", "2.5.4.42"),
    ("GN", "2.5.4.42"),
    ("GIVENNAME", "2.5.4.42"),
    ("I", "2.5.4.43"),
    ("INITIALS", "2.5.4.43"),
    ("GENERATIONQUALIFIER", "2.5.4.44"),
    ("DNQUALIFIER", "2.5.4.46"),
    ("PSEUDONYM", "2.5.4.65"),
    ("ORGANIZATIONIDENTIFIER", "2.5.4.97"),
    ("UID", "0.9.2342.19200300.100.1.1"),
    ("USERID", "0.9.2342.19200300.100.1.1"),
    ("DC", "0.9.2342.19200300.100.1.25"),
    ("DOMAINCOMPONENT", "0.9.2342.19200300.100.1.25"),
    ("E", "1.2.840.113549.1.9.1"),
    ("EMAIL", "1.2.840.113549.1.9.1"),
    ("EMAILADDRESS", "1.2.840.113549.1.9.1"),
    ("UNSTRUCTUREDNAME", "1.2.840.113549.1.9.2"),
    ("JURISDICTIONL", "1.3.6.1.4.1.311.60.2.1.1"),
    ("JURISDICTIONLOCALITYNAME", "1.3.6.1.4.1.311.60.2.1.1"),
    ("JURISDICTIONST", "1.3.6.1.4.1.311.60.2.1.2"),
    (
        "JURISDICTIONSTATEORPROVINCENAME",
        "1.3.6.1.4.1.311.60.2.1.2",
    ),
    ("JURISDICTIONC", "1.3.6.1.4.1.311.60.2.1.3"),
    ("JURISDICTIONCOUNTRYNAME", "1.3.6.1.4.1.311.60.2.1.3"),
];

/// The type's OID, or its name in upper case when it is none of [`TYPES`]; `None` when it cannot be a type.
pub(super) fn attribute_type(text: &str) -> Option<Cow<'static, str>> {
    let oid = match text.as_bytes() {
        [b'O' | b'o', b'I' | b'i', b'D' | b'd', b'.', ..] => &text[4..],
        _ => text,
    };
    if oid.starts_with(|c: char| c.is_ascii_digit()) {
        return oid
            .split('.')
            .all(|arc| !arc.is_empty() && arc.bytes().all(|byte| byte.is_ascii_digit()))
            .then(|| Cow::Owned(oid.to_owned()));
    }
    if !oid.starts_with(|c: char| c.is_ascii_alphabetic()) || !oid.bytes().all(is_type_byte) {
        return None;
    }
    let known = TYPES
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(oid));
    Some(known.map_or_else(
        || Cow::Owned(oid.to_ascii_uppercase()),
        |(_, oid)| Cow::Borrowed(*oid),
    ))
}

/// Whether a type, by name or by OID, can hold this byte.
pub(super) fn is_type_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-')
}
