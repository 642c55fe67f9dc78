//! `Get-SendConnector`: how Exchange presents itself.

use crate::pipeline::export::object::Object;
use crate::pipeline::export::object::Wrong;
use crate::pipeline::reply;

/// `ProtocolLoggingLevel` by word and number: whether it is `Verbose`.
const LOGGING_LEVELS: [(&str, &str, bool); 2] = [("None", "0", false), ("Verbose", "1", true)];
/// `TlsAuthLevel` by word and number.
const AUTH_LEVELS: [(&str, &str, TlsAuthLevel); 3] = [
    ("EncryptionOnly", "1", TlsAuthLevel::EncryptionOnly),
    (
        "CertificateValidation",
        "2",
        TlsAuthLevel::CertificateValidation,
    ),
    ("DomainValidation", "3", TlsAuthLevel::DomainValidation),
];
/// One of them is in every export of a send connector that is of any use.
const OWN_PROPERTIES: [&str; 3] = [
    "TlsCertificateName",
    "ProtocolLoggingLevel",
    "AddressSpaces",
];

/// What is known of a send connector. `None`: unknown.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct SendConnector {
    /// `Name`, as the protocol log spells it too.
    pub name: String,
    /// `Enabled`.
    pub enabled: Option<bool>,
    /// `TlsCertificateName`: `<I>issuer<S>subject`; `None` too if Exchange chooses by the connector's FQDN.
    pub tls_certificate_name: Option<String>,
    /// `Fqdn`: what the connector says in EHLO.
    pub fqdn: Option<String>,
    /// `SmartHosts`: host names, lower case, and addresses in brackets.
    pub smart_hosts: Option<Vec<String>>,
    /// `TlsDomain`: the name that the other side's certificate must carry, lower case.
    pub tls_domain: Option<String>,
    /// `RequireTLS`.
    pub require_tls: Option<bool>,
    /// `TlsAuthLevel`.
    pub tls_auth_level: Option<TlsAuthLevel>,
    /// `ProtocolLoggingLevel`: whether it is `Verbose`; without it the connector writes no log.
    pub protocol_logging: Option<bool>,
    /// `CloudServicesMailEnabled`: the connector that the Hybrid Configuration wizard made.
    pub cloud_services_mail_enabled: Option<bool>,
    /// `FrontendProxyEnabled`: the hop to the other side is in the log of the front end.
    pub frontend_proxy_enabled: Option<bool>,
    /// `SourceTransportServers`, short names.
    pub source_transport_servers: Option<Vec<String>>,
}

/// `TlsAuthLevel` of a send connector: how much of the other side's certificate is checked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum TlsAuthLevel {
    /// Nothing.
    EncryptionOnly,
    /// Chain and revocation.
    CertificateValidation,
    /// Also the name, against `TlsDomain`.
    DomainValidation,
}

impl SendConnector {
    /// Whether it carries the organisation's mail to Exchange Online: by what the Hybrid Configuration wizard sets, or
    /// because it talks to one of Exchange Online's hosts.
    pub fn is_hybrid(&self) -> bool {
        let is_online = |host: &String| {
            let host = host.strip_prefix("*.").unwrap_or(host.as_str());
            reply::is_exchange_online(host.as_bytes())
        };
        self.cloud_services_mail_enabled == Some(true)
            || self.tls_domain.iter().any(is_online)
            || self.smart_hosts.iter().flatten().any(is_online)
    }
}

pub(super) fn read(object: &Object) -> Result<SendConnector, Wrong> {
    let name = object.name()?;
    if !OWN_PROPERTIES.iter().any(|property| object.has(property)) {
        let [first, second, third] = OWN_PROPERTIES;
        return Err(format!("has none of {first}, {second} and {third}").into());
    }
    let lower = |text: String| text.to_lowercase();
    Ok(SendConnector {
        name,
        enabled: object.flag("Enabled")?,
        tls_certificate_name: object.certificate_name("TlsCertificateName")?,
        fqdn: object.text("Fqdn")?.map(lower),
        smart_hosts: smart_hosts(object)?,
        tls_domain: object.text("TlsDomain")?.map(lower),
        require_tls: object.flag("RequireTLS")?,
        // Levels that a later version adds are unknown, not wrong.
        tls_auth_level: object.word("TlsAuthLevel", &AUTH_LEVELS).unwrap_or(None),
        protocol_logging: object
            .word("ProtocolLoggingLevel", &LOGGING_LEVELS)
            .unwrap_or(None),
        cloud_services_mail_enabled: object.flag("CloudServicesMailEnabled")?,
        frontend_proxy_enabled: object.flag("FrontendProxyEnabled")?,
        source_transport_servers: servers(object)?,
    })
}

/// On the server itself `SmartHosts` holds objects; `SmartHostsString` says the same as a text.
fn smart_hosts(object: &Object) -> Result<Option<Vec<String>>, Wrong> {
    let hosts = match object.texts("SmartHosts")? {
        Some(hosts) => Some(hosts),
        None => object.texts("SmartHostsString")?,
    };
    let lower = |hosts: Vec<String>| hosts.iter().map(|host| host.to_lowercase()).collect();
    Ok(hosts.map(lower))
}

/// Short names, whether the export has those, paths or distinguished names.
fn servers(object: &Object) -> Result<Option<Vec<String>>, Wrong> {
    const NAME: &str = "SourceTransportServers";
    // A path that was joined with others cannot be cut again.
    if let Some(serde_json::Value::String(joined)) = object.get(NAME)
        && joined.contains(['/', '='])
    {
        return Ok(None);
    }
    let short = |name: &String| {
        let name = name.rsplit('/').next().unwrap_or_default();
        let name = name.strip_prefix("CN=").unwrap_or(name);
        let end = name.find([',', '.']).unwrap_or(name.len());
        name[..end].to_owned()
    };
    let servers = object.texts(NAME)?;
    Ok(servers.map(|servers| servers.iter().map(short).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hybrid_connector_is_known_by_any_of_three_properties() {
        let blank = SendConnector::default;
        let to = |host: &str| SendConnector {
            smart_hosts: Some(vec!["[192.0.2.1]".to_owned(), host.to_owned()]),
            ..blank()
        };
        let with_domain = |domain: &str| SendConnector {
            tls_domain: Some(domain.to_owned()),
            ..blank()
        };
        let wizard = SendConnector {
            cloud_services_mail_enabled: Some(true),
            ..blank()
        };
        let not_the_wizard = SendConnector {
            cloud_services_mail_enabled: Some(false),
            ..blank()
        };
        for (connector, hybrid) in [
            (blank(), false),
            (wizard, true),
            (not_the_wizard, false),
            (to("contoso-com.mail.protection.outlook.com"), true),
            (to("contoso-com.mail.protection.outlook.com.example"), false),
            (to("contoso-com.mail.protection.office365.us"), true),
            (to("relay.contoso.com"), false),
            (with_domain("mail.protection.outlook.com"), true),
            (with_domain("*.mail.protection.outlook.com"), true),
            (with_domain("mail.fabrikam.com"), false),
        ] {
            assert_eq!(connector.is_hybrid(), hybrid, "{connector:?}");
        }
    }
}
