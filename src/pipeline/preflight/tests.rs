use super::*;
use crate::pipeline::certificate::Certificate;
use crate::pipeline::certificate::Gaps;
use crate::pipeline::certificate::Thumbprint;
use crate::pipeline::certificate::ValiditySource;
use crate::pipeline::expectation::ConnectorPattern;
use crate::pipeline::expectation::InboundConnector;
use crate::pipeline::expectation::Ipv4Range;
use crate::pipeline::expectation::PlannedRenewal;
use crate::pipeline::expectation::combined::Origins;
use crate::pipeline::inventory::ExtendedKeyUsage;

const SUBJECT: &str = "CN=mail.contoso.com, O=Contoso, C=US";
const ISSUER: &str = "CN=Fabrikam CA, O=Fabrikam, C=US";

fn certificate(subject: &str, issuer: &str, digit: u8) -> InventoryCertificate {
    InventoryCertificate {
        certificate: Arc::new(Certificate {
            thumbprint: Some(Thumbprint([digit; 20])),
            subject: subject.to_owned(),
            issuer: Some(issuer.to_owned()),
            serial: Some("01".to_owned()),
            names: vec!["mail.contoso.com".to_owned()],
            not_before: Some(Timestamp::UNIX_EPOCH),
            not_after: Some(Timestamp::MAX),
            validity_from: Some(ValiditySource::Inventory),
            gaps: Gaps::default(),
        }),
        sha256: [0; 32],
        extended_key_usage: None,
        key_algorithm: "RSA 2048".to_owned(),
        signature_algorithm: "SHA-256 with RSA".to_owned(),
        server: None,
        origin: Arc::from("new.cer"),
    }
}

/// An expectation of this pattern, inbound value and `TlsCertificateName`; an empty text means none.
fn expectation(pattern: &str, value: &str, configured: &str) -> Expectation {
    let given = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    Expectation {
        pattern: ConnectorPattern::new(pattern).unwrap_or_else(|_| unreachable!()),
        inbound_connectors: vec![InboundConnector {
            name: "Inbound".to_owned(),
            enabled: true,
            connector_type: ConnectorType::OnPremises,
            tls_sender_certificate_name: given(value),
            sender_ip_addresses: Ipv4Range::parse("203.0.113.5").into_iter().collect(),
            cloud_services_mail_enabled: None,
            certificate_name_unknown: false,
            missing_from_export: false,
        }],
        accepted_domains: None,
        tls_certificate_name: given(configured),
        thumbprints: Vec::new(),
        accept: Vec::new(),
        planned: Vec::new(),
        silent_after: None,
        protocol_logging: None,
        source_transport_servers: None,
        frontend_proxy: false,
        origins: Origins::default(),
    }
}

fn judged(certificate: &InventoryCertificate, expectation: Expectation) -> Preflight {
    let now = Timestamp::UNIX_EPOCH + jiff::SignedDuration::from_hours(1);
    let expectations = Expectations::new(vec![expectation]);
    examine(certificate, &expectations, &Settings::default(), now)
}

fn finding(preflight: &Preflight, code: &str) -> Option<Finding> {
    let prospects = preflight.prospects.iter();
    let mut findings = preflight
        .findings
        .iter()
        .chain(prospects.flat_map(|prospect| &prospect.findings));
    findings.find(|finding| finding.code == code).cloned()
}

