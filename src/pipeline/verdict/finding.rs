//! What a rule found, before it is put into words.

use jiff::Timestamp;

use crate::pipeline::certificate::Thumbprint;
use crate::pipeline::expectation::InboundConnector;
use crate::pipeline::verdict::reason::ReasonCode;
use crate::pipeline::verdict::reason::Severity;

/// What a rule found. The texts may hold anything that the log holds.
#[derive(Clone, Debug)]
pub(super) struct Finding<'a> {
    pub(super) code: ReasonCode,
    /// At least so urgent; the code's own severity is the other bound.
    pub(super) severity: Severity,
    /// Whether it does no harm here, whatever the code weighs elsewhere.
    pub(super) is_harmless: bool,
    /// Whether it is about mail with the null sender alone.
    pub(super) only_null_sender: bool,
    /// Since when, if the rule can tell.
    pub(super) since: Option<Timestamp>,
    /// The inbound connector that it is about.
    pub(super) inbound: Option<&'a InboundConnector>,
    /// The certificate that should be presented instead.
    pub(super) instead: Option<Thumbprint>,
    pub(super) expected: String,
    pub(super) observed: String,
}

impl<'a> Finding<'a> {
    pub(super) fn new(
        code: ReasonCode,
        expected: impl Into<String>,
        observed: impl Into<String>,
    ) -> Self {
        Self {
            code,
            severity: Severity::Information,
            is_harmless: false,
            only_null_sender: false,
            since: None,
            inbound: None,
            instead: None,
            expected: expected.into(),
            observed: observed.into(),
        }
    }

    /// The same finding about an inbound connector.
    pub(super) fn about(self, inbound: &'a InboundConnector) -> Self {
        Self {
            inbound: Some(inbound),
            ..self
        }
    }

    /// The same finding, true since then.
    pub(super) fn since(self, since: Timestamp) -> Self {
        Self {
            since: Some(since),
            ..self
        }
    }

    /// The same finding, mended by presenting this certificate.
    pub(super) fn instead(self, thumbprint: Option<Thumbprint>) -> Self {
        Self {
            instead: thumbprint,
            ..self
        }
    }

    /// The same finding, at least so urgent.
    pub(super) fn at_least(self, severity: Severity) -> Self {
        Self {
            severity: self.severity.max(severity),
            ..self
        }
    }
}
