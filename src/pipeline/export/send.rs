//! `Get-SendConnector`: how Exchange presents itself.

use crate::pipeline::reply;

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
            reply::is_exchange_online(host.strip_prefix("*.").unwrap_or(host.as_str()))
        };
        self.cloud_services_mail_enabled == Some(true)
            || self.tls_domain.iter().any(is_online)
            || self.smart_hosts.iter().flatten().any(is_online)
    }
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