#[test]
fn the_send_connector_finds_a_certificate_by_issuer_and_subject() {
    let found = "tls_certificate_name";
    let differs = "tls_certificate_name_differs";
    for (configured, code, expected, observed) in [
        (format!("<I>{ISSUER}<S>{SUBJECT}"), found, "", ""),
        (
            format!("<i>{}<s>{SUBJECT}", ISSUER.to_lowercase()),
            found,
            "",
            "",
        ),
        // Blanks and the direction of a name do not count; without an issuer, any will do.
        (
            "<S>C=US,O=Contoso,CN=mail.contoso.com".to_owned(),
            found,
            "",
            "",
        ),
        (
            format!("<I>CN=Other CA<S>{SUBJECT}"),
            differs,
            "issuer CN=Other CA",
            "issuer CN=Fabrikam CA, O=Fabrikam, C=US",
        ),
        (
            format!("<I>{ISSUER}<S>CN=mail.contoso.com"),
            differs,
            "subject CN=mail.contoso.com",
            "subject CN=mail.contoso.com, O=Contoso, C=US",
        ),
        (String::new(), "tls_certificate_name_unknown", "", ""),
        (
            "mail.contoso.com".to_owned(),
            "tls_certificate_name_unreadable",
            "",
            "",
        ),
        (
            "<S>no name at all".to_owned(),
            "tls_certificate_name_unreadable",
            "",
            "",
        ),
    ] {
        let certificate = certificate(SUBJECT, ISSUER, 1);
        let preflight = judged(
            &certificate,
            expectation("Outbound", "mail.contoso.com", &configured),
        );
        assert_eq!(
            preflight.prospects[0].verdict,
            Verdict::Match,
            "{configured}"
        );
        let told: Vec<&str> = preflight.prospects[0]
            .findings
            .iter()
            .map(|finding| finding.code)
            .filter(|code| code.starts_with("tls_") || code.starts_with("presented_"))
            .collect();
        assert_eq!(told, [code], "{configured}");
        let finding = finding(&preflight, code);
        let texts = finding
            .filter(|_| code == differs)
            .map(|finding| (finding.expected, finding.observed));
        let wanted = (code == differs).then(|| (expected.to_owned(), observed.to_owned()));
        assert_eq!(texts, wanted, "{configured}");
    }
}

#[test]
fn a_command_fits_one_connector_or_all_that_a_pattern_means() {
    let certificate = certificate(SUBJECT, ISSUER, 0xAB);
    let typed = |text| ConnectorPattern::new(text).unwrap_or_else(|_| unreachable!());
    let exact = ConnectorPattern::exact;
    for (pattern, wanted) in [
        (
            typed("Outbound"),
            "Set-SendConnector 'Outbound' -TlsCertificateName ",
        ),
        (
            typed("Outbound*"),
            "Get-SendConnector | Where-Object Name -like 'Outbound*' | Set-SendConnector -TlsCertificateName ",
        ),
        // A name of an export, which may hold any character.
        (
            exact("It's *"),
            "Set-SendConnector 'It''s *' -TlsCertificateName ",
        ),
    ] {
        let expectation = Expectation {
            pattern,
            ..expectation("", "mail.contoso.com", &format!("<S>{ISSUER}"))
        };
        let preflight = judged(&certificate, expectation);
        let action = finding(&preflight, "tls_certificate_name_differs").map(|it| it.action);
        let start = format!(
            "$c = Get-ExchangeCertificate -Thumbprint {}; {wanted}",
            "AB".repeat(20)
        );
        let fits = action
            .as_deref()
            .is_some_and(|action| action.starts_with(&start));
        assert!(fits, "{wanted}: {action:?}");
    }
}

#[test]
fn nothing_to_paste_breaks_the_mail_that_still_flows() {
    let certificate = certificate("CN=mail.contoso.com", ISSUER, 1);
    for value in ["owa.contoso.com", "*.owa.contoso.com", "contoso.com"] {
        let preflight = judged(&certificate, expectation("Outbound", value, "<S>CN=old"));
        let prospect = &preflight.prospects[0];
        assert_eq!(prospect.verdict, Verdict::Mismatch, "{value}");
        let commands = prospect.findings.iter().flat_map(|it| it.action.lines());
        let changes: Vec<&str> = commands.filter(|line| !line.starts_with('#')).collect();
        assert!(
            changes.iter().all(|command| command.starts_with("Get-")),
            "{value}: {changes:?}"
        );
        let told = prospect
            .findings
            .iter()
            .any(|it| it.action.contains("Set-InboundConnector"));
        assert!(told, "{value}");
    }
}

