//! One certificate from its DER encoding (RFC 5280).

use std::sync::Arc;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::GeneralPurpose;
use base64::engine::GeneralPurposeConfig;
use jiff::Timestamp;
use sha1::Sha1;
use sha2::Digest as _;
use sha2::Sha256;
use x509_parser::asn1_rs::FromDer;
use x509_parser::asn1_rs::Oid;
use x509_parser::certificate::X509Certificate;
use x509_parser::certificate::X509CertificateParser;
use x509_parser::error::X509Error;
use x509_parser::extensions;
use x509_parser::extensions::GeneralName;
use x509_parser::extensions::SubjectAlternativeName;
use x509_parser::nom::Parser as _;
use x509_parser::oid_registry::OID_X509_EXT_EXTENDED_KEY_USAGE;
use x509_parser::oid_registry::OID_X509_EXT_SUBJECT_ALT_NAME;
use x509_parser::time::ASN1Time;

use crate::pipeline::certificate::Certificate;
use crate::pipeline::certificate::Gaps;
use crate::pipeline::certificate::MAX_NAMES;
use crate::pipeline::certificate::MAX_NAMES_BYTES;
use crate::pipeline::certificate::Thumbprint;
use crate::pipeline::certificate::ValiditySource;
use crate::pipeline::inventory::ExtendedKeyUsage;
use crate::pipeline::inventory::InventoryCertificate;
use crate::pipeline::inventory::algorithm::key_algorithm;
use crate::pipeline::inventory::algorithm::signature_algorithm;
use crate::pipeline::inventory::format;
use crate::pipeline::inventory::name::hex;
use crate::pipeline::inventory::name::printed;
use crate::pipeline::inventory::name::utf8_or_latin1;
use crate::pipeline::inventory::problem::Fault;
use crate::pipeline::inventory::problem::Part;
use crate::pipeline::inventory::problem::Problem;

/// The largest certificate that is read, in bytes of DER. Public ones with a hundred names stay below 8 KiB.
pub const MAX_CERTIFICATE_BYTES: usize = 64 * 1024;

/// The longest serial number that is read, in bytes (RFC 5280 allows 20; real ones exceed it).
const MAX_SERIAL_BYTES: usize = 64;

/// Padding may be missing: what is meant is beyond doubt.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Reads one certificate. `origin` names where it comes from, for people; `server` in whose store it is, if known.
///
/// # Errors
/// One [`Problem`] without a position; nothing else is kept of what was refused. Reading it again gives the same.
pub fn from_der(
    der: &[u8],
    origin: &Arc<str>,
    server: Option<&Arc<str>>,
) -> Result<InventoryCertificate, Problem> {
    certificate(der, Behind::Refused, origin, server).map_err(|fault| Problem {
        origin: Arc::clone(origin),
        position: None,
        fault,
    })
}

/// Reads `RawData` of `Get-ExchangeCertificate`: one certificate, DER in base64. White space and missing padding do not
/// matter.
///
/// # Errors
/// As [`from_der`].
pub fn from_raw_data(
    text: &str,
    origin: &Arc<str>,
    server: Option<&Arc<str>>,
) -> Result<InventoryCertificate, Problem> {
    let certificate =
        base64(text.as_bytes()).and_then(|der| certificate(&der, Behind::Refused, origin, server));
    certificate.map_err(|fault| Problem {
        origin: Arc::clone(origin),
        position: None,
        fault,
    })
}

/// What may follow a certificate in its encoding.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Behind {
    /// Nothing but white space, which an editor or a copy may add.
    Refused,
    /// Anything: OpenSSL's `TRUSTED CERTIFICATE` holds its own trust settings there.
    Ignored,
}

/// Decodes base64 in which white space does not matter.
pub(super) fn base64(text: &[u8]) -> Result<Vec<u8>, Fault> {
    let packed: Vec<u8> = text
        .iter()
        .copied()
        .filter(|byte| !byte.is_ascii_whitespace())
        .collect();
    if packed.is_empty() {
        return Err(Fault::Empty);
    }
    BASE64.decode(packed).map_err(|_| Fault::NotBase64)
}

pub(super) fn certificate(
    der: &[u8],
    behind: Behind,
    origin: &Arc<str>,
    server: Option<&Arc<str>>,
) -> Result<InventoryCertificate, Fault> {
    let parsed = parse(der, behind)?;
    let (names, names_incomplete) = names(&parsed)?;
    let certificate = Certificate {
        thumbprint: Some(Thumbprint(Sha1::digest(parsed.as_raw()).into())),
        subject: printed(parsed.subject().as_raw()).ok_or(Fault::Unreadable(Part::Subject))?,
        issuer: Some(printed(parsed.issuer().as_raw()).ok_or(Fault::Unreadable(Part::Issuer))?),
        serial: Some(serial(parsed.raw_serial()).ok_or(Fault::Unreadable(Part::Serial))?),
        names,
        not_before: Some(timestamp(parsed.validity().not_before)),
        not_after: Some(timestamp(parsed.validity().not_after)),
        validity_from: Some(ValiditySource::Inventory),
        gaps: Gaps {
            dn_uncut: false,
            names_incomplete,
        },
    };
    Ok(InventoryCertificate {
        certificate: Arc::new(certificate),
        sha256: Sha256::digest(parsed.as_raw()).into(),
        extended_key_usage: extended_key_usage(&parsed)?,
        key_algorithm: key_algorithm(parsed.public_key()),
        signature_algorithm: signature_algorithm(&parsed.signature_algorithm),
        server: server.map(Arc::clone),
        origin: Arc::clone(origin),
    })
}

