//! The reasons that a verdict can give, and what follows from each: one row each.
//!
//! A row is the only place that knows a reason's code, its weight and its alert. One reason belongs to exactly one
//! alert, so that one cause never calls twice under two names; a reason that only informs belongs to none.

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::pipeline::verdict::Verdict;

/// How urgent a reason is.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
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

macro_rules! alerts {
    ($($variant:ident: $headline:literal;)*) => {
        /// The alerts that reasons raise. Their names are the `alertname` label, here and in the rules for Prometheus.
        #[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
        pub enum AlertName {
            $(#[doc = concat!("In short: ", $headline, ".")] $variant,)*
        }

        impl AlertName {
            /// Every alert.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The `alertname` label.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => stringify!($variant),)*
                }
            }

            /// What it says in half a sentence, to stand behind the place where it holds.
            pub fn headline(self) -> &'static str {
                match self {
                    $(Self::$variant => $headline,)*
                }
            }

            /// The alert with this name, or `None`.
            pub fn from_name(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|it| it.as_str() == name)
            }
        }
    };
}

alerts! {
    ConnectorCertificateMismatch: "Exchange Online no longer recognises the certificate that is presented";
    ConnectorCertificateFragile: "mail still flows, but on something that may give way";
    ConnectorCertificateExpiring: "the presented certificate nears its end";
    ConnectorCertificateMissing: "no client certificate is presented";
    ConnectorRelayDenied: "Exchange Online refuses to relay";
    ConnectorEgressAddressMismatch: "Exchange Online sees an address that the connector does not expect";
    ConnectorTlsFailing: "TLS with Exchange Online fails";
    ConnectorSilent: "no session with Exchange Online for too long";
    ConnectorRenewalNotPresented: "a renewed certificate is there, but the old one is still presented";
    ConnectorNextCertificateWillNotMatch: "the certificate that is ready to be used next will not be recognised";
    ConnectorServersDisagree: "servers present different certificates";
    ConnectorVersionThrottled: "Exchange Online throttles or blocks mail because of the server's version";
    ConnectorCertificateChanged: "another certificate is presented than before";
    ExpectationStale: "what is expected could not be read anew";
    SourceUnreadable: "logs cannot be read";
    SourceLosingData: "parts of the logs were lost before they could be read";
    StateRecovered: "the state was damaged and has been rebuilt from the logs";
}

