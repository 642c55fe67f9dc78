//! What is expected in the end, as lines: `connector: inbound [domains] name`, with `!` before what an export says.

use crate::pipeline::expectation::ConnectorPattern;
use crate::pipeline::expectation::Expectations;
use crate::pipeline::expectation::combined::Configured;
use crate::pipeline::expectation::combined::Origin;
use crate::pipeline::export::Exports;
use crate::pipeline::export::inbound::ConnectorType;
use crate::pipeline::export::inbound::InboundProperties;
use crate::pipeline::export::inbound::Ipv4Range;
use crate::pipeline::export::send::SendConnector;

fn named(pattern: &str) -> Configured {
    Configured::blank(ConnectorPattern::new(pattern).unwrap())
}

fn inbound(name: &str) -> InboundProperties {
    InboundProperties {
        name: name.to_owned(),
        ..InboundProperties::default()
    }
}

fn recognising(name: &str, certificate: &str) -> InboundProperties {
    InboundProperties {
        tls_sender_certificate_name: Some(certificate.to_owned()),
        ..inbound(name)
    }
}

fn send(name: &str, certificate: &str) -> SendConnector {
    SendConnector {
        name: name.to_owned(),
        tls_certificate_name: Some(certificate.to_owned()),
        ..SendConnector::default()
    }
}

fn hybrid(name: &str, certificate: &str) -> SendConnector {
    SendConnector {
        cloud_services_mail_enabled: Some(true),
        ..send(name, certificate)
    }
}

fn exports(inbound: Vec<InboundProperties>, send: Vec<SendConnector>) -> Exports {
    Exports {
        inbound_connectors: Some(inbound),
        send_connectors: Some(send),
        ..Exports::default()
    }
}

fn mark(origin: Option<Origin>) -> &'static str {
    if origin == Some(Origin::Export) {
        "!"
    } else {
        ""
    }
}

fn lines(expectations: &Expectations) -> Vec<String> {
    let entries = expectations.entries().iter();
    entries
        .map(|entry| {
            let origins = &entry.origins;
            let inbound = entry.inbound_connectors.iter();
            let inbound: Vec<String> = inbound
                .zip(&origins.inbound_connectors)
                .map(|(inbound, origins)| {
                    format!(
                        "{}{}={}{}",
                        mark(Some(origins.connector)),
                        inbound.name,
                        mark(origins.tls_sender_certificate_name),
                        inbound
                            .tls_sender_certificate_name
                            .as_deref()
                            .unwrap_or("-"),
                    )
                })
                .collect();
            format!(
                "{}: {} {}{}",
                entry.pattern.as_str(),
                inbound.join(","),
                mark(origins.tls_certificate_name),
                entry.tls_certificate_name.as_deref().unwrap_or("-"),
            )
        })
        .collect()
}

fn pattern_for(expectations: &Expectations, connector: &str) -> Option<String> {
    let entry = expectations.for_connector(connector)?;
    Some(entry.pattern.as_str().to_owned())
}

#[test]
fn without_exports_the_configuration_is_all_there_is() {
    let entry = Configured {
        inbound_connectors: Some(vec![recognising("In", "mail.contoso.com")]),
        tls_certificate_name: Some("<S>CN=x".to_owned()),
        ..named("Out*")
    };
    let all = Expectations::combine(&[entry, named("Others")], &Exports::default());
    assert_eq!(
        lines(&all),
        ["Out*: In=mail.contoso.com <S>CN=x", "Others:  -"]
    );
    let entry = &all.entries()[0];
    assert!(entry.inbound_connectors[0].enabled);
    assert_eq!(
        entry.inbound_connectors[0].connector_type,
        ConnectorType::OnPremises
    );
    assert_eq!(
        entry.inbound_connectors[0].cloud_services_mail_enabled,
        None
    );
    assert_eq!(entry.accepted_domains, None);
    assert_eq!(entry.origins.inbound_connectors[0].enabled, None);
}

