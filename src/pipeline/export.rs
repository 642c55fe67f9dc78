//! What Exchange itself says of its connectors, domains and certificates: the output of its cmdlets as JSON files.
//!
//! The types use Exchange's own property names so that an admin recognises them. A property that an export leaves out
//! is unknown, never false.

pub mod inbound;
pub mod send;

use crate::pipeline::export::inbound::InboundProperties;
use crate::pipeline::export::send::SendConnector;

/// Everything that is exported; `None`: not exported, or not readable yet.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Exports {
    /// `Get-InboundConnector` of Exchange Online; never empty.
    pub inbound_connectors: Option<Vec<InboundProperties>>,
    /// `Get-AcceptedDomain`: lower case, A-labels, in the order of the export; never empty.
    pub accepted_domains: Option<Vec<String>>,
    /// `Get-SendConnector`; empty where Exchange has none.
    pub send_connectors: Option<Vec<SendConnector>>,
}
