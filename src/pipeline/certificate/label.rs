//! What the `context` of an `*` row says the row is about.

use crate::pipeline::certificate::block::Field;
use crate::pipeline::tls;

/// What an `*` row is about, by its `context`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Label {
    /// Form A: the certificate that is being offered follows in rows of its own.
    OwnBlockStart,
    /// Form B or C: this row holds the certificate that is being offered.
    OwnRow,
    /// Form A: one value of the certificate whose block is open, be it ours or another's.
    BlockRow(Field),
    /// A certificate that is not the client certificate: the peer's, a smart host's, one of a direct trust.
    Foreign,
    /// TLS was negotiated.
    TlsSucceeded,
    /// TLS failed.
    TlsFailed,
    /// Nothing to do with certificates.
    Other,
}

const OWN: &[u8] = b"Sending certificate";
const FOREIGN: [&[u8]; 6] = [
    b"Remote certificate",
    b"Received certificate",
    b"DirectTrust certificate",
    b"SmartHost certificate",
    b"Secure domain certificate",
    b"Proxy target certificate",
];

/// Tells what an `*` row is about.
pub fn label(context: &[u8]) -> Label {
    match context {
        [b'S', b'e', b'n', ..] if context == OWN => Label::OwnBlockStart,
        [b'S', b'e', b'n', ..] if context.starts_with(OWN) => Label::OwnRow,
        [b'C', ..] => Field::of(context).map_or(Label::Other, Label::BlockRow),
        [b'T', ..] if tls::is_success(context) => Label::TlsSucceeded,
        [b'T' | b'O', ..] if tls::is_failure(context) => Label::TlsFailed,
        // Every session begins with one that starts with `Set`.
        [b'R' | b'D' | b'P', ..] | [b'S', b'm', ..] | [b'S', b'e', b'c', ..]
            if FOREIGN.iter().any(|prefix| context.starts_with(prefix)) =>
        {
            Label::Foreign
        }
        _ => Label::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_tell_ours_from_theirs() {
        for (context, expected) in [
            ("Sending certificate", Label::OwnBlockStart),
            (
                "Sending certificate Subject Issuer name Serial number Thumbprint Not before Not after Subject alternate names",
                Label::OwnRow,
            ),
            (
                "Sending certificate Certificate subject Certificate issuer name",
                Label::OwnRow,
            ),
            ("Remote certificate", Label::Foreign),
            ("Remote certificate Subject Issuer name", Label::Foreign),
            ("Received certificate", Label::Foreign),
            ("SmartHost certificate", Label::Foreign),
            ("Certificate thumbprint", Label::BlockRow(Field::Thumbprint)),
            (
                "TLS protocol SP_PROT_TLS1_2_CLIENT negotiation succeeded using x",
                Label::TlsSucceeded,
            ),
            (
                "TLS negotiation failed with error SocketError",
                Label::TlsFailed,
            ),
            ("Set Session Permissions", Label::Other),
            ("", Label::Other),
        ] {
            assert_eq!(label(context.as_bytes()), expected, "{context}");
        }
    }
}