#[test]
fn what_the_configuration_leaves_out_comes_from_the_export() {
    let exported = InboundProperties {
        name: "INBOUND".to_owned(),
        enabled: Some(false),
        connector_type: Some(ConnectorType::Partner),
        tls_sender_certificate_name: Some("exported.contoso.com".to_owned()),
        sender_ip_addresses: Some(Ipv4Range::parse("203.0.113.5").into_iter().collect()),
        cloud_services_mail_enabled: Some(true),
        certificate_name_unknown: false,
    };
    let given = InboundProperties {
        name: "Inbound".to_owned(),
        enabled: Some(true),
        connector_type: Some(ConnectorType::OnPremises),
        tls_sender_certificate_name: Some("given.contoso.com".to_owned()),
        sender_ip_addresses: Some(Vec::new()),
        cloud_services_mail_enabled: Some(false),
        certificate_name_unknown: false,
    };
    let exports = exports(vec![inbound("Another"), exported.clone()], Vec::new());
    for (typed, expected, origin) in [
        (inbound("Inbound"), exported, Origin::Export),
        (given.clone(), given, Origin::Configuration),
    ] {
        let entry = Configured {
            inbound_connectors: Some(vec![typed]),
            ..named("Out")
        };
        let all = Expectations::combine(&[entry], &exports);
        let [actual] = &all.entries()[0].inbound_connectors[..] else {
            unreachable!("one is configured")
        };
        assert_eq!(actual.name, "Inbound");
        assert_eq!(Some(actual.enabled), expected.enabled);
        assert_eq!(Some(actual.connector_type), expected.connector_type);
        assert_eq!(
            actual.tls_sender_certificate_name,
            expected.tls_sender_certificate_name
        );
        assert_eq!(
            Some(&actual.sender_ip_addresses),
            expected.sender_ip_addresses.as_ref()
        );
        assert_eq!(
            actual.cloud_services_mail_enabled,
            expected.cloud_services_mail_enabled
        );
        let origins = all.entries()[0].origins.inbound_connectors[0];
        assert_eq!(origins.connector, Origin::Configuration);
        for field in [
            origins.enabled,
            origins.connector_type,
            origins.tls_sender_certificate_name,
            origins.sender_ip_addresses,
            origins.cloud_services_mail_enabled,
        ] {
            assert_eq!(field, Some(origin));
        }
    }
}

#[test]
fn without_a_list_in_the_configuration_every_exported_connector_is_expected() {
    let exports = exports(
        vec![
            recognising("A", "a.contoso.com"),
            recognising("B", "b.contoso.com"),
        ],
        Vec::new(),
    );
    let all = Expectations::combine(&[named("Out")], &exports);
    assert_eq!(lines(&all), ["Out: !A=!a.contoso.com,!B=!b.contoso.com -"]);
}

#[test]
fn accepted_domains_of_the_configuration_win() {
    let exports = Exports {
        accepted_domains: Some(vec!["exported.com".to_owned()]),
        ..Exports::default()
    };
    let given = Configured {
        accepted_domains: Some(vec!["given.com".to_owned()]),
        ..named("A")
    };
    let all = Expectations::combine(&[given, named("B")], &exports);
    let domains = |index: usize| {
        let entry = &all.entries()[index];
        (
            entry.accepted_domains.clone().unwrap().join(","),
            entry.origins.accepted_domains.unwrap(),
        )
    };
    assert_eq!(domains(0), ("given.com".to_owned(), Origin::Configuration));
    assert_eq!(domains(1), ("exported.com".to_owned(), Origin::Export));
}

#[test]
fn each_exported_send_connector_has_its_own_certificate_name() {
    let exports = exports(
        vec![recognising("In", "mail.contoso.com")],
        vec![
            send("Outbound 1", "<S>CN=1"),
            send("OUTBOUND 2", "<S>CN=2"),
            send("Else", "<S>CN=3"),
        ],
    );
    let given = Configured {
        tls_certificate_name: Some("<S>CN=given".to_owned()),
        ..named("outbound 2")
    };
    let all = Expectations::combine(&[given, named("Outbound*")], &exports);
    assert_eq!(
        lines(&all),
        [
            "outbound 2: !In=!mail.contoso.com <S>CN=given",
            "Outbound 1: !In=!mail.contoso.com !<S>CN=1",
            "Outbound*: !In=!mail.contoso.com -",
        ]
    );
    for (connector, pattern) in [
        ("OUTBOUND 1", Some("Outbound 1")),
        ("Outbound 2", Some("outbound 2")),
        ("Outbound 3", Some("Outbound*")),
        ("Else", None),
    ] {
        assert_eq!(
            pattern_for(&all, connector).as_deref(),
            pattern,
            "{connector}"
        );
    }
}

#[test]
fn an_entry_that_spells_a_connectors_name_is_completed_itself() {
    let connector = SendConnector {
        protocol_logging: Some(false),
        ..send("OUT", "<S>CN=1")
    };
    let all = Expectations::combine(&[named("Out")], &exports(Vec::new(), vec![connector]));
    assert_eq!(lines(&all), ["Out:  !<S>CN=1"]);
    assert_eq!(all.entries()[0].protocol_logging, Some(false));
}

