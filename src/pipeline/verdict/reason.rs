//! The reasons that a verdict can give, and what follows from each: one row each.
//!
//! A row is the only place that knows a reason's code, its weight and its alert. One reason belongs to exactly one
//! alert, so that one cause never calls twice under two names; a reason that only informs belongs to none.

use crate::pipeline::verdict::Verdict;

/// How urgent a reason is.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Severity {
    /// Shown, never sent.
    Information,
    /// Mail flows, but on something that may give way.
    Warning,
    /// Mail bounces or arrives as anonymous.
    Critical,
}

impl Severity {
    /// The word in JSON, labels and configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Information => "information",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

/// The alerts that reasons of a verdict raise.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum AlertName {
    /// The presented certificate is not one by which Exchange Online recognises the organisation.
    ConnectorCertificateMismatch,
    /// Mail flows, but nobody promises that it goes on doing so.
    ConnectorCertificateFragile,
    /// STARTTLS without any client certificate.
    ConnectorCertificateMissing,
    /// Exchange Online said so itself.
    ConnectorRelayDenied,
    /// The address that Exchange Online sees is not one that it expects.
    ConnectorEgressAddressMismatch,
}

impl AlertName {
    /// The `alertname` label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ConnectorCertificateMismatch => "ConnectorCertificateMismatch",
            Self::ConnectorCertificateFragile => "ConnectorCertificateFragile",
            Self::ConnectorCertificateMissing => "ConnectorCertificateMissing",
            Self::ConnectorRelayDenied => "ConnectorRelayDenied",
            Self::ConnectorEgressAddressMismatch => "ConnectorEgressAddressMismatch",
        }
    }
}

/// What it takes until a reason counts as confirmed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Confirmation {
    /// Two sessions that show it, or one that stays the only one for 60 s.
    Sessions,
    /// The clock alone: at once, for a certificate that is confirmed itself.
    Clock,
}

impl Confirmation {
    /// The word in the documentation.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sessions => "sessions",
            Self::Clock => "clock",
        }
    }
}

/// What it takes until a confirmed reason counts as gone.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Resolve {
    /// Two sessions that no longer show it.
    Sessions,
    /// The clock, or two sessions that no longer show it.
    Clock,
    /// Another certificate or expectation, a `250` to a recipient outside the accepted domains, or a quiet period
    /// with traffic. A `250` alone proves nothing: recipients hosted in the tenant always get one.
    Relay,
}

impl Resolve {
    /// The word in the documentation.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sessions => "sessions",
            Self::Clock => "clock",
            Self::Relay => "relay",
        }
    }
}

/// What follows from a reason.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// The rule that gives the reason.
    pub rule: &'static str,
    /// The reason code in JSON, labels and configuration.
    pub code: &'static str,
    /// The verdict that the reason alone leads to.
    pub verdict: Verdict,
    /// How urgent it is.
    pub severity: Severity,
    /// The one alert that it belongs to.
    pub alert: Option<AlertName>,
    /// When it counts.
    pub confirmation: Confirmation,
    /// When it ends.
    pub resolve: Resolve,
    /// When the reason is given, in half a sentence.
    pub meaning: &'static str,
}

