//! Distinguished names, printed as Windows prints them and Exchange logs them.
//!
//! `CertNameToStr` with `CERT_X500_NAME_STR` and `CERT_NAME_STR_REVERSE_FLAG`: the last RDN of the encoding, the most
//! specific one, comes first; `, ` between RDNs, ` + ` inside one; quotes where they are needed, a quote inside them
//! doubled, and no escapes.

use std::fmt::Write as _;

use x509_parser::asn1_rs::Any;
use x509_parser::asn1_rs::Class;
use x509_parser::asn1_rs::FromDer;
use x509_parser::asn1_rs::Oid;
use x509_parser::asn1_rs::Tag;
use x509_parser::asn1_rs::ToDer;

use crate::pipeline::certificate::dn::DistinguishedName;
use crate::pipeline::certificate::dn::MAX_NAME_BYTES;
use crate::pipeline::inventory::oid::dotted;

/// The attribute types for which Windows has a name; any other is printed as `OID.` and its numbers.
const TYPES: &[(&str, &str)] = &[
    ("2.5.4.3", "CN"),
    ("2.5.4.4", "SN"),
    ("2.5.4.5", "SERIALNUMBER"),
    ("2.5.4.6", "C"),
    ("2.5.4.7", "L"),
    ("2.5.4.8", "S"),
    ("2.5.4.9", "STREET"),
    ("2.5.4.10", "O"),
    ("2.5.4.11", "OU"),
    ("2.5.4.12", "T"),
    ("2.5.4.13", "Description"),
    ("2.5.4.17", "PostalCode"),
    ("2.5.4.18", "POBox"),
    ("2.5.4.20", "Phone"),
    ("2.5.4.24", "X21Address"),
    ("2.5.4.42", "G"),
    ("2.5.4.43", "I"),
    ("2.5.4.46", "dnQualifier"),
    ("0.9.2342.19200300.100.1.25", "DC"),
    ("1.2.840.113549.1.9.1", "E"),
];

/// Prints a name from its encoding, a SEQUENCE of SETs of type and value. The empty name is the empty text.
///
/// `None` when the encoding is not that of a name, when the text is longer than [`MAX_NAME_BYTES`], or when it has more
/// attributes than are compared: what is printed here can be read by [`DistinguishedName::parse`].
pub(super) fn printed(der: &[u8]) -> Option<String> {
    let mut rdns = Vec::new();
    for rdn in elements(only(der, Tag::Sequence)?) {
        rdns.push(printed_rdn(rdn.filter(|it| it.tag() == Tag::Set)?.data)?);
    }
    rdns.reverse();
    let text = rdns.join(", ");
    let comparable = text.is_empty() || DistinguishedName::parse(&text).is_some();
    (comparable && text.len() <= MAX_NAME_BYTES).then_some(text)
}

fn printed_rdn(set: &[u8]) -> Option<String> {
    let mut attributes = Vec::new();
    for attribute in elements(set) {
        let attribute = attribute.filter(|it| it.tag() == Tag::Sequence)?;
        let (rest, kind) = Oid::from_der(attribute.data).ok()?;
        let (rest, value) = Any::from_der(rest).ok()?;
        if !rest.is_empty() {
            return None;
        }
        attributes.push(format!(
            "{}={}",
            printed_type(&kind)?,
            printed_value(&value)?
        ));
    }
    (!attributes.is_empty()).then(|| attributes.join(" + "))
}

fn printed_type(kind: &Oid<'_>) -> Option<String> {
    let numbers = dotted(kind)?;
    let known = TYPES.iter().find(|(known, _)| *known == numbers);
    Some(known.map_or_else(|| format!("OID.{numbers}"), |(_, name)| (*name).to_owned()))
}

/// A text in quotes if need be; `#` and the encoding in hex for what is no text.
fn printed_value(value: &Any<'_>) -> Option<String> {
    let Some(text) = decoded(value) else {
        return Some(format!("#{}", hex(&value.to_der_vec().ok()?)));
    };
    // Windows' own list; that it has no carriage return is no mistake here.
    let special = |c| matches!(c, ',' | '+' | '=' | '"' | '\n' | '<' | '>' | '#' | ';');
    if text.is_empty() || text.trim() != text || text.contains(special) {
        Some(format!("\"{}\"", text.replace('"', "\"\"")))
    } else {
        Some(text)
    }
}

/// The text of a character string; `None` when it is none, or not whole characters.
fn decoded(value: &Any<'_>) -> Option<String> {
    if value.class() != Class::Universal || value.header.is_constructed() {
        return None;
    }
    let bytes = value.data;
    match value.tag() {
        Tag::BmpString => {
            let (units, []) = bytes.as_chunks::<2>() else {
                return None;
            };
            let units = units.iter().map(|unit| u16::from_be_bytes(*unit));
            char::decode_utf16(units).collect::<Result<_, _>>().ok()
        }
        Tag::UniversalString => {
            let (units, []) = bytes.as_chunks::<4>() else {
                return None;
            };
            let units = units.iter().map(|unit| u32::from_be_bytes(*unit));
            units.map(char::from_u32).collect()
        }
        Tag::Utf8String
        | Tag::NumericString
        | Tag::PrintableString
        | Tag::T61String
        | Tag::VideotexString
        | Tag::Ia5String
        | Tag::GraphicString
        | Tag::VisibleString
        | Tag::GeneralString => Some(utf8_or_latin1(bytes)),
        _ => None,
    }
}

/// Windows reads a `TeletexString` as UTF-8, and as Latin-1 if it is none. CAs put either into other types as well.
pub(super) fn utf8_or_latin1(bytes: &[u8]) -> String {
    str::from_utf8(bytes).map_or_else(
        |_| bytes.iter().copied().map(char::from).collect(),
        str::to_owned,
    )
}

/// Upper-case hex.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut hex, byte| {
        // Writing to a string cannot fail.
        let _ = write!(hex, "{byte:02X}");
        hex
    })
}

/// The content of the one element that `der` is.
fn only(der: &[u8], tag: Tag) -> Option<&[u8]> {
    match Any::from_der(der) {
        Ok(([], element)) if element.tag() == tag => Some(element.data),
        _ => None,
    }
}

/// The elements one after the other; `None` where one cannot be read, and nothing behind it.
///
/// The parser's own list of RDNs ends without a word at one that it cannot read, and the rest would be missing.
fn elements(der: &[u8]) -> impl Iterator<Item = Option<Any<'_>>> {
    let mut rest = der;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let element = Any::from_der(rest).ok();
        rest = element.as_ref().map_or(&[], |(behind, _)| *behind);
        Some(element.map(|(_, element)| element))
    })
}

#[cfg(test)]
mod tests;