#[test]
fn a_hybrid_connector_is_judged_although_no_entry_means_it() {
    let twice = hybrid("Hybrid [1]", "<S>CN=late");
    let sent = vec![
        hybrid("Hybrid [1]", "<S>CN=1"),
        send("To a partner", "<S>CN=2"),
        hybrid("Outbound", "<S>CN=3"),
        twice,
    ];
    let exports = exports(vec![recognising("In", "mail.contoso.com")], sent);
    let all = Expectations::combine(&[named("Outbound")], &exports);
    assert_eq!(
        lines(&all),
        [
            "Outbound: !In=!mail.contoso.com !<S>CN=3",
            "Hybrid [1]: !In=!mail.contoso.com !<S>CN=1",
        ]
    );
    // Brackets in an exported name are no wildcard.
    assert_eq!(
        pattern_for(&all, "hybrid [1]").as_deref(),
        Some("Hybrid [1]")
    );
    assert_eq!(pattern_for(&all, "Hybrid 1"), None);
    assert_eq!(pattern_for(&all, "To a partner"), None);
}

#[test]
fn a_disabled_connector_is_not_judged() {
    let disabled = |name: &str| SendConnector {
        enabled: Some(false),
        ..hybrid(name, "<S>CN=1")
    };
    let sent = vec![disabled("OUTBOUND 1"), disabled("Hybrid")];
    let all = Expectations::combine(&[named("Outbound*")], &exports(Vec::new(), sent));
    assert_eq!(lines(&all), ["Outbound*:  -"]);
    assert_eq!(pattern_for(&all, "Outbound 1"), None);
    assert_eq!(pattern_for(&all, "Hybrid"), None);
    assert_eq!(
        pattern_for(&all, "Outbound 2").as_deref(),
        Some("Outbound*")
    );
}

#[test]
fn only_what_changes_a_verdict_counts_as_another_expectation() {
    let exports = |protocol_logging, certificate| {
        let connector = SendConnector {
            protocol_logging: Some(protocol_logging),
            ..send("Out 1", certificate)
        };
        exports(vec![recognising("In", "mail.contoso.com")], vec![connector])
    };
    let typed = Configured {
        inbound_connectors: Some(vec![recognising("In", "mail.contoso.com")]),
        tls_certificate_name: Some("<S>CN=1".to_owned()),
        ..named("Out*")
    };
    let of = |entry: Configured, exports: Exports| {
        let all = Expectations::combine(&[entry], &exports);
        all.for_connector("Out 1").unwrap().clone()
    };
    let first = of(typed, Exports::default());
    let second = of(named("Out*"), exports(true, "<S>CN=1"));
    let logs_nothing = of(named("Out*"), exports(false, "<S>CN=1"));
    let renamed = of(named("Out*"), exports(true, "<S>CN=2"));
    assert_eq!(first.fingerprint(), second.fingerprint());
    assert_eq!(second.fingerprint(), logs_nothing.fingerprint());
    assert_ne!(second.fingerprint(), renamed.fingerprint());
}

/// What an export leaves out is unknown; null is an answer.
#[test]
fn a_certificate_name_that_is_left_out_is_unknown() {
    let left_out = |name| InboundProperties {
        certificate_name_unknown: true,
        ..inbound(name)
    };
    let by_address = InboundProperties {
        sender_ip_addresses: Some(Ipv4Range::parse("203.0.113.5").into_iter().collect()),
        ..inbound("In")
    };
    for (typed, exported, is_unknown) in [
        (None, Some(inbound("In")), false),
        (None, Some(left_out("In")), true),
        (Some(by_address.clone()), Some(left_out("in")), true),
        (Some(by_address.clone()), Some(inbound("In")), false),
        (Some(by_address), None, false),
        (Some(recognising("In", "a.b")), Some(left_out("In")), false),
    ] {
        let entry = Configured {
            inbound_connectors: typed.clone().map(|typed| vec![typed]),
            ..named("Out")
        };
        let exports = exports(exported.clone().into_iter().collect(), Vec::new());
        let all = Expectations::combine(&[entry], &exports);
        let actual = &all.entries()[0].inbound_connectors[0];
        assert_eq!(
            actual.certificate_name_unknown, is_unknown,
            "{typed:?} {exported:?}"
        );
    }
}

#[test]
fn a_connector_that_the_export_does_not_hold_is_missing() {
    let entry = Configured {
        inbound_connectors: Some(vec![inbound("In"), recognising("Old", "a.b")]),
        ..named("Out")
    };
    let missing = |exports: &Exports| {
        let all = Expectations::combine(std::slice::from_ref(&entry), exports);
        let inbound = all.entries()[0].inbound_connectors.iter();
        inbound
            .map(|inbound| inbound.missing_from_export)
            .collect::<Vec<_>>()
    };
    assert_eq!(missing(&Exports::default()), [false, false]);
    assert_eq!(
        missing(&exports(vec![inbound("IN")], Vec::new())),
        [false, true]
    );
    assert_eq!(
        missing(&exports(vec![inbound("New")], Vec::new())),
        [true, true]
    );
}
