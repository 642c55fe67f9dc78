//! Certificates that stand ready on the servers, known from files rather than from the log.
//!
//! The log tells what was presented, with dates that are exact to ±14 h only. A certificate that stands in the
//! inventory as well has exact dates, and one that stands there without being presented tells what will be, or should
//! be already.
//!
//! [`reading`] reads the content of a file, [`decode`] one certificate, as it stands in an export.

pub mod decode;
pub mod problem;
pub mod reading;

mod algorithm;
mod format;
mod name;
mod oid;
mod pem;

use std::sync::Arc;

use crate::pipeline::certificate::Certificate;
use crate::pipeline::certificate::Thumbprint;

/// A certificate read from its DER encoding.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct InventoryCertificate {
    /// What the log would show of it, but exact: thumbprint always there, dates from the inventory, no gaps.
    pub certificate: Arc<Certificate>,
    /// SHA-256 fingerprint of the DER encoding.
    pub sha256: [u8; 32],
    /// Extended key usage (RFC 5280, 4.2.1.12); `None`: the extension is missing, so every purpose is allowed.
    pub extended_key_usage: Option<ExtendedKeyUsage>,
    /// Key algorithm and size, such as `RSA 2048` or `ECDSA P-256`; an OID in dotted form when unknown.
    pub key_algorithm: String,
    /// Signature algorithm, such as `SHA-256 with RSA`; an OID in dotted form when unknown.
    pub signature_algorithm: String,
    /// The server in whose store it is; `None`: not known (a file says nothing of it).
    pub server: Option<Arc<str>>,
    /// Where it was read from, for people: the file's name.
    pub origin: Arc<str>,
}

/// The purposes that matter here.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ExtendedKeyUsage {
    /// `id-kp-serverAuth`, or any purpose.
    pub server_auth: bool,
    /// `id-kp-clientAuth`, or any purpose.
    pub client_auth: bool,
}

/// All certificates that are known apart from the log.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Inventory {
    certificates: Vec<InventoryCertificate>,
}

impl Inventory {
    /// Keeps the certificates, ordered by thumbprint and server; the same one of the same server once.
    pub fn new(mut certificates: Vec<InventoryCertificate>) -> Self {
        certificates.sort_by(|a, b| key(a).cmp(&key(b)));
        certificates.dedup_by(|a, b| key(a) == key(b));
        Self { certificates }
    }

    /// All of them, ordered by thumbprint and server.
    pub fn certificates(&self) -> &[InventoryCertificate] {
        &self.certificates
    }

    /// The certificate with this thumbprint.
    pub fn find(&self, thumbprint: Thumbprint) -> Option<&InventoryCertificate> {
        self.certificates
            .iter()
            .find(|known| known.certificate.thumbprint == Some(thumbprint))
    }

    /// The certificate as the inventory knows it: with exact dates and without gaps; or as it is, if it stands in none.
    pub fn completed<'a>(&'a self, logged: &'a Arc<Certificate>) -> &'a Arc<Certificate> {
        let known = logged
            .thumbprint
            .and_then(|thumbprint| self.find(thumbprint));
        known.map_or(logged, |known| &known.certificate)
    }

    /// The certificates that may stand on a server: those of that server, and those of which nobody knows where they
    /// are. Names are compared without case, and a short name fits a full one.
    pub fn on_server<'a>(
        &'a self,
        server: &'a str,
    ) -> impl Iterator<Item = &'a InventoryCertificate> {
        self.certificates.iter().filter(move |known| {
            known
                .server
                .as_deref()
                .is_none_or(|owner| is_same_host(owner, server))
        })
    }
}

fn key(known: &InventoryCertificate) -> (Option<Thumbprint>, Option<&str>) {
    (known.certificate.thumbprint, known.server.as_deref())
}

/// Whether two names mean one server: the log directory may say `EX01`, the export `ex01.contoso.com`.
pub fn is_same_host(a: &str, b: &str) -> bool {
    if a.contains('.') && b.contains('.') {
        return a.eq_ignore_ascii_case(b);
    }
    let first = |name: &str| name.split('.').next().unwrap_or_default().to_owned();
    first(a).eq_ignore_ascii_case(&first(b))
}

#[cfg(test)]
mod tests {
    pub(in crate::pipeline::inventory) mod specimen;

    use super::*;

    #[test]
    fn a_short_name_means_the_full_one() {
        for (a, b, same) in [
            ("EX01", "ex01", true),
            ("EX01", "ex01.contoso.com", true),
            ("ex01.contoso.com", "EX01", true),
            ("ex01.contoso.com", "ex01.fabrikam.com", false),
            ("EX01", "EX02", false),
            ("EX0", "EX01", false),
        ] {
            assert_eq!(is_same_host(a, b), same, "{a} {b}");
        }
    }
}
