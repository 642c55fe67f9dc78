//! `Get-InboundConnector`: by what Exchange Online recognises an organisation.

use std::net::Ipv4Addr;

use serde_json::Value;

use serde::Serialize;

use crate::pipeline::export::object::Object;
use crate::pipeline::export::object::Wrong;
use crate::pipeline::export::object::quoted;

/// `ConnectorType` by word and number.
const CONNECTOR_TYPES: [(&str, &str, ConnectorType); 2] = [
    ("OnPremises", "1", ConnectorType::OnPremises),
    ("Partner", "2", ConnectorType::Partner),
];

/// What is known of an inbound connector, from an export or from the configuration. `None`: unknown.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct InboundProperties {
    /// `Name`.
    pub name: String,
    /// `Enabled`; a disabled connector matches nothing.
    pub enabled: Option<bool>,
    /// `ConnectorType`.
    pub connector_type: Option<ConnectorType>,
    /// `TlsSenderCertificateName`: a host, `*.domain` or `<I>issuer<S>subject`.
    pub tls_sender_certificate_name: Option<String>,
    /// Whether an export leaves `TlsSenderCertificateName` out: it may have one. Null says that it has none.
    pub certificate_name_unknown: bool,
    /// `SenderIPAddresses`: IPv4, single addresses or /24 to /32.
    pub sender_ip_addresses: Option<Vec<Ipv4Range>>,
    /// `CloudServicesMailEnabled`.
    pub cloud_services_mail_enabled: Option<bool>,
}

/// `ConnectorType` of an inbound connector.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ConnectorType {
    /// Mail of the organisation's own servers: the only type that attributes relayed mail.
    OnPremises,
    /// Mail of a partner organisation.
    Partner,
}

/// An IPv4 address range in CIDR form.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub struct Ipv4Range {
    network: Ipv4Addr,
    prefix: u8,
}

impl Ipv4Range {
    /// Reads `a.b.c.d` or `a.b.c.d/n` with n from 24 to 32, as Exchange Online accepts them.
    pub fn parse(text: &str) -> Option<Self> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, prefix.parse().ok()?),
            None => (text, 32),
        };
        let network = address.parse().ok()?;
        (24..=32)
            .contains(&prefix)
            .then_some(Self { network, prefix })
    }

    /// Whether the address lies in the range.
    pub fn contains(self, address: Ipv4Addr) -> bool {
        let mask = u32::MAX << (32 - u32::from(self.prefix));
        u32::from(address) & mask == u32::from(self.network) & mask
    }
}

impl std::fmt::Display for Ipv4Range {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.prefix == 32 {
            write!(f, "{}", self.network)
        } else {
            write!(f, "{}/{}", self.network, self.prefix)
        }
    }
}

pub(super) fn read(object: &Object) -> Result<InboundProperties, Wrong> {
    let name = object.name()?;
    if !object.has("TlsSenderCertificateName") && !object.has("SenderIPAddresses") {
        return Err("has neither TlsSenderCertificateName nor SenderIPAddresses".into());
    }
    let connector_type = object
        .word("ConnectorType", &CONNECTOR_TYPES)
        .map_err(|word| format!("ConnectorType is {word}, neither OnPremises nor Partner"))?;
    Ok(InboundProperties {
        name,
        enabled: object.flag("Enabled")?,
        connector_type,
        tls_sender_certificate_name: certificate_name(object)?,
        certificate_name_unknown: !object.has("TlsSenderCertificateName"),
        sender_ip_addresses: addresses(object)?,
        cloud_services_mail_enabled: object.flag("CloudServicesMailEnabled")?,
    })
}

/// Without a name the addresses alone would decide, so one that is there but not understood is no trifle.
fn certificate_name(object: &Object) -> Result<Option<String>, Wrong> {
    const NAME: &str = "TlsSenderCertificateName";
    let name = object.certificate_name(NAME)?;
    let is_blank = |value: &Value| value.as_str().is_some_and(|text| text.trim().is_empty());
    match object.get(NAME) {
        Some(value) if name.is_none() && !is_blank(value) => {
            Err(format!("{NAME} is cut off").into())
        }
        _ => Ok(name),
    }
}

/// An address that is there but not understood would make a mismatch of a connector that fits.
fn addresses(object: &Object) -> Result<Option<Vec<Ipv4Range>>, Wrong> {
    const NAME: &str = "SenderIPAddresses";
    let Some(texts) = object.texts(NAME)? else {
        return match object.get(NAME) {
            Some(_) => Err(format!("{NAME} is cut off").into()),
            None => Ok(None),
        };
    };
    let range = |text: &String| {
        Ipv4Range::parse(text).ok_or_else(|| {
            let text = quoted(text);
            format!("{NAME} holds {text}, which is no IPv4 address or range from /24 to /32").into()
        })
    };
    texts.iter().map(range).collect::<Result<_, _>>().map(Some)
}
