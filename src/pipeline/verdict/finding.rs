//! What a rule found, before it is put into words.

use crate::pipeline::expectation::InboundConnector;
use crate::pipeline::verdict::reason::ReasonCode;

/// What a rule found. The texts may hold anything that the log holds.
#[derive(Clone, Debug)]
pub(super) struct Finding<'a> {
    pub(super) code: ReasonCode,
    /// The inbound connector that it is about.
    pub(super) inbound: Option<&'a InboundConnector>,
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
            inbound: None,
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
}