/// Extensions are not looked into here: those that nobody asks for may hold what they like.
fn parse(der: &[u8], behind: Behind) -> Result<X509Certificate<'_>, Fault> {
    if der.is_empty() {
        return Err(Fault::Empty);
    }
    if let Some(fault) = format::foreign(der) {
        return Err(fault);
    }
    if der.len() > MAX_CERTIFICATE_BYTES {
        return Err(Fault::CertificateTooBig);
    }
    if format::is_cut_off(der) {
        return Err(Fault::CutOff);
    }
    let mut parser = X509CertificateParser::new().with_deep_parse_extensions(false);
    let (rest, parsed) = parser
        .parse(der)
        .map_err(|error| Fault::Unreadable(part(&X509Error::from(error))))?;
    if behind == Behind::Refused && !rest.trim_ascii().is_empty() {
        return Err(Fault::BytesBehind);
    }
    Ok(parsed)
}

fn part(error: &X509Error) -> Part {
    match error {
        X509Error::InvalidSerial => Part::Serial,
        X509Error::InvalidDate => Part::Validity,
        _ => Part::Structure,
    }
}

/// Upper-case hex of the bytes as they are encoded. So does Windows: a number whose first bit is set has `00` in front.
fn serial(bytes: &[u8]) -> Option<String> {
    let sound = (1..=MAX_SERIAL_BYTES).contains(&bytes.len());
    sound.then(|| hex(bytes))
}

/// The latest whole second that can be represented is `9999-12-30T22:00:00Z`. `99991231235959Z`, by which RFC 5280 says
/// "no end", becomes that.
fn timestamp(time: ASN1Time) -> Timestamp {
    let range = Timestamp::MIN.as_second()..=Timestamp::MAX.as_second();
    let second = time.timestamp().clamp(*range.start(), *range.end());
    Timestamp::from_second(second).unwrap_or(Timestamp::MAX)
}

/// The content of an extension; `None`: it is missing. Twice is an error, for nobody can say which one counts.
fn extension<'a>(parsed: &X509Certificate<'a>, oid: &Oid<'_>) -> Result<Option<&'a [u8]>, ()> {
    let extension = parsed.get_extension_unique(oid).map_err(|_| ())?;
    Ok(extension.map(|extension| extension.value))
}

/// The DNS names, lower case, in the order of the certificate, and whether some were left out beyond the limits.
fn names(parsed: &X509Certificate<'_>) -> Result<(Vec<String>, bool), Fault> {
    let unreadable = Fault::Unreadable(Part::Names);
    let value = match extension(parsed, &OID_X509_EXT_SUBJECT_ALT_NAME) {
        Ok(None) => return Ok((Vec::new(), false)),
        Ok(Some(value)) => value,
        Err(()) => return Err(unreadable),
    };
    let Ok(([], list)) = SubjectAlternativeName::from_der(value) else {
        return Err(unreadable);
    };
    let mut names = Vec::new();
    let mut bytes = 0;
    for general_name in &list.general_names {
        let name = match general_name {
            GeneralName::DNSName(name) => name.trim().to_lowercase(),
            // RFC 5280 wants ASCII; a name in Latin-1 is none that DNS knows, but it is there.
            GeneralName::Invalid(tag, raw) if tag.0 == 2 => {
                utf8_or_latin1(raw).trim().to_lowercase()
            }
            _ => continue,
        };
        if name.is_empty() {
            continue;
        }
        bytes += name.len();
        if bytes > MAX_NAMES_BYTES || names.len() == MAX_NAMES {
            return Ok((names, true));
        }
        names.push(name);
    }
    Ok((names, false))
}

fn extended_key_usage(parsed: &X509Certificate<'_>) -> Result<Option<ExtendedKeyUsage>, Fault> {
    let unreadable = Fault::Unreadable(Part::ExtendedKeyUsage);
    let value = match extension(parsed, &OID_X509_EXT_EXTENDED_KEY_USAGE) {
        Ok(None) => return Ok(None),
        Ok(Some(value)) => value,
        Err(()) => return Err(unreadable),
    };
    let Ok(([], purposes)) = extensions::ExtendedKeyUsage::from_der(value) else {
        return Err(unreadable);
    };
    Ok(Some(ExtendedKeyUsage {
        server_auth: purposes.any || purposes.server_auth,
        client_auth: purposes.any || purposes.client_auth,
    }))
}

#[cfg(test)]
mod tests;
