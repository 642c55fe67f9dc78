//! The content of a certificate file: DER, PEM with one or several blocks, or base64 alone.

use std::borrow::Cow;
use std::sync::Arc;

use crate::pipeline::inventory::InventoryCertificate;
use crate::pipeline::inventory::decode::Behind;
use crate::pipeline::inventory::decode::base64;
use crate::pipeline::inventory::decode::certificate;
use crate::pipeline::inventory::format;
use crate::pipeline::inventory::pem;
use crate::pipeline::inventory::pem::Block;
use crate::pipeline::inventory::problem::Fault;
use crate::pipeline::inventory::problem::Position;
use crate::pipeline::inventory::problem::Problem;

/// The largest file that is read, in bytes. Whoever reads from the disk need not read more than one byte beyond it.
pub const MAX_FILE_BYTES: usize = 4 * 1024 * 1024;

/// Most PEM blocks of one file, whatever they hold. The bundle of all public root CAs has about 150.
pub const MAX_BLOCKS: usize = 1000;

/// What a file held.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Reading {
    /// The certificates in the order of the file; one that stands there twice is here twice.
    pub certificates: Vec<InventoryCertificate>,
    /// What was not taken, in the order of the file. Both can be there: a bad block does not spoil the others.
    pub problems: Vec<Problem>,
}

/// Reads the content of a file; `origin` is its name, for people.
///
/// A file that gives no certificate always gives a problem.
pub fn read(bytes: &[u8], origin: &str) -> Reading {
    let origin: Arc<str> = Arc::from(origin);
    let mut reading = Reading::default();
    let mut keep = |position, read: Result<InventoryCertificate, Fault>| match read {
        Ok(certificate) => reading.certificates.push(certificate),
        Err(fault) => reading.problems.push(Problem {
            origin: Arc::clone(&origin),
            position,
            fault,
        }),
    };
    if bytes.len() > MAX_FILE_BYTES {
        keep(None, Err(Fault::FileTooBig));
        return reading;
    }
    let bytes = as_eight_bit(bytes);
    if pem::has_blocks(&bytes) && !format::is_der(&bytes) {
        for (index, block) in pem::blocks(&bytes).enumerate() {
            if index == MAX_BLOCKS {
                keep(None, Err(Fault::TooManyBlocks));
                break;
            }
            let position = Position {
                block: index + 1,
                line: block.line,
            };
            keep(Some(position), from_block(&block, &origin));
        }
    } else {
        keep(None, from_whole(&bytes, &origin));
    }
    reading
}

/// Without the byte order mark. UTF-16, which Windows PowerShell writes, becomes UTF-8.
fn as_eight_bit(bytes: &[u8]) -> Cow<'_, [u8]> {
    let (units, from_bytes): (_, fn([u8; 2]) -> u16) = match bytes {
        [0xEF, 0xBB, 0xBF, text @ ..] => return Cow::Borrowed(text),
        [0xFF, 0xFE, units @ ..] => (units, u16::from_le_bytes),
        [0xFE, 0xFF, units @ ..] => (units, u16::from_be_bytes),
        _ => return Cow::Borrowed(bytes),
    };
    let (units, _) = units.as_chunks::<2>();
    let units: Vec<u16> = units.iter().map(|unit| from_bytes(*unit)).collect();
    Cow::Owned(String::from_utf16_lossy(&units).into_bytes())
}

fn from_block(block: &Block<'_>, origin: &Arc<str>) -> Result<InventoryCertificate, Fault> {
    let behind = match block.label {
        label if is_key(label) => return Err(Fault::PrivateKey),
        b"CERTIFICATE" | b"X509 CERTIFICATE" => Behind::Refused,
        b"TRUSTED CERTIFICATE" => Behind::Ignored,
        b"PKCS7" | b"PKCS #7 SIGNED DATA" | b"CMS" => return Err(Fault::Pkcs7),
        b"PKCS12" => return Err(Fault::Pkcs12),
        label => return Err(Fault::OtherBlock(printable(label))),
    };
    let der = base64(block.body.ok_or(Fault::NoEnd)?)?;
    certificate(&der, behind, origin, None)
}

/// A label fit to be repeated: one that looks like a label, for a hostile one could hold anything.
fn printable(label: &[u8]) -> String {
    /// The longest of RFC 7468 has 22.
    const MAX_LABEL_BYTES: usize = 40;
    let sound = (1..=MAX_LABEL_BYTES).contains(&label.len())
        && label
            .iter()
            .all(|byte| matches!(byte, b'A'..=b'Z' | b'0'..=b'9' | b' ' | b'#' | b'-'));
    let label = if sound { label } else { b"(unknown)" };
    String::from_utf8_lossy(label).into_owned()
}

/// A file without PEM blocks.
fn from_whole(bytes: &[u8], origin: &Arc<str>) -> Result<InventoryCertificate, Fault> {
    let trimmed = bytes.trim_ascii();
    if trimmed.is_empty() {
        return Err(Fault::Empty);
    }
    if format::is_der(bytes) || format::is_der(trimmed) {
        return certificate(bytes, Behind::Refused, origin, None);
    }
    if is_key(bytes) {
        return Err(Fault::PrivateKey);
    }
    match base64(trimmed) {
        Ok(der) if format::is_der(&der) => certificate(&der, Behind::Refused, origin, None),
        // The base64 of every DER encoding between 256 bytes and 64 KiB begins like this.
        Err(fault) if trimmed.starts_with(b"MII") => Err(fault),
        _ => Err(Fault::Unrecognised),
    }
}

/// Whether a label, or a text without PEM boundaries, names a private key.
fn is_key(text: &[u8]) -> bool {
    memchr::memmem::find(text, b"PRIVATE KEY").is_some()
}

#[cfg(test)]
mod tests;
