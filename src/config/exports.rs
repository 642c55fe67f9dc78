//! `exports:` and `inventory:` files in which Exchange itself says what is expected and what stands ready.

use std::path::{Path, PathBuf};

use serde_yaml::Spanned;

use crate::config::keys::Key;
use crate::config::paths::{PathPattern, Paths};
use crate::config::problem::Problems;
use crate::config::typed;
use crate::pipeline::export::Kind;

/// Where the exports are; `None`: there is none.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ExportFiles {
    /// `Get-InboundConnector`, of Exchange Online.
    pub inbound_connectors: Option<PathBuf>,
    /// `Get-AcceptedDomain`, of Exchange Online.
    pub accepted_domains: Option<PathBuf>,
    /// `Get-SendConnector`.
    pub send_connectors: Option<PathBuf>,
    /// `Get-ExchangeCertificate`.
    pub certificates: Option<PathBuf>,
}

impl ExportFiles {
    /// The file of one export.
    pub fn file(&self, kind: Kind) -> Option<&Path> {
        let file = match kind {
            Kind::InboundConnectors => &self.inbound_connectors,
            Kind::AcceptedDomains => &self.accepted_domains,
            Kind::SendConnectors => &self.send_connectors,
            Kind::Certificates => &self.certificates,
        };
        file.as_deref()
    }
}

/// What `exports:` means; it may be left out.
pub(super) fn read(
    typed: Option<&Spanned<typed::Exports>>,
    paths: Paths<'_>,
    problems: &mut Problems,
) -> ExportFiles {
    let Some(Spanned {
        value: typed,
        referenced,
        ..
    }) = typed
    else {
        return ExportFiles::default();
    };
    let key = Key::default().child("exports");
    let keys = [
        ("inbound_connectors", &typed.inbound_connectors),
        ("accepted_domains", &typed.accepted_domains),
        ("send_connectors", &typed.send_connectors),
        ("certificates", &typed.certificates),
    ];
    if keys.iter().all(|(_, file)| file.is_none()) {
        problems.add(&key, *referenced, "names no file");
    }
    let mut named: Vec<PathBuf> = Vec::new();
    let [
        inbound_connectors,
        accepted_domains,
        send_connectors,
        certificates,
    ] = keys.map(|(name, file)| {
        let key = key.child(name);
        let path = problems.text(&key, file.as_ref(), |text| paths.file(text))?;
        if let Some(file) = file
            && named.contains(&path)
        {
            let wrong = "is the file of another export; each cmdlet has its own";
            problems.add(&key, file.referenced, wrong);
        }
        named.push(path.clone());
        Some(path)
    });
    ExportFiles {
        inbound_connectors,
        accepted_domains,
        send_connectors,
        certificates,
    }
}

/// What `inventory:` means; it may be left out. `{server}` in a path names the server that holds the certificate.
pub(super) fn inventory(
    typed: Option<&Vec<Spanned<String>>>,
    paths: Paths<'_>,
    problems: &mut Problems,
) -> Vec<PathPattern> {
    problems.list(
        &Key::default().child("inventory"),
        typed,
        |problems, key, typed| problems.text(&key, typed, |text| paths.directory(text)),
    )
}