impl AlertName {
    /// Whether it tells of certdrift itself, and not of a connector.
    pub fn is_about_certdrift(self) -> bool {
        match self {
            Self::ExpectationStale
            | Self::SourceUnreadable
            | Self::SourceLosingData
            | Self::StateRecovered => true,
            Self::ConnectorCertificateMismatch
            | Self::ConnectorCertificateFragile
            | Self::ConnectorCertificateExpiring
            | Self::ConnectorCertificateMissing
            | Self::ConnectorRelayDenied
            | Self::ConnectorEgressAddressMismatch
            | Self::ConnectorTlsFailing
            | Self::ConnectorSilent
            | Self::ConnectorRenewalNotPresented
            | Self::ConnectorNextCertificateWillNotMatch
            | Self::ConnectorServersDisagree
            | Self::ConnectorVersionThrottled
            | Self::ConnectorCertificateChanged => false,
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
    /// It has held for the roll-out window (`alerts.rollout_window`).
    Window,
    /// A rule of its own, which the reason's meaning tells.
    Own,
}

impl Confirmation {
    /// The word in the documentation.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sessions => "sessions",
            Self::Clock => "clock",
            Self::Window => "window",
            Self::Own => "own",
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
    /// A rule of its own, which the reason's meaning tells.
    Own,
}

impl Resolve {
    /// The word in the documentation.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sessions => "sessions",
            Self::Clock => "clock",
            Self::Relay => "relay",
            Self::Own => "own",
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
const EXPIRING: Option<AlertName> = Some(AlertName::ConnectorCertificateExpiring);
const TLS: Option<AlertName> = Some(AlertName::ConnectorTlsFailing);
const SILENT: Option<AlertName> = Some(AlertName::ConnectorSilent);
const RENEWAL: Option<AlertName> = Some(AlertName::ConnectorRenewalNotPresented);
const NEXT: Option<AlertName> = Some(AlertName::ConnectorNextCertificateWillNotMatch);
const DISAGREE: Option<AlertName> = Some(AlertName::ConnectorServersDisagree);
const VERSION: Option<AlertName> = Some(AlertName::ConnectorVersionThrottled);
const CHANGED: Option<AlertName> = Some(AlertName::ConnectorCertificateChanged);
const STALE: Option<AlertName> = Some(AlertName::ExpectationStale);
const UNREADABLE: Option<AlertName> = Some(AlertName::SourceUnreadable);
const LOSING: Option<AlertName> = Some(AlertName::SourceLosingData);
const RECOVERED: Option<AlertName> = Some(AlertName::StateRecovered);

// N: the names of the certificate against one enabled OnPremises connector. A: what else decides about that connector
// or the certificate. P: pins. I: addresses. E: expiry. L: the server's own configuration and its renewals. W: planned
// renewals. C: changes. R: the replies. T, V, S: sessions that fail, or do not come. U: nothing to judge by. X, D: what
// certdrift itself needs.
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
    Expired:                     "A1",  "expired",                         Mismatch, Critical,    MISMATCH, Clock,    Sessions, "past the end of validity (14 h later for a logged date); information where the address decides";
    NotYetValid:                 "A1",  "not_yet_valid",                   Mismatch, Critical,    MISMATCH, Clock,    Clock,    "before the start of validity (14 h earlier for a logged date); information where the address decides";
    SelfSigned:                  "A2",  "self_signed",                     Mismatch, Critical,    MISMATCH, Sessions, Sessions, "issuer and subject are equal; information where the address decides";
    CertificateDomainNotAccepted:"A3, A4", "certificate_domain_not_accepted", Fragile,  Warning,     FRAGILE,  Sessions, Sessions, "value `h` or `*.d`, accepted domains known, and neither it nor (for `*.d`) a subdomain nor a parent is one of them";
    ParentDomainAccepted:        "A3, A4", "parent_domain_accepted",          Match,    Information, None,     Sessions, Sessions, "only a parent of the value's domain is an accepted domain";
    NotCrossPremises:            "A6",  "not_cross_premises",              Match,    Warning,     FRAGILE,  Sessions, Sessions, "`CloudServicesMailEnabled` is false on the connector that fits";
    PartnerOnly:                 "A7",  "partner_only",                    Mismatch, Critical,    MISMATCH, Sessions, Sessions, "only connectors of type Partner fit";
    NoEnabledConnector:          "A7",  "no_enabled_connector",            Mismatch, Critical,    MISMATCH, Sessions, Sessions, "no expected connector is enabled and of type OnPremises";
    EkuNoServerAuth:             "A8",  "eku_no_server_auth",              Fragile,  Warning,     FRAGILE,  Sessions, Sessions, "the certificate itself is known, and its extended key usage leaves out serverAuth";
    EkuNoClientAuth:             "A9",  "eku_no_client_auth",              Match,    Information, None,     Sessions, Sessions, "the certificate itself is known, and its extended key usage leaves out clientAuth";
    NotExported:                 "A12", "inbound_connector_not_exported",  Fragile,  Warning,     FRAGILE,  Sessions, Sessions, "the configuration names an inbound connector that the export of all does not hold, and none that it holds fits; information where the verdict is a mismatch anyway";
    Ambiguous:                   "A11", "ambiguous",                       Match,    Information, None,     Sessions, Sessions, "several enabled connectors fit";
    ThumbprintNotPinned:         "P1",  "thumbprint_not_pinned",           Mismatch, Critical,    MISMATCH, Sessions, Sessions, "thumbprints are pinned, the presented one is not among them";
    ThumbprintPinned:            "P1",  "thumbprint_pinned",               Match,    Information, None,     Sessions, Sessions, "the thumbprint is pinned, or planned for now";
    Ip:                          "I1",  "ip",                              Match,    Information, None,     Sessions, Sessions, "no connector has a certificate name; the address lies in `SenderIPAddresses`";
    FellBackToIp:                "I1",  "fell_back_to_ip",                 Fragile,  Warning,     FRAGILE,  Sessions, Sessions, "the certificate fits no connector; the address does";
    IpChanged:                   "I4",  "ip_changed",                      Mismatch, Critical,    EGRESS,   Sessions, Sessions, "the address lies outside all `SenderIPAddresses`";
    Ipv6Unsupported:             "I5",  "ipv6_unsupported",                Mismatch, Critical,    EGRESS,   Sessions, Sessions, "the address is IPv6, `SenderIPAddresses` holds IPv4 only";
    NoEgressSeen:                "I6",  "no_egress_seen",                  Unknown,  Information, None,     Sessions, Sessions, "the address decides, and no EHLO answer of Exchange Online has shown it yet";
    PresentedNotConfigured:      "L1",  "presented_not_configured",        Match,    Warning,     FRAGILE,  Sessions, Sessions, "subject or issuer differ from the send connector's `TlsCertificateName`";
    RenewalNotRolledOut:         "L2",  "renewal_not_rolled_out",          Match,    Warning,     RENEWAL,  Window,   Clock,    "the inventory holds a newer, valid, fitting certificate with a name in common that `TlsCertificateName` does not find; critical when the presented one nears its end";
    OldCertificateStillPresented:"L3",  "old_certificate_still_presented", Match,    Warning,     RENEWAL,  Window,   Clock,    "as before, but `TlsCertificateName` finds the newer one too; critical when the presented one nears its end";
    ServersDisagree:             "L4",  "servers_disagree",                Match,    Warning,     DISAGREE, Own,      Own,      "servers of one connector present different certificates with a name in common for longer than the roll-out window";
    NoCommonName:                "L6",  "no_common_name",                  Match,    Information, None,     Sessions, Sessions, "the subject has no CN";
    IssuerRotated:               "L8",  "issuer_rotated",                  Match,    Information, None,     Sessions, Sessions, "the certificate before this one had another issuer";
    NextCertificateWillNotMatch: "L9",  "next_certificate_will_not_match", Match,    Warning,     NEXT,     Clock,    Clock,    "the newest certificate of the inventory that has a name in common fits no connector";
    Expiring:                    "E1",  "expiring",                        Match,    Warning,     EXPIRING, Clock,    Sessions, "a third of the lifetime is left, or what `alerts.expiry` says; critical at a tenth, and at 3 days";
    RenewalPlanned:              "W1",  "renewal_planned",                 Match,    Information, None,     Clock,    Clock,    "inside the window of a planned renewal; L1 to L4 keep quiet";
    PlannedRenewalOverdue:       "W2",  "planned_renewal_overdue",         Match,    Warning,     RENEWAL,  Clock,    Clock,    "the window is over, and the planned certificate is not presented; critical when the presented one nears its end";
    CertificateChanged:          "C1",  "certificate_changed",             Match,    Information, CHANGED,  Sessions, Clock,    "another certificate than before, for 24 h";
    RejectedByExchangeOnline:    "R1",  "rejected_by_exchange_online",     Mismatch, Critical,    DENIED,   Sessions, Relay,    "an attribution rejection stands, whatever the rules above say";
    TlsFailing:                  "T1",  "tls_failing",                     Match,    Critical,    TLS,      Own,      Own,      "TLS failed in two sessions a minute apart or more, or mail went out without it though a certificate is expected, without a good one between them; until two good ones";
    VersionThrottled:            "V1",  "version_throttled",               Match,    Warning,     VERSION,  Own,      Own,      "replies of class version in two sessions; critical once the server was blocked (5.7.230); until a quiet period with traffic";
    Silent:                      "S1",  "silent",                          Match,    Warning,     SILENT,   Own,      Own,      "no session for `silent_after`, or for longer than the connector's own rhythm explains; until the next one; for a connector that has never been seen, `silent_after` alone counts, from when it is first looked for";
    LoggingOff:                  "S2",  "logging_off",                     Match,    Warning,     SILENT,   Own,      Own,      "the exported send connector says `ProtocolLoggingLevel` None, and no session has come for an hour, or none ever";
    CertificateIncomplete:       "U1",  "certificate_incomplete",          Unknown,  Information, None,     Sessions, Sessions, "the log shows only part of the certificate, and the rest could change the verdict";
    NotChecked:                  "U2",  "not_checked",                     Match,    Information, None,     Sessions, Sessions, "A2 or L1 could not be checked: the issuer is unknown or a DN cannot be read";
    ValueUnreadable:             "U3",  "value_unreadable",                Unknown,  Information, None,     Sessions, Sessions, "value `<I>…<S>…` whose DN cannot be read";
    NothingExpected:             "U4",  "nothing_expected",                Unknown,  Information, None,     Sessions, Sessions, "no inbound connector with a certificate name or an address is expected, and no pin";
    NoSessionSeen:               "U5",  "no_session_seen",                 Unknown,  Information, None,     Sessions, Sessions, "no TLS session of the connector has been seen yet";
    CertificateNameUnknown:      "U6",  "certificate_name_unknown",        Unknown,  Information, None,     Sessions, Sessions, "nothing fits, and the export of an enabled OnPremises connector leaves `TlsSenderCertificateName` out";
    ExportUnreadable:            "X1",  "export_unreadable",               Match,    Warning,     STALE,    Own,      Own,      "an export or inventory file cannot be read; the last good one stays in force";
    ExportOld:                   "X2",  "export_old",                      Match,    Warning,     STALE,    Own,      Own,      "an export was written more than 7 days ago";
    SourceUnreadable:            "D1",  "source_unreadable",               Match,    Warning,     UNREADABLE, Own,    Own,      "a source, a directory that its path means, or a file cannot be read for 5 minutes, such a directory is empty, or no file of a server holds a row";
    SourceLosingData:            "D2",  "source_losing_data",              Match,    Warning,     LOSING,   Own,      Own,      "rows were deleted, overwritten or damaged before they were read; for 24 h";
    StateRecovered:              "D3",  "state_recovered",                 Match,    Warning,     RECOVERED, Own,     Own,      "the database of the state was damaged and set aside; for 24 h";
}

impl Serialize for ReasonCode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for ReasonCode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let code = std::borrow::Cow::<str>::deserialize(deserializer)?;
        let unknown = || serde::de::Error::custom(format!("there is no reason {code}"));
        Self::from_code(&code).ok_or_else(unknown)
    }
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
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Reason {
    /// Which reason.
    pub code: ReasonCode,
    /// That of the code's row, raised when it becomes urgent, or [`Severity::Information`] when the operator accepts it.
    pub severity: Severity,
    /// Since when, if the reason itself tells: an expired certificate has been so since its end.
    pub since: Option<Timestamp>,
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
            // A change is told to whoever asks for information; nothing else that merely informs is told.
            let informs = row.severity == Severity::Information && row.alert != CHANGED;
            assert_eq!(row.alert.is_none(), informs, "{}", row.code);
            // Failing TLS keeps mail from flowing as well, but it is no verdict on the certificate.
            let breaks_mail = row.verdict == Verdict::Mismatch || row.alert == TLS;
            let critical = row.severity == Severity::Critical;
            assert_eq!(critical, breaks_mail, "{}", row.code);
            let is_fragile = row.verdict == Verdict::Fragile;
            assert!(!is_fragile || row.alert == FRAGILE, "{}", row.code);
        }
    }
}