macro_rules! reasons {
    ($($variant:ident: $rule:literal, $code:literal, $verdict:ident, $severity:ident, $alert:expr, $confirmation:ident, $resolve:ident, $meaning:literal;)*) => {
        /// Why a verdict is what it is. The order is that of the rules.
        #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
        pub enum ReasonCode {
            $(#[doc = concat!($rule, ": ", $meaning, ".")] $variant,)*
        }

        impl ReasonCode {
            /// Every reason code, in the order of the rules.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];
        }

        const ROWS: &[Row] = &[$(Row {
            rule: $rule,
            code: $code,
            verdict: Verdict::$verdict,
            severity: Severity::$severity,
            alert: $alert,
            confirmation: Confirmation::$confirmation,
            resolve: Resolve::$resolve,
            meaning: $meaning,
        },)*];
    };
}

const MISMATCH: Option<AlertName> = Some(AlertName::ConnectorCertificateMismatch);
const FRAGILE: Option<AlertName> = Some(AlertName::ConnectorCertificateFragile);
const MISSING: Option<AlertName> = Some(AlertName::ConnectorCertificateMissing);
const DENIED: Option<AlertName> = Some(AlertName::ConnectorRelayDenied);
const EGRESS: Option<AlertName> = Some(AlertName::ConnectorEgressAddressMismatch);

// N: the names of the certificate against one enabled OnPremises connector. A: what else decides about that connector
// or the certificate. P: pins. I: addresses. L: the server's own configuration. R: the replies. U: nothing to judge by.
reasons! {
    Exact:                       "N1",  "exact",                           Match,    Information, None,     Sessions, Sessions, "the connector value is a name of the certificate";
    WildcardValue:               "N2",  "wildcard_value",                  Match,    Information, None,     Sessions, Sessions, "value `*.d`, certificate name one label below `d`";
    WildcardBoth:                "N3",  "wildcard_both",                   Match,    Information, None,     Sessions, Sessions, "value and certificate name are the same wildcard";
    BareDomain:                  "N4",  "bare_domain",                     Fragile,  Warning,     FRAGILE,  Sessions, Sessions, "value `*.d`, certificate name `d`";
    MultiLabel:                  "N5",  "multi_label",                     Fragile,  Warning,     FRAGILE,  Sessions, Sessions, "value `*.d`, certificate name more than one label below `d`";
    WildcardCertificate:         "N6",  "wildcard_certificate",            Fragile,  Warning,     FRAGILE,  Sessions, Sessions, "value `x.d`, certificate name `*.d`";
    WildcardCertificateBare:     "N7",  "wildcard_certificate_bare",       Fragile,  Warning,     FRAGILE,  Sessions, Sessions, "value `d`, certificate name `*.d`";
    SubdomainNotCovered:         "N8",  "subdomain_not_covered",           Mismatch, Critical,    MISMATCH, Sessions, Sessions, "value `d`, certificate names only below `d`";
    X500:                        "N9",  "x500",                            Match,    Information, None,     Sessions, Sessions, "value `<I>…<S>…`, subject (and issuer, if given) equal";
    IssuerChanged:               "N10", "issuer_changed",                  Mismatch, Critical,    MISMATCH, Sessions, Sessions, "value `<I>…<S>…`, subject equal, issuer not";
    IpOnly:                      "N11", "ip_only",                         Match,    Information, None,     Sessions, Sessions, "no connector has a certificate name; the address decides";
    NameMismatch:                "N12", "name_mismatch",                   Mismatch, Critical,    MISMATCH, Sessions, Sessions, "no name of the certificate fits any connector";
    NoClientCertificate:         "N13", "no_client_certificate",           Mismatch, Critical,    MISSING,  Sessions, Sessions, "STARTTLS without a client certificate";
    Expired:                     "A1",  "expired",                         Mismatch, Critical,    MISMATCH, Clock,    Sessions, "past the end of validity (14 h later for a logged date)";
    NotYetValid:                 "A1",  "not_yet_valid",                   Mismatch, Critical,    MISMATCH, Clock,    Clock,    "before the start of validity (14 h earlier for a logged date)";
    SelfSigned:                  "A2",  "self_signed",                     Mismatch, Critical,    MISMATCH, Sessions, Sessions, "issuer and subject are equal";
    CertificateDomainNotAccepted:"A3, A4", "certificate_domain_not_accepted", Fragile,  Warning,     FRAGILE,  Sessions, Sessions, "value `h` or `*.d`, accepted domains known, and neither it nor (for `*.d`) a subdomain nor a parent is one of them";
    ParentDomainAccepted:        "A3, A4", "parent_domain_accepted",          Match,    Information, None,     Sessions, Sessions, "only a parent of the value's domain is an accepted domain";
    NotCrossPremises:            "A6",  "not_cross_premises",              Match,    Warning,     FRAGILE,  Sessions, Sessions, "`CloudServicesMailEnabled` is false on the connector that fits";
    PartnerOnly:                 "A7",  "partner_only",                    Mismatch, Critical,    MISMATCH, Sessions, Sessions, "only connectors of type Partner fit";
    NoEnabledConnector:          "A7",  "no_enabled_connector",            Mismatch, Critical,    MISMATCH, Sessions, Sessions, "no expected connector is enabled and of type OnPremises";
    Ambiguous:                   "A11", "ambiguous",                       Match,    Information, None,     Sessions, Sessions, "several enabled connectors fit";
    ThumbprintNotPinned:         "P1",  "thumbprint_not_pinned",           Mismatch, Critical,    MISMATCH, Sessions, Sessions, "thumbprints are pinned, the presented one is not among them";
    ThumbprintPinned:            "P1",  "thumbprint_pinned",               Match,    Information, None,     Sessions, Sessions, "the thumbprint is pinned, or planned for now";
    Ip:                          "I1",  "ip",                              Match,    Information, None,     Sessions, Sessions, "no connector has a certificate name; the address lies in `SenderIPAddresses`";
    FellBackToIp:                "I1",  "fell_back_to_ip",                 Fragile,  Warning,     FRAGILE,  Sessions, Sessions, "the certificate fits no connector; the address does";
    IpChanged:                   "I4",  "ip_changed",                      Mismatch, Critical,    EGRESS,   Sessions, Sessions, "the address lies outside all `SenderIPAddresses`";
    Ipv6Unsupported:             "I5",  "ipv6_unsupported",                Mismatch, Critical,    EGRESS,   Sessions, Sessions, "the address is IPv6, `SenderIPAddresses` holds IPv4 only";
    NoEgressSeen:                "I6",  "no_egress_seen",                  Unknown,  Information, None,     Sessions, Sessions, "the address decides, and no EHLO answer of Exchange Online has shown it yet";
    PresentedNotConfigured:      "L1",  "presented_not_configured",        Match,    Warning,     FRAGILE,  Sessions, Sessions, "subject or issuer differ from the send connector's `TlsCertificateName`";
    NoCommonName:                "L6",  "no_common_name",                  Match,    Information, None,     Sessions, Sessions, "the subject has no CN";
    RejectedByExchangeOnline:    "R1",  "rejected_by_exchange_online",     Mismatch, Critical,    DENIED,   Sessions, Relay,    "an attribution rejection stands, whatever the rules above say";
    CertificateIncomplete:       "U1",  "certificate_incomplete",          Unknown,  Information, None,     Sessions, Sessions, "the log shows only part of the certificate, and the rest could change the verdict";
    NotChecked:                  "U2",  "not_checked",                     Match,    Information, None,     Sessions, Sessions, "A2 or L1 could not be checked: the issuer is unknown or a DN cannot be read";
    ValueUnreadable:             "U3",  "value_unreadable",                Unknown,  Information, None,     Sessions, Sessions, "value `<I>…<S>…` whose DN cannot be read";
    NothingExpected:             "U4",  "nothing_expected",                Unknown,  Information, None,     Sessions, Sessions, "no inbound connector with a certificate name or an address is expected, and no pin";
    NoSessionSeen:               "U5",  "no_session_seen",                 Unknown,  Information, None,     Sessions, Sessions, "no TLS session of the connector has been seen yet";
}

impl ReasonCode {
    /// What follows from the reason.
    pub fn row(self) -> &'static Row {
        &ROWS[self as usize]
    }

    /// The code in JSON, labels and configuration.
    pub fn as_str(self) -> &'static str {
        self.row().code
    }

    /// The reason with this code, or `None`.
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|it| it.as_str() == code)
    }

    /// Whether `accept` may name it: only what merely warns can be accepted, never what breaks mail.
    pub fn is_acceptable(self) -> bool {
        self.row().severity == Severity::Warning
    }
}

