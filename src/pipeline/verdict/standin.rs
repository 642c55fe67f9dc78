//! Stand-ins for what `certificate` and `certificate::dn` will offer; to be deleted once they do.

use crate::pipeline::certificate::Certificate;

/// The methods of `Certificate` that the verdict uses.
pub(super) trait StandIn {
    fn presented_names(&self) -> Vec<String>;
    fn common_name(&self) -> Option<String>;
}

impl StandIn for Certificate {
    fn presented_names(&self) -> Vec<String> {
        let common_name = self.common_name().filter(|name| name.contains('.'));
        let mut names: Vec<String> = Vec::new();
        for name in common_name.iter().chain(&self.names) {
            let lower = name.to_lowercase();
            let trimmed = lower.trim_end_matches('.');
            let name = idna::domain_to_ascii(trimmed).unwrap_or_else(|_| trimmed.to_owned());
            if !name.contains(' ') && !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }

    fn common_name(&self) -> Option<String> {
        let subject = DistinguishedName::parse(&self.subject)?;
        let (_, name) = subject.0.into_iter().find(|(kind, _)| kind == "CN")?;
        Some(name)
    }
}

/// A distinguished name as a list of attributes.
#[derive(Debug)]
pub(super) struct DistinguishedName(Vec<(String, String)>);

impl DistinguishedName {
    pub(super) fn parse(text: &str) -> Option<Self> {
        text.split(',')
            .map(|part| {
                let (kind, value) = part.split_once('=')?;
                let kind = kind.trim().to_uppercase();
                (!kind.is_empty()).then(|| (kind, value.trim().to_owned()))
            })
            .collect::<Option<Vec<_>>>()
            .map(Self)
    }

    pub(super) fn same_name(&self, other: &Self) -> bool {
        let folded = |name: &Self| -> Vec<(String, String)> {
            let parts = name.0.iter();
            parts
                .map(|(kind, value)| (kind.clone(), value.to_lowercase()))
                .collect()
        };
        folded(self) == folded(other)
    }
}

/// Splits `<I>issuer<S>subject`; the issuer is optional, the tags come in any case.
pub(super) fn issuer_subject(text: &str) -> Option<(Option<&str>, &str)> {
    let lower = text.to_ascii_lowercase();
    let subject = lower.find("<s>")?;
    let issuer = lower.find("<i>").filter(|at| *at < subject);
    Some((
        issuer.map(|at| &text[at + 3..subject]),
        &text[subject + 3..],
    ))
}
