//! The story that `certdrift demo` tells, as data: what the made-up servers do in each chapter, and which messages must
//! have come before the next one begins.

/// A chapter.
pub(super) struct Chapter {
    /// What happens, for whoever watches; in lines that fit a terminal.
    pub(super) tells: &'static str,
    /// What each server does from now on.
    pub(super) servers: [Server; 2],
    /// The messages that come of it, in any order: alert, server, `firing` or `resolved`.
    pub(super) messages: &'static [(&'static str, &'static str, &'static str)],
}

/// A server of the organisation.
#[derive(Clone, Copy)]
pub(super) struct Server {
    pub(super) name: &'static str,
    pub(super) presents: &'static Certificate,
    /// Whether Exchange Online refuses to relay what it sends.
    pub(super) is_denied: bool,
}

/// A certificate as Exchange logs it.
pub(super) struct Certificate {
    pub(super) subject: &'static str,
    pub(super) serial: &'static str,
    pub(super) thumbprint: &'static str,
    pub(super) names: &'static str,
    /// Start and end of its validity, in days from now.
    pub(super) valid_days: [i64; 2],
}

/// The name of the send connector.
pub(super) const CONNECTOR: &str = "Outbound to Office 365";
/// Who signed all of them.
pub(super) const ISSUER: &str = "CN=Fabrikam TLS Issuing CA 2, O=Fabrikam Trust Services, C=US";

const OLD: Certificate = Certificate {
    subject: "CN=mail.contoso.com, O=Contoso, L=London, C=GB",
    serial: "0A5F1C2D3E4B5A69788796A5B4C3D2E1",
    thumbprint: "3F2504E04F8941D39A0C0305E82C3301A1B2C3D4",
    names: "mail.contoso.com;autodiscover.contoso.com",
    valid_days: [-50, 40],
};
const RENEWED: Certificate = Certificate {
    subject: "CN=mail.contoso.com, O=Contoso, L=London, C=GB",
    serial: "0C9D3E4F5A6B7C8D9E0F1A2B3C4D5E6F",
    thumbprint: "9B0E2A6F14C75D388A1B90C2D3E4F5061728394A",
    names: "mail.contoso.com;autodiscover.contoso.com",
    valid_days: [-1, 89],
};
const WRONG: Certificate = Certificate {
    subject: "CN=owa.contoso.com, O=Contoso, L=London, C=GB",
    serial: "0B7E2D3C4B5A69788796A5B4C3D2E1F0",
    thumbprint: "4C7F5DBAE0FBF2AA0679CCC14FB7700949A7C929",
    names: "owa.contoso.com;www.contoso.com",
    valid_days: [-1, 89],
};

/// How many hours the servers have been at work before the story begins.
pub(super) const HOURS_BEFORE: i64 = 6;

/// The story. It begins with what has always been so.
pub(super) const CHAPTERS: [Chapter; 5] = [
    Chapter {
        tells: "EX01 and EX02 relay mail through Exchange Online. Both present the certificate of\n\
                mail.contoso.com, which is the name that the inbound connector expects. All is well.\n\
                certdrift reads the six hours of logs that are there, and follows what is written now.",
        servers: [server("EX01", &OLD), server("EX02", &OLD)],
        messages: &[],
    },
    Chapter {
        tells: "EX01 gets a renewed certificate with the same name. Exchange Online recognises it as\n\
                before: this is worth knowing, but nobody has to get up.",
        servers: [server("EX01", &RENEWED), server("EX02", &OLD)],
        messages: &[("ConnectorCertificateChanged", "EX01", "firing")],
    },
    Chapter {
        tells: "On EX02 somebody picks the wrong certificate, that of owa.contoso.com. Mail still\n\
                leaves, but Exchange Online no longer knows whose it is.",
        servers: [server("EX01", &RENEWED), server("EX02", &WRONG)],
        messages: &[
            ("ConnectorCertificateMismatch", "EX02", "firing"),
            ("ConnectorCertificateChanged", "EX02", "firing"),
        ],
    },
    Chapter {
        tells: "Exchange Online begins to refuse what EX02 sends to other organisations.",
        servers: [
            server("EX01", &RENEWED),
            Server {
                is_denied: true,
                ..server("EX02", &WRONG)
            },
        ],
        messages: &[("ConnectorRelayDenied", "EX02", "firing")],
    },
    Chapter {
        tells: "EX02 gets the renewed certificate of mail.contoso.com, too.",
        servers: [server("EX01", &RENEWED), server("EX02", &RENEWED)],
        messages: &[
            ("ConnectorCertificateMismatch", "EX02", "resolved"),
            ("ConnectorRelayDenied", "EX02", "resolved"),
        ],
    },
];

const fn server(name: &'static str, presents: &'static Certificate) -> Server {
    Server {
        name,
        presents,
        is_denied: false,
    }
}
