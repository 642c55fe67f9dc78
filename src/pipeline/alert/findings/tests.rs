//! Stories: what the sessions of one connector show, second by second, and which alerts are confirmed then.

mod borders;
mod clock;
mod late;
mod memory;
mod unsteady;

use std::sync::Arc;

use super::*;
use crate::pipeline::alert::recent::QUIET_PERIOD;
use crate::pipeline::certificate::ValiditySource;
use crate::pipeline::certificate::block::Block;
use crate::pipeline::certificate::block::Field;
use crate::pipeline::certificate::row;
use crate::pipeline::expectation::ConnectorPattern;
use crate::pipeline::expectation::ConnectorType;
use crate::pipeline::expectation::Expectation;
use crate::pipeline::expectation::InboundConnector;
use crate::pipeline::expectation::Ipv4Range;
use crate::pipeline::expectation::Settings;
use crate::pipeline::expectation::combined::Origins;
use crate::pipeline::inventory::Inventory;
use crate::pipeline::inventory::InventoryCertificate;
use crate::pipeline::record::Cell;

const MISMATCH: &str = "ConnectorCertificateMismatch";
const MISSING: &str = "ConnectorCertificateMissing";
const DENIED: &str = "ConnectorRelayDenied";
const CHANGED: &str = "ConnectorCertificateChanged";
const EGRESS: &str = "ConnectorEgressAddressMismatch";
const HOUR: i64 = 3600;
/// These go along with most stories and have stories of their own.
const BESIDES: [&str; 2] = [CHANGED, "ConnectorCertificateExpiring"];

fn certificate(name: &str, digit: char, not_after: &str) -> Presentation {
    let thumbprint: String = std::iter::repeat_n(digit, 40).collect();
    let row = format!(
        " CN={name} CN=Issuing CA, O=Example 0A1B {thumbprint} 2025-12-20T00:00:00.000Z {not_after} {name}"
    );
    Presentation::Certificate(Arc::new(row::parse_row(row.as_bytes())))
}

/// `good` and `renewed` fit the connector, `bad` does not, `soon` fits but ends within the story; `cut` is what is left
/// of a block without thumbprint.
fn presentation(word: &str) -> Option<Presentation> {
    let long = "2036-06-20T00:00:00.000Z";
    Some(match word {
        "good" => certificate("mail.contoso.com", 'A', long),
        "renewed" => certificate("mail.contoso.com", 'B', long),
        "bad" => certificate("other.example", 'C', long),
        "soon" => certificate("mail.contoso.com", 'D', "2025-12-31T10:00:30.000Z"),
        "nothing" => Presentation::NoCertificate,
        "cut" => {
            let mut block = Block::start();
            block.row(Field::Subject, Cell::new(b"CN=ex01, O=Contoso", false));
            Presentation::Certificate(Arc::new(block.finish()))
        }
        _ => return None,
    })
}

fn at(second: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::from_secs(1_767_225_600 + second)
}

