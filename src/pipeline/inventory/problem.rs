//! What is wrong with a file of certificates, where, and what to do about it.

use std::fmt;
use std::sync::Arc;

use crate::pipeline::inventory::decode::MAX_CERTIFICATE_BYTES;
use crate::pipeline::inventory::reading::MAX_BLOCKS;
use crate::pipeline::inventory::reading::MAX_FILE_BYTES;
use crate::pipeline::shown::shown;

/// Something that stands in the inventory and was not taken.
///
/// Prints one line: `origin: what is wrong; remedy`, or `origin:line: block n what is wrong; remedy`. It never repeats
/// what the file holds, apart from a PEM label.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Problem {
    /// The file, or whatever was given as origin.
    pub origin: Arc<str>,
    /// Which PEM block; `None`: the content as a whole.
    pub position: Option<Position>,
    /// What is wrong with it.
    pub fault: Fault,
}

/// The place of a PEM block.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Position {
    /// Counted from 1 over all blocks of the file, whatever they hold.
    pub block: usize,
    /// The line of its `BEGIN`, from 1.
    pub line: usize,
}

/// What can be wrong.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Fault {
    /// No bytes, or blanks only.
    Empty,
    /// More than [`MAX_FILE_BYTES`].
    FileTooBig,
    /// More than [`MAX_BLOCKS`]; those beyond were not read.
    TooManyBlocks,
    /// A private key, in clear or encrypted, in any of its encodings. Nothing of it was kept.
    PrivateKey,
    /// PKCS#7 (`.p7b`).
    Pkcs7,
    /// PKCS#12 (`.pfx`, `.p12`).
    Pkcs12,
    /// A PEM block of another kind; its label, if it looks like one.
    OtherBlock(String),
    /// Neither DER nor PEM nor base64.
    Unrecognised,
    /// A PEM block without an `END` line of its own kind.
    NoEnd,
    /// The content of a block, or a text without blocks, is not base64.
    NotBase64,
    /// More than [`MAX_CERTIFICATE_BYTES`].
    CertificateTooBig,
    /// The encoding says that it is longer than what is there.
    CutOff,
    /// Something follows the certificate.
    BytesBehind,
    /// It begins like a certificate, but this part of it cannot be read.
    Unreadable(Part),
}

/// The parts of a certificate.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Part {
    /// The encoding as such.
    Structure,
    /// Serial number.
    Serial,
    /// Subject DN; also one that is longer than is compared.
    Subject,
    /// Issuer DN; also one that is longer than is compared.
    Issuer,
    /// Dates.
    Validity,
    /// The subject alternative names.
    Names,
    /// The extended key usage.
    ExtendedKeyUsage,
}

/// How Windows exports a certificate without its key.
const EXPORT: &str = "export the certificate alone: Export-Certificate -Cert <certificate> -Type CERT -FilePath <name>.cer";

impl std::error::Error for Problem {}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&shown(&self.origin))?;
        match self.position {
            Some(Position { block, line }) => write!(f, ":{line}: block {block} ")?,
            None => f.write_str(": ")?,
        }
        write!(f, "{}", self.fault)
    }
}

impl fmt::Display for Fault {
    /// What is wrong and the remedy, in words that follow the place.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => write!(f, "is empty; {EXPORT}"),
            Self::FileTooBig => write!(
                f,
                "is larger than {} MiB; split it, or keep only certificates in it",
                MAX_FILE_BYTES >> 20
            ),
            Self::TooManyBlocks => write!(
                f,
                "holds more than {MAX_BLOCKS} blocks, and those beyond were not read; split it"
            ),
            Self::PrivateKey => f.write_str(
                "holds a private key; certdrift wants certificates only; take the key away from here, and keep the \
                 certificate alone",
            ),
            Self::Pkcs7 => write!(f, "is a PKCS#7 file (.p7b), which is not read; {EXPORT}"),
            Self::Pkcs12 => write!(
                f,
                "is a PKCS#12 file (.pfx, .p12), which holds a private key as a rule; certdrift wants certificates \
                 only; take it away from here, and {EXPORT}"
            ),
            Self::OtherBlock(label) => write!(
                f,
                "holds `{}`, not a certificate; take it away, or {EXPORT}",
                shown(label)
            ),
            Self::Unrecognised => write!(
                f,
                "is no certificate in DER, PEM or base64 encoding; {EXPORT}"
            ),
            Self::NoEnd => f.write_str(
                "has no END line that fits its BEGIN line; it was cut off or put together wrongly; copy it again",
            ),
            Self::NotBase64 => {
                f.write_str("is not base64; it was damaged on its way; copy it again")
            }
            Self::CertificateTooBig => write!(
                f,
                "is larger than {} KiB, which no certificate of a mail server is; {EXPORT}",
                MAX_CERTIFICATE_BYTES >> 10
            ),
            Self::CutOff => f.write_str("is cut off; copy it again"),
            Self::BytesBehind => f.write_str(
                "goes on behind the end of the certificate; keep one certificate in it, or use PEM for several",
            ),
            Self::Unreadable(part) => write!(
                f,
                "is damaged or no certificate: its {part} cannot be read; {EXPORT}"
            ),
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Structure => "encoding",
            Self::Serial => "serial number",
            Self::Subject => "subject",
            Self::Issuer => "issuer",
            Self::Validity => "validity",
            Self::Names => "list of alternative names",
            Self::ExtendedKeyUsage => "extended key usage",
        })
    }
}
