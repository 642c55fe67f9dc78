//! What to do at each alert: the pages of `deploy/runbooks`, which certdrift carries with it and serves itself, so that the
//! link in a message works in the night and without the internet.

use crate::pipeline::verdict::reason::AlertName;

/// Where the pages are served; the name of the alert follows.
pub const PATH: &str = "/runbooks/";

/// What the pages have in common and link to, in Markdown, each with the name under which it is served.
pub const COMMON: [(&str, &str); 2] = [
    (INDEX, include_str!("../../deploy/runbooks/README.md")),
    ("smb.md", include_str!("../../deploy/smb.md")),
];

/// The name of the page that lists the others.
pub const INDEX: &str = "README.md";

/// The page of this name, in Markdown. The pages link to each other as files.
pub fn find(name: &str) -> Option<&'static str> {
    if let Some((_, text)) = COMMON.iter().find(|(common, _)| *common == name) {
        return Some(text);
    }
    AlertName::from_name(name.strip_suffix(".md").unwrap_or(name)).map(page)
}

/// The page of an alert, in Markdown.
pub fn page(name: AlertName) -> &'static str {
    match name {
        AlertName::ConnectorCertificateChanged => {
            include_str!("../../deploy/runbooks/ConnectorCertificateChanged.md")
        }
        AlertName::ConnectorCertificateExpiring => {
            include_str!("../../deploy/runbooks/ConnectorCertificateExpiring.md")
        }
        AlertName::ConnectorCertificateFragile => {
            include_str!("../../deploy/runbooks/ConnectorCertificateFragile.md")
        }
        AlertName::ConnectorCertificateMismatch => {
            include_str!("../../deploy/runbooks/ConnectorCertificateMismatch.md")
        }
        AlertName::ConnectorCertificateMissing => {
            include_str!("../../deploy/runbooks/ConnectorCertificateMissing.md")
        }
        AlertName::ConnectorEgressAddressMismatch => {
            include_str!("../../deploy/runbooks/ConnectorEgressAddressMismatch.md")
        }
        AlertName::ConnectorNextCertificateWillNotMatch => {
            include_str!("../../deploy/runbooks/ConnectorNextCertificateWillNotMatch.md")
        }
        AlertName::ConnectorRelayDenied => {
            include_str!("../../deploy/runbooks/ConnectorRelayDenied.md")
        }
        AlertName::ConnectorRenewalNotPresented => {
            include_str!("../../deploy/runbooks/ConnectorRenewalNotPresented.md")
        }
        AlertName::ConnectorServersDisagree => {
            include_str!("../../deploy/runbooks/ConnectorServersDisagree.md")
        }
        AlertName::ConnectorSilent => include_str!("../../deploy/runbooks/ConnectorSilent.md"),
        AlertName::ConnectorTlsFailing => {
            include_str!("../../deploy/runbooks/ConnectorTlsFailing.md")
        }
        AlertName::ConnectorVersionThrottled => {
            include_str!("../../deploy/runbooks/ConnectorVersionThrottled.md")
        }
        AlertName::ExpectationStale => include_str!("../../deploy/runbooks/ExpectationStale.md"),
        AlertName::SourceLosingData => include_str!("../../deploy/runbooks/SourceLosingData.md"),
        AlertName::SourceUnreadable => include_str!("../../deploy/runbooks/SourceUnreadable.md"),
        AlertName::StateRecovered => include_str!("../../deploy/runbooks/StateRecovered.md"),
    }
}

/// The address of an alert's page. `external_url` is where people reach this certdrift.
pub fn url(external_url: &str, name: AlertName) -> String {
    format!(
        "{}{PATH}{}",
        external_url.trim_end_matches('/'),
        name.as_str()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_page_is_headed_by_its_alert() {
        for name in AlertName::ALL {
            let head = format!("# {}", name.as_str());
            assert!(page(*name).starts_with(&head), "{}", name.as_str());
        }
    }

    #[test]
    fn the_address_has_one_slash_between() {
        for base in ["http://certdrift:10056", "http://certdrift:10056/"] {
            assert_eq!(
                url(base, AlertName::ConnectorSilent),
                "http://certdrift:10056/runbooks/ConnectorSilent"
            );
        }
    }
}
