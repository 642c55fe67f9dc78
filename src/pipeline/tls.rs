//! TLS results in the `context` of an `*` row.

use std::fmt;
use std::sync::LazyLock;

use memchr::memchr;
use memchr::memmem::Finder;
use serde::Deserialize;
use serde::Serialize;

/// The words of a failed negotiation that are known to occur: the closed list of the metric's `error` label. Whatever
/// else a log says is exported as `other`.
pub const KNOWN_ERRORS: [&str; 12] = [
    "AuthLevel",
    "CertExpired",
    "CertUnknown",
    "IllegalMessage",
    "InternalError",
    "InvalidToken",
    "MessageAltered",
    "NoCredentials",
    "SocketError",
    "UnknownCredentials",
    "UntrustedRoot",
    "WrongPrincipal",
];

/// The longest word for an error that is kept.
const MAX_ERROR_BYTES: usize = 48;

const SUCCEEDED: &[u8] = b"TLS protocol ";
const NEGOTIATION_SUCCEEDED: &[u8] = b" negotiation succeeded";
/// Built once: a searcher takes longer to build than to find this in a row.
static NEGOTIATED: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(NEGOTIATION_SUCCEEDED));
const FAILED: &[u8] = b"TLS negotiation failed with error ";
const UNAUTHENTICATED: &[u8] = b"Outbound TLS authentication failed for auth level ";

/// A negotiated protocol.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// SSL 3.0 or older.
    Ssl3,
    /// TLS 1.0.
    Tls10,
    /// TLS 1.1.
    Tls11,
    /// TLS 1.2.
    Tls12,
    /// TLS 1.3.
    Tls13,
    /// A word or number that is not known.
    Other,
}

impl Protocol {
    /// The name in JSON and labels.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ssl3 => "SSL 3.0",
            Self::Tls10 => "TLS 1.0",
            Self::Tls11 => "TLS 1.1",
            Self::Tls12 => "TLS 1.2",
            Self::Tls13 => "TLS 1.3",
            Self::Other => "other",
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Whether the text says that TLS was negotiated.
pub fn is_success(context: &[u8]) -> bool {
    split_word(context).is_some_and(|(_, rest)| {
        rest.starts_with(NEGOTIATION_SUCCEEDED) || NEGOTIATED.find(rest).is_some()
    })
}

/// The word for a protocol, and what follows it.
fn split_word(context: &[u8]) -> Option<(&[u8], &[u8])> {
    let rest = context.strip_prefix(SUCCEEDED)?;
    Some(rest.split_at(memchr(b' ', rest).unwrap_or(rest.len())))
}

/// Whether the text says that TLS failed.
pub fn is_failure(context: &[u8]) -> bool {
    context.starts_with(FAILED) || context.starts_with(UNAUTHENTICATED)
}

/// The protocol of a negotiation that succeeded. Exchange writes Schannel's name, or its number (`grbitEnabledProtocols`)
/// on a system that has no name for it.
pub fn protocol(context: &[u8]) -> Protocol {
    let word = split_word(context).map_or(&[][..], |(word, _)| word);
    let word = word.strip_prefix(b"SP_PROT_").unwrap_or(word);
    let word = word.strip_suffix(b"_CLIENT").unwrap_or(word);
    match word {
        b"TLS1_3" | b"8192" => Protocol::Tls13,
        b"TLS1_2" | b"2048" => Protocol::Tls12,
        b"TLS1_1" | b"512" => Protocol::Tls11,
        b"TLS1_0" | b"TLS1" | b"128" => Protocol::Tls10,
        b"SSL3" | b"SSL2" | b"32" | b"8" => Protocol::Ssl3,
        _ => Protocol::Other,
    }
}

/// The word for the cause of a failure, reduced to letters, digits and `_`; a failed check of the peer's certificate
/// is `AuthLevel`.
pub fn failure(context: &[u8]) -> String {
    if context.starts_with(UNAUTHENTICATED) {
        return "AuthLevel".to_owned();
    }
    let word = context.strip_prefix(FAILED).unwrap_or_default();
    let clean: String = word
        .iter()
        .take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_' || **byte == b'-')
        .take(MAX_ERROR_BYTES)
        .map(|&byte| char::from(byte))
        .collect();
    if clean.is_empty() {
        "other".to_owned()
    } else {
        clean
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn protocols_come_as_words_and_numbers() {
        let row = |word: &str| {
            format!(
                "TLS protocol {word} negotiation succeeded using bulk encryption algorithm CALG_AES_256"
            )
        };
        for (word, protocol_name) in [
            ("SP_PROT_TLS1_2_CLIENT", "TLS 1.2"),
            ("SP_PROT_TLS1_3_CLIENT", "TLS 1.3"),
            ("SP_PROT_TLS1_0_CLIENT", "TLS 1.0"),
            ("8192", "TLS 1.3"),
            ("2048", "TLS 1.2"),
            ("512", "TLS 1.1"),
            ("128", "TLS 1.0"),
            ("SP_PROT_TLS9_CLIENT", "other"),
        ] {
            let row = row(word);
            assert!(is_success(row.as_bytes()));
            assert_eq!(protocol(row.as_bytes()).as_str(), protocol_name, "{word}");
        }
        assert!(!is_success(b"TLS protocol"));
    }

    #[test]
    fn failures_keep_a_clean_word() {
        for (text, word) in [
            (
                "TLS negotiation failed with error NoCredentials",
                "NoCredentials",
            ),
            (
                "TLS negotiation failed with error -2146893019",
                "-2146893019",
            ),
            ("TLS negotiation failed with error <script>", "other"),
            (
                "Outbound TLS authentication failed for auth level DomainValidation with error x",
                "AuthLevel",
            ),
        ] {
            assert!(is_failure(text.as_bytes()));
            assert_eq!(failure(text.as_bytes()), word);
        }
        let endless = format!("TLS negotiation failed with error {}", "A".repeat(5000));
        assert_eq!(failure(endless.as_bytes()).len(), MAX_ERROR_BYTES);
    }
}