/// One reason of a verdict, ready to be shown.
///
/// The texts are free of control and direction characters, and values in them are capped in length.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Reason {
    /// Which reason.
    pub code: ReasonCode,
    /// That of the code's row, or [`Severity::Information`] when the operator accepts it.
    pub severity: Severity,
    /// What was expected; only what differs.
    pub expected: String,
    /// What was observed instead.
    pub observed: String,
    /// What is wrong, and what it does to the mail: up to three sentences.
    pub message: String,
    /// PowerShell to paste: at most one command, then alternatives as comments. Empty: nothing to do.
    pub action: String,
}

impl Reason {
    /// Whether the configuration accepts it: shown, but it neither changes the verdict nor alerts.
    pub fn is_accepted(&self) -> bool {
        self.severity < self.code.row().severity
    }

    /// The verdict that this reason alone leads to.
    pub fn verdict(&self) -> Verdict {
        if self.is_accepted() {
            Verdict::Match
        } else {
            self.code.row().verdict
        }
    }

    /// The alert that it raises; `None` when it only informs or is accepted.
    pub fn alert(&self) -> Option<AlertName> {
        self.code.row().alert.filter(|_| !self.is_accepted())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_belongs_to_its_code_and_codes_are_distinct() {
        assert_eq!(ReasonCode::ALL.len(), ROWS.len());
        for (index, code) in ReasonCode::ALL.iter().enumerate() {
            assert_eq!(*code as usize, index);
            assert_eq!(ReasonCode::from_code(code.as_str()), Some(*code));
        }
        assert_eq!(ReasonCode::from_code("exactly"), None);
    }

    #[test]
    fn severity_verdict_and_alert_of_a_row_agree() {
        for row in ROWS {
            let informs = row.severity == Severity::Information;
            assert_eq!(row.alert.is_none(), informs, "{}", row.code);
            let breaks_mail = row.verdict == Verdict::Mismatch;
            let critical = row.severity == Severity::Critical;
            assert_eq!(critical, breaks_mail, "{}", row.code);
            let is_fragile = row.verdict == Verdict::Fragile;
            assert!(!is_fragile || row.alert == FRAGILE, "{}", row.code);
        }
    }
}