/// An address may save mail from a certificate that fits nothing, but that is no match of the certificate.
#[test]
fn addresses_decide_only_where_no_name_does() {
    let certificate = certificate(SUBJECT, ISSUER, 1);
    for (value, verdict) in [
        ("mail.contoso.com", Verdict::Match),
        ("owa.contoso.com", Verdict::Mismatch),
        ("", Verdict::Unknown),
    ] {
        let preflight = judged(&certificate, expectation("Outbound", value, ""));
        assert_eq!(preflight.prospects[0].verdict, verdict, "{value:?}");
    }
}

#[test]
fn purposes_that_are_missing_are_told_once() {
    for (usage, verdict, codes) in [
        (None, Verdict::Match, [0, 0]),
        (Some((true, true)), Verdict::Match, [0, 0]),
        (Some((true, false)), Verdict::Match, [0, 1]),
        (Some((false, true)), Verdict::Fragile, [1, 0]),
        (Some((false, false)), Verdict::Fragile, [1, 1]),
    ] {
        let mut certificate = certificate(SUBJECT, ISSUER, 1);
        certificate.extended_key_usage = usage.map(|(server_auth, client_auth)| ExtendedKeyUsage {
            server_auth,
            client_auth,
        });
        let preflight = judged(
            &certificate,
            expectation("Outbound", "mail.contoso.com", ""),
        );
        let prospect = &preflight.prospects[0];
        assert_eq!(prospect.verdict, verdict, "{usage:?}");
        let found = ["eku_no_server_auth", "eku_no_client_auth"].map(|code| {
            let told = prospect.findings.iter().filter(|it| it.code == code);
            told.count()
        });
        assert_eq!(found, codes, "{usage:?}");
    }
}

#[test]
fn weak_keys_and_signatures_are_told() {
    for (key, signature, codes) in [
        ("RSA 2048", "SHA-256 with RSA", &[][..]),
        ("RSA 2047", "SHA-384 with RSA", &["weak_key"]),
        ("RSASSA-PSS 1024", "RSASSA-PSS with SHA-256", &["weak_key"]),
        ("RSA", "Ed25519", &[]),
        ("ECDSA P-256", "SHA-256 with ECDSA", &[]),
        ("RSA 4096", "SHA-1 with RSA", &["weak_signature"]),
        ("RSA 4096", "RSASSA-PSS with SHA-1", &["weak_signature"]),
        ("RSA 1024", "MD5 with RSA", &["weak_key", "weak_signature"]),
        ("RSA 4096", "MD2 with RSA", &["weak_signature"]),
    ] {
        let mut certificate = certificate(SUBJECT, ISSUER, 1);
        key.clone_into(&mut certificate.key_algorithm);
        signature.clone_into(&mut certificate.signature_algorithm);
        let preflight = examine(
            &certificate,
            &Expectations::default(),
            &Settings::default(),
            Timestamp::UNIX_EPOCH,
        );
        let found: Vec<&str> = preflight.findings.iter().map(|it| it.code).collect();
        assert_eq!(found, codes, "{key}, {signature}");
    }
}

#[test]
fn of_a_chain_only_the_end_is_judged() {
    let leaf = || certificate("CN=mail", "CN=sub", 1);
    let sub = || certificate("CN=sub", "CN=root", 2);
    let root = || certificate("cn=ROOT", "CN=root", 3);
    let other = || certificate("CN=other", "CN=elsewhere", 4);
    let own = || certificate("CN=own", "CN=own", 5);
    let cross = || certificate("CN=root", "CN=sub", 6);
    for (chain, wanted) in [
        (vec![], vec![]),
        (vec![leaf()], vec![false]),
        (vec![root(), leaf(), sub()], vec![true, false, true]),
        (vec![leaf(), other(), own()], vec![false; 3]),
        (vec![leaf(), root()], vec![false, false]),
        (vec![own(), own()], vec![false, false]),
        // Two that vouch for each other have no end.
        (vec![sub(), cross()], vec![false, false]),
    ] {
        assert_eq!(issuers(&chain), wanted, "{chain:?}");
    }
}