fn expectation(by_address: bool) -> Expectation {
    Expectation {
        pattern: ConnectorPattern::new("*").unwrap(),
        inbound_connectors: vec![InboundConnector {
            name: "Inbound".to_owned(),
            enabled: true,
            connector_type: ConnectorType::OnPremises,
            tls_sender_certificate_name: (!by_address).then(|| "mail.contoso.com".to_owned()),
            sender_ip_addresses: Ipv4Range::parse("203.0.113.7")
                .filter(|_| by_address)
                .into_iter()
                .collect(),
            cloud_services_mail_enabled: None,
            certificate_name_unknown: false,
            missing_from_export: false,
        }],
        accepted_domains: None,
        tls_certificate_name: None,
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

/// One line of a story: `second[@row second] what`, and the alerts confirmed after it. `what` is a presentation,
/// `denied N` (by session N), `denied N of good`, `denied N of null`, `relayed`, `relayed null` (both with the null
/// sender), an address, or nothing (time passes).
type Line = (&'static str, &'static [&'static str]);

fn play(by_address: bool, story: &[Line]) {
    let expectation = expectation(by_address);
    let mut findings = Findings::default();
    for (number, (line, expected)) in story.iter().enumerate() {
        let (when, what) = line.split_once(' ').unwrap_or((line, ""));
        let (now, row) = when.split_once('@').unwrap_or((when, when));
        let (now, time) = (at(now.parse().unwrap()), at(row.parse().unwrap()));
        let bench = Bench {
            server: "EX01",
            connector: "Outbound",
            expectation: &expectation,
            inventory: &Inventory::default(),
            settings: &Settings::default(),
            now,
        };
        if let Some(shown) = presentation(what) {
            findings.session(&shown, time, bench);
        } else if let Some(denied) = what.strip_prefix("denied ") {
            let (session, own) = denied.split_once(" of ").unwrap_or((denied, ""));
            let presented = presentation(own);
            let refusal = Refusal {
                reply: "550 5.7.64 TenantAttribution".to_owned(),
                presented: presented.as_ref(),
                null_sender: own == "null",
                session: SessionId(session.parse().unwrap()),
                time,
            };
            findings.denied(refusal, now);
        } else if let Some(sender) = what.strip_prefix("relayed") {
            findings.relayed(sender == " null", time);
        } else if !what.is_empty() {
            findings.egress(what.parse().unwrap());
        }
        findings.reconsider(bench);
        let confirmed = findings.confirmed();
        let mut alerts: Vec<_> = confirmed
            .iter()
            .map(|found| found.alert.as_str())
            .filter(|alert| !BESIDES.contains(alert))
            .collect();
        alerts.dedup();
        assert_eq!(alerts, *expected, "line {number}: {line}, of {story:#?}");
    }
}

#[test]
fn two_sessions_confirm_and_two_good_ones_resolve() {
    for (bad, alert) in [("bad", MISMATCH), ("nothing", MISSING)] {
        let line = |second: i64, what: &str| -> &'static str {
            Box::leak(format!("{second} {what}").into_boxed_str())
        };
        let alerts: &'static [&'static str] = Box::leak(Box::new([alert]));
        play(
            false,
            &[
                (line(0, "good"), &[]),
                (line(1, bad), &[]),
                (line(2, bad), alerts),
                (line(3, "good"), alerts),
                (line(4, "renewed"), &[]),
                (line(5, bad), &[]),
            ],
        );
    }
}

#[test]
fn a_lone_session_counts_after_a_minute() {
    play(
        false,
        &[
            ("0 bad", &[]),
            ("59", &[]),
            ("60", &[MISMATCH]),
            ("61 good", &[MISMATCH]),
            ("300", &[MISMATCH]),
            ("301 good", &[]),
        ],
    );
    play(false, &[("0 bad", &[]), ("30 good", &[]), ("90", &[])]);
    // The minute counts from the row, not from its reading.
    play(false, &[("100@10 bad", &[MISMATCH])]);
}

#[test]
fn alternating_certificates_do_not_flap() {
    play(
        false,
        &[
            ("0 bad", &[]),
            ("1 good", &[]),
            ("2 bad", &[MISMATCH]),
            ("3 good", &[MISMATCH]),
            ("4 bad", &[MISMATCH]),
            ("5 good", &[MISMATCH]),
            ("90", &[MISMATCH]),
        ],
    );
    play(
        false,
        &[
            ("0 good", &[]),
            ("1 renewed", &[]),
            ("2 good", &[]),
            ("90", &[]),
        ],
    );
}

#[test]
fn what_the_log_does_not_show_resolves_nothing() {
    play(
        false,
        &[
            ("0 bad", &[]),
            ("1 bad", &[MISMATCH]),
            ("2 cut", &[MISMATCH]),
            ("3 cut", &[MISMATCH]),
            ("4 cut", &[MISMATCH]),
            ("5 good", &[MISMATCH]),
            ("6 good", &[]),
        ],
    );
    play(false, &[("0 cut", &[]), ("1 cut", &[]), ("90", &[])]);
}

#[test]
fn a_denial_outlasts_sessions_that_prove_nothing() {
    play(
        false,
        &[
            ("0 good", &[]),
            ("1 denied 1", &[]),
            ("2 good", &[]),
            ("3 good", &[]),
            ("60", &[]),
            ("61", &[DENIED]),
            ("62 good", &[DENIED]),
            ("63 good", &[DENIED]),
            ("64 relayed", &[]),
        ],
    );
    play(
        false,
        &[
            ("0 good", &[]),
            ("1 denied 1", &[]),
            ("2 denied 1", &[]),
            ("3 denied 2", &[DENIED]),
            ("4 renewed", &[DENIED]),
            ("5 good", &[DENIED]),
            ("6 renewed", &[DENIED]),
            ("7 renewed", &[]),
        ],
    );
}

#[test]
fn a_denial_belongs_to_the_certificate_of_its_session() {
    // An old connection is still refused when new ones present the renewed certificate.
    play(
        false,
        &[
            ("0 good", &[]),
            ("1 renewed", &[]),
            ("2 denied 1 of good", &[]),
            ("3 denied 2 of good", &[DENIED]),
            ("4 renewed", &[DENIED]),
            ("5 renewed", &[]),
        ],
    );
    // The beginning of the refused session was not seen: the next one is no change.
    play(
        false,
        &[
            ("0 denied 1", &[]),
            ("1 denied 2", &[DENIED]),
            ("2 good", &[DENIED]),
            ("3 good", &[DENIED]),
            ("4 renewed", &[DENIED]),
            ("5 renewed", &[]),
        ],
    );
    // From none to one is a change.
    play(
        false,
        &[
            ("0 denied 1 of nothing", &[]),
            ("1 denied 2 of nothing", &[DENIED]),
            ("2 good", &[DENIED]),
            ("3 good", &[]),
        ],
    );
}

#[test]
fn an_older_acceptance_does_not_clear_a_newer_denial() {
    play(
        false,
        &[
            ("0 good", &[]),
            ("100 denied 1", &[]),
            ("101 denied 2", &[DENIED]),
            ("102@50 relayed", &[DENIED]),
            ("103 relayed", &[]),
        ],
    );
}

/// Bounces alone are refused for other reasons than all mail, so whoever is called must know.
#[test]
fn a_denial_says_when_only_mail_with_the_null_sender_is_meant() {
    let expectation = expectation(false);
    let bench = Bench {
        server: "EX01",
        connector: "Outbound",
        expectation: &expectation,
        inventory: &Inventory::default(),
        settings: &Settings::default(),
        now: at(110),
    };
    let mut findings = Findings::default();
    findings.session(&presentation("good").unwrap(), at(0), bench);
    for (session, null_sender, expected) in [
        (1, true, false),
        (2, true, true),
        (3, false, false),
        (4, true, false),
    ] {
        let refusal = Refusal {
            reply: "550 5.7.64 TenantAttribution".to_owned(),
            presented: None,
            null_sender,
            session: SessionId(session),
            time: at(100),
        };
        findings.denied(refusal, bench.now);
        findings.reconsider(bench);
        let told = findings.confirmed().into_iter().map(|it| it.reason.message);
        let told: Vec<String> = told.filter(|it| it.contains("refuses to relay")).collect();
        let is_said = told
            .iter()
            .any(|it| it.contains("relay mail with the null sender (bounces"));
        assert_eq!(is_said, expected, "session {session}: {told:?}");
        assert_eq!(told.len(), usize::from(session > 1));
    }
}

#[test]
fn mail_with_a_sender_says_nothing_of_mail_without() {
    play(
        false,
        &[
            ("0 good", &[]),
            ("100 denied 1 of null", &[]),
            ("101 relayed", &[]),
            ("102 denied 2 of null", &[DENIED]),
            ("103 relayed", &[DENIED]),
            ("104 relayed null", &[]),
            ("2105 denied 3", &[]),
            ("2106 denied 4", &[DENIED]),
            ("2107 relayed null", &[]),
            ("4108 denied 5 of null", &[]),
            ("4109 denied 6", &[DENIED]),
            ("4110 relayed", &[DENIED]),
            ("4111 renewed", &[DENIED]),
            ("4112 renewed", &[]),
        ],
    );
}

#[test]
fn the_clock_alone_ends_a_certificate() {
    // A logged date is off by up to 14 h.
    play(false, &[("0 soon", &[]), ("30", &[]), ("31", &[MISMATCH])]);
}

#[test]
fn an_address_counts_by_sessions_like_everything_else() {
    play(
        true,
        &[
            ("0 203.0.113.7", &[]),
            ("1 good", &[]),
            ("2 198.51.100.1", &[]),
            ("3 good", &[]),
            ("4 203.0.113.7", &[]),
            ("5 good", &[]),
            ("6 good", &[]),
            ("7 198.51.100.1", &[]),
            ("1803", &[]),
            ("1804 good", &[]),
            ("1805 good", &[EGRESS]),
            ("1806 203.0.113.7", &[EGRESS]),
            ("1807 good", &[EGRESS]),
            ("1808 good", &[]),
        ],
    );
}

#[test]
fn sessions_of_a_directory_that_is_read_later_say_nothing_about_now() {
    play(
        false,
        &[
            ("7200 good", &[]),
            ("7201@100 bad", &[]),
            ("7202@101 bad", &[]),
            ("7300", &[]),
        ],
    );
}

#[test]
fn a_row_from_the_future_does_not_hide_what_comes_after_it() {
    play(
        false,
        &[
            ("0@864000 good", &[]),
            ("1 bad", &[]),
            ("2 bad", &[MISMATCH]),
        ],
    );
    let mut story: Vec<Line> = vec![
        ("0 good", &[]),
        ("1@864000 denied 1", &[]),
        ("2 denied 2", &[DENIED]),
    ];
    assert!(QUIET_PERIOD == SignedDuration::from_secs(6 * HOUR));
    story.extend([("21603 good", &[DENIED] as &[_]); 9]);
    story.push(("21603 good", &[]));
    play(false, &story);
}

/// A bench of its own, to be changed by a story.
struct Stage {
    expectation: Expectation,
    inventory: Inventory,
    findings: Findings,
}

impl Stage {
    fn new(inventory: Inventory) -> Self {
        Self {
            expectation: expectation(false),
            inventory,
            findings: Findings::default(),
        }
    }

    fn learn(&mut self, inventory: Inventory) {
        self.inventory = inventory;
        self.findings.forget_judgements();
    }

    fn expectation_changed(&mut self, second: i64) {
        self.findings.expectation_changed(Bench {
            server: "EX01",
            connector: "Outbound",
            expectation: &self.expectation,
            inventory: &self.inventory,
            settings: &Settings::default(),
            now: at(second),
        });
    }

    fn denied(&mut self, session: u64, second: i64) {
        let refusal = Refusal {
            reply: "550 5.7.64 TenantAttribution".to_owned(),
            presented: None,
            null_sender: false,
            session: SessionId(session),
            time: at(second),
        };
        self.findings.denied(refusal, at(second));
    }

    /// A session, or nothing, and the alerts with their beginnings, in seconds of the story.
    fn at(&mut self, second: i64, what: &str) -> Vec<(&'static str, i64)> {
        let bench = Bench {
            server: "EX01",
            connector: "Outbound",
            expectation: &self.expectation,
            inventory: &self.inventory,
            settings: &Settings::default(),
            now: at(second),
        };
        if let Some(shown) = presentation(what) {
            self.findings.session(&shown, at(second), bench);
        }
        self.findings.reconsider(bench);
        let began = |found: &Confirmed| found.since.duration_since(at(0)).as_secs();
        let confirmed = self.findings.confirmed();
        confirmed
            .iter()
            .map(|found| (found.alert.as_str(), began(found)))
            .collect()
    }
}

fn in_inventory(digit: u8, not_before: i64) -> InventoryCertificate {
    let Presentation::Certificate(logged) = certificate("mail.contoso.com", 'B', "x") else {
        unreachable!()
    };
    let renewed = Certificate {
        thumbprint: Some(Thumbprint([digit; 20])),
        not_before: Some(at(not_before)),
        not_after: Some(at(not_before + 200 * 24 * HOUR)),
        validity_from: Some(ValiditySource::Inventory),
        ..(*logged).clone()
    };
    InventoryCertificate {
        certificate: Arc::new(renewed),
        sha256: [0; 32],
        extended_key_usage: None,
        key_algorithm: String::new(),
        signature_algorithm: String::new(),
        server: None,
        origin: Arc::from("renewed.cer"),
    }
}

#[test]
fn a_change_is_news_for_a_day() {
    let mut stage = Stage::new(Inventory::default());
    assert_eq!(stage.at(0, "good"), []);
    assert_eq!(stage.at(10, "renewed"), [], "one session is a hint");
    assert_eq!(stage.at(11, "renewed"), [(CHANGED, 10)]);
    assert_eq!(stage.at(9 + 24 * HOUR, ""), [(CHANGED, 10)]);
    assert_eq!(stage.at(10 + 24 * HOUR, ""), []);
    assert_eq!(
        stage.at(11 + 24 * HOUR, "cut"),
        [],
        "not known to be another"
    );
    assert_eq!(stage.at(12 + 24 * HOUR, "nothing"), []);
    assert_eq!(stage.at(13 + 24 * HOUR, "renewed"), []);
}

#[test]
fn a_rollout_may_take_its_window() {
    const RENEWAL: &str = "ConnectorRenewalNotPresented";
    let renewed = || Inventory::new(vec![in_inventory(0xEE, -HOUR)]);
    let mut stage = Stage::new(Inventory::default());
    for second in 0..3 {
        assert_eq!(stage.at(second, "good"), []);
    }
    stage.learn(renewed());
    assert_eq!(stage.at(10, ""), []);
    for second in [11, 12, 13, 4 * HOUR + 9] {
        assert_eq!(stage.at(second, "good"), [], "sessions do not hurry it");
    }
    assert_eq!(stage.at(4 * HOUR + 10, ""), [(RENEWAL, 10)]);
    stage.learn(Inventory::default());
    assert_eq!(stage.at(4 * HOUR + 11, ""), [], "it was taken away again");
    stage.learn(renewed());
    assert_eq!(stage.at(4 * HOUR + 12, ""), [], "a new window");
    assert_eq!(stage.at(7 * HOUR, ""), []);
    stage.expectation.accepted_domains = Some(vec!["contoso.com".to_owned()]);
    stage.expectation_changed(7 * HOUR);
    assert_eq!(stage.at(8 * HOUR + 11, ""), []);
    let told = [(RENEWAL, 4 * HOUR + 12)];
    assert_eq!(stage.at(8 * HOUR + 12, ""), told, "the same window");
    stage.expectation.accepted_domains = None;
    stage.expectation_changed(9 * HOUR);
    assert_eq!(stage.at(9 * HOUR, ""), told, "nothing ends, nothing begins");
}

#[test]
fn a_warning_does_not_hide_what_is_not_known() {
    let mut stage = Stage::new(Inventory::default());
    stage.expectation = expectation(true);
    stage.expectation.tls_certificate_name = Some("<S>CN=another".to_owned());
    assert_eq!(stage.at(0, "good").len(), 0);
    assert_eq!(stage.at(1, "good").len(), 1, "it is not what is set up");
    assert_eq!(stage.findings.verdict(), Verdict::Unknown, "no address");
    stage.findings.egress("203.0.113.7".parse().unwrap());
    assert_eq!(stage.at(2, "good").len(), 1);
    assert_eq!(stage.findings.verdict(), Verdict::Match);
}

#[test]
fn what_the_clock_brings_begins_when_it_was_so() {
    const EXPIRING: &str = "ConnectorCertificateExpiring";
    let mut stage = Stage::new(Inventory::default());
    // `soon` lives until 2025-12-31T10:00:30Z, the story begins at 2026-01-01: within 14 h of a logged date.
    let told = stage.at(0, "soon");
    assert_eq!(told, [], "one session is a hint");
    let told = stage.at(1, "soon");
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].0, EXPIRING);
    assert!(
        told[0].1 < -3 * 24 * HOUR,
        "it was so before: {}",
        told[0].1
    );
    let ended = -(13 * HOUR + 59 * 60 + 30);
    assert_eq!(stage.at(31, ""), [(MISMATCH, ended)]);
}