#[test]
fn a_hostile_certificate_gets_no_command_in() {
    let subject = "CN=mail.contoso.com'; Stop-Computer #\u{2019}\r\nx";
    let mut hostile = certificate(subject, subject, 1);
    hostile.key_algorithm = "RSA 512".to_owned();
    let preflight = judged(
        &hostile,
        expectation("Out'bound*", "x.contoso.com", "<S>CN=y"),
    );
    let prospects = preflight.prospects.iter();
    let findings = prospects
        .flat_map(|it| &it.findings)
        .chain(&preflight.findings);
    for finding in findings {
        for line in finding.action.lines().filter(|line| !line.starts_with('#')) {
            // Outside of quotes there is nothing of it.
            let outside: String = line.split('\'').step_by(2).collect();
            assert!(!outside.contains("Stop-Computer"), "{line}");
        }
        let texts = [&finding.message, &finding.expected, &finding.observed];
        assert!(
            texts.iter().all(|text| !text.contains(['\r', '\n'])),
            "{finding:?}"
        );
    }
    let request = finding(&preflight, "weak_key")
        .map(|it| it.action)
        .unwrap_or_default();
    assert!(
        request.contains("-SubjectName 'CN=mail.contoso.com''; Stop"),
        "{request}"
    );
}

#[test]
fn a_certificate_that_is_planned_counts_as_pinned_until_its_window_is_over() {
    let certificate = certificate(SUBJECT, ISSUER, 0xAB);
    let hours = |hours| Timestamp::UNIX_EPOCH + jiff::SignedDuration::from_hours(hours);
    // It is one o'clock.
    for (thumbprint, from, until, verdict) in [
        (0xAB, 100, 200, Verdict::Match),
        (0xAB, 0, 1, Verdict::Match),
        (0xAB, -9, 0, Verdict::Mismatch),
        (0xCD, 100, 200, Verdict::Mismatch),
    ] {
        let expectation = Expectation {
            thumbprints: vec![Thumbprint([0xEE; 20])],
            planned: vec![PlannedRenewal {
                thumbprint: Thumbprint([thumbprint; 20]),
                from: hours(from),
                until: hours(until),
                reason: None,
            }],
            ..expectation("Outbound", "mail.contoso.com", "")
        };
        let preflight = judged(&certificate, expectation);
        let found = preflight.prospects[0].verdict;
        assert_eq!(found, verdict, "{thumbprint} {from} {until}");
    }
}

#[test]
fn of_all_that_is_said_of_a_connector_one_command_runs() {
    let mut weak = certificate(SUBJECT, ISSUER, 1);
    weak.key_algorithm = "RSA 1024".to_owned();
    weak.signature_algorithm = "SHA-1 with RSA".to_owned();
    weak.extended_key_usage = Some(ExtendedKeyUsage {
        server_auth: false,
        client_auth: false,
    });
    let preflight = judged(
        &weak,
        expectation("Outbound", "mail.contoso.com", "<S>CN=y"),
    );
    let commands = |findings: &[Finding]| {
        let lines = findings.iter().flat_map(|it| it.action.lines());
        lines.filter(|line| !line.starts_with('#')).count()
    };
    assert_eq!(commands(&preflight.findings), 1);
    let prospect = &preflight.prospects[0].findings;
    assert_eq!(commands(prospect), 1);
    assert!(
        prospect.iter().any(|it| it.action.contains("# or: ")),
        "{prospect:?}"
    );
}
