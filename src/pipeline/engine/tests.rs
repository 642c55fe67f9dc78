//! Stories: bytes on one side, messages on the other.

mod newcomers;

use std::fmt::Write as _;

use super::*;
use crate::pipeline::expectation::ConnectorPattern;
use crate::pipeline::expectation::ConnectorType;
use crate::pipeline::expectation::Expectation;
use crate::pipeline::expectation::InboundConnector;
use crate::pipeline::expectation::combined::Origins;
use crate::pipeline::ledger::MAX_CONNECTORS;
use crate::pipeline::verdict;
use crate::pipeline::verdict::reason::ReasonCode;
use crate::pipeline::verdict::reason::Severity;

const START: i64 = 1_767_225_600;

fn at(second: i64) -> Timestamp {
    record::timestamp((START + second) * 1000)
}

fn expectations(name: &str) -> Expectations {
    expectations_of("Outbound*", name)
}

fn expectations_of(pattern: &str, name: &str) -> Expectations {
    Expectations::new(vec![Expectation {
        pattern: ConnectorPattern::new(pattern).unwrap(),
        inbound_connectors: vec![InboundConnector {
            name: "Inbound".to_owned(),
            enabled: true,
            connector_type: ConnectorType::OnPremises,
            tls_sender_certificate_name: Some(name.to_owned()),
            sender_ip_addresses: Vec::new(),
            cloud_services_mail_enabled: None,
            certificate_name_unknown: false,
            missing_from_export: false,
        }],
        accepted_domains: Some(vec!["contoso.com".to_owned(), "other.example".to_owned()]),
        tls_certificate_name: None,
        thumbprints: Vec::new(),
        accept: Vec::new(),
        planned: Vec::new(),
        silent_after: None,
        protocol_logging: None,
        source_transport_servers: None,
        frontend_proxy: false,
        origins: Origins::default(),
    }])
}

struct Story {
    engine: Engine,
    stream: StreamId,
    file: LogFile,
    sessions: u64,
}

impl Story {
    fn begin() -> Self {
        let mut engine = Engine::default();
        engine.set_expectations(expectations("mail.contoso.com"), at(0));
        let receiver = Receiver::new(
            "oncall",
            "webhook",
            &[Severity::Critical, Severity::Warning],
        );
        engine.set_receivers(vec![receiver], at(0));
        let stream = engine.open_stream("EX01");
        Self {
            engine,
            stream,
            file: LogFile::default(),
            sessions: 0,
        }
    }

    /// A session with Exchange Online at `second` that presents a certificate of this name, read at `now`; `end`
    /// follows as `event|data`.
    fn session(&mut self, second: i64, now: i64, connector: &str, name: &str, end: &[&str]) {
        self.sessions += 1;
        let digit = if name == "mail.contoso.com" { "A" } else { "B" };
        let certificate = format!(
            "*,\" CN={name} CN=Issuing CA, O=Example 0A1B {} 2025-12-20T00:00:00.000Z 2036-06-20T00:00:00.000Z {name}\",Sending certificate Subject Issuer name Serial number Thumbprint Not before Not after Subject alternate names",
            digit.repeat(40)
        );
        let mut rows = vec![
            "+,,".to_owned(),
            "<,220 x.mail.protection.outlook.com Microsoft ESMTP MAIL Service ready,".to_owned(),
            ">,EHLO ex01,".to_owned(),
            "<,250  x.mail.protection.outlook.com Hello [203.0.113.7] STARTTLS,".to_owned(),
            ">,STARTTLS,".to_owned(),
            "<,220 2.0.0 SMTP server ready,".to_owned(),
            certificate,
            "*,,TLS protocol SP_PROT_TLS1_2_CLIENT negotiation succeeded using bulk encryption algorithm CALG_AES_256 with strength 256 bits".to_owned(),
        ];
        rows.extend(end.iter().map(|row| format!("{},", row.replace('|', ","))));
        let mut text = String::new();
        for (sequence, row) in rows.iter().enumerate() {
            let time = at(second);
            let _ = write!(
                text,
                "{time:.3},{connector},{:016X},{sequence},,,{row}\r\n",
                self.sessions
            );
        }
        let before = self.file.tally();
        self.engine
            .feed(self.stream, &mut self.file, text.as_bytes(), at(now));
        let read = self.file.tally() - before;
        assert_eq!((read.rows, read.malformed_rows), (rows.len() as u64, 0));
    }

    fn good(&mut self, second: i64, now: i64) {
        self.session(second, now, "Outbound", "mail.contoso.com", &["-|"]);
    }

    fn bad(&mut self, second: i64, now: i64) {
        self.session(second, now, "Outbound", "other.example", &["-|"]);
    }

    /// What goes out now: `+` or `-` and the alert.
    fn told(&mut self, now: i64) -> Vec<String> {
        let mut told = Vec::new();
        loop {
            let due = self.engine.tick(at(now));
            if due.is_empty() {
                return told;
            }
            for delivery in due {
                let sign = if delivery.notice.is_resolved() {
                    '-'
                } else {
                    '+'
                };
                told.push(format!("{sign}{}", delivery.notice.name.as_str()));
                self.engine
                    .answered(delivery.number, Outcome::Delivered, at(now), 0.0);
            }
        }
    }
}

#[test]
fn a_mismatch_is_told_and_resolved() {
    let mut story = Story::begin();
    story.good(1, 1);
    assert_eq!(story.told(1), [""; 0]);
    story.bad(2, 2);
    assert_eq!(story.told(2), [""; 0]);
    story.bad(3, 3);
    assert_eq!(story.told(3), ["+ConnectorCertificateMismatch"]);
    assert_eq!(story.told(4), [""; 0]);
    story.good(5, 5);
    story.good(6, 6);
    assert_eq!(story.told(6), ["-ConnectorCertificateMismatch"]);
}

/// Else hundreds of connectors would be written to disk every second, for ever.
#[test]
fn a_second_in_which_nothing_happens_changes_no_row() {
    let mut story = Story::begin();
    story.engine.set_behind(story.stream, false);
    story.good(0, 1);
    story.bad(2, 2);
    story.bad(3, 3);
    assert_eq!(story.told(100), ["+ConnectorCertificateMismatch"]);
    assert_ne!(story.engine.take_changes().len(), 0);
    story.engine.committed();
    for second in 101..110 {
        story.engine.update(at(second));
        let changes = story.engine.take_changes();
        let rows: Vec<_> = changes.rows().collect();
        assert_eq!(rows, [], "at {second}");
        story.engine.committed();
    }
}

#[test]
fn what_comes_and_goes_between_two_looks_is_told_in_order() {
    let mut story = Story::begin();
    for second in [1, 2] {
        story.bad(second, 5);
    }
    for second in [3, 4] {
        story.good(second, 5);
    }
    assert_eq!(
        story.told(5),
        [
            "+ConnectorCertificateMismatch",
            "-ConnectorCertificateMismatch"
        ]
    );
}

#[test]
fn catching_up_tells_only_where_it_ends() {
    for age in [60, 1800, 7200, 86_000] {
        for (last_is_bad, expected) in
            [(false, &[][..]), (true, &["+ConnectorCertificateMismatch"])]
        {
            let mut story = Story::begin();
            let now = 86_400;
            story.engine.set_behind(story.stream, true);
            for second in 0..4 {
                story.bad(now - age + second, now);
                assert_eq!(story.told(now), [""; 0], "{age} s old");
            }
            for second in 4..8 {
                story.good(now - age + second, now);
                assert_eq!(story.told(now), [""; 0], "{age} s old");
            }
            for second in 8..10 {
                let say = if last_is_bad { Story::bad } else { Story::good };
                say(&mut story, now - age + second, now);
            }
            assert_eq!(story.told(now + 600), [""; 0], "{age} s old, still behind");
            story.engine.set_behind(story.stream, false);
            assert_eq!(story.told(now), expected, "{age} s old");
        }
    }
}

#[test]
fn what_is_firing_stays_while_a_stream_is_behind() {
    let mut story = Story::begin();
    story.bad(1, 1);
    story.bad(2, 2);
    assert_eq!(story.told(2), ["+ConnectorCertificateMismatch"]);
    story.engine.set_behind(story.stream, true);
    for second in 3..6 {
        story.good(second, second);
        assert_eq!(story.told(second), [""; 0]);
    }
    story.engine.set_behind(story.stream, false);
    assert_eq!(story.told(6), ["-ConnectorCertificateMismatch"]);
}

#[test]
fn only_expected_connectors_are_judged() {
    let mut story = Story::begin();
    for second in 1..5 {
        story.session(second, second, "Internet", "other.example", &["-|"]);
    }
    assert_eq!(story.told(200), [""; 0]);
    let snapshot = story.engine.snapshot(at(200));
    assert!(
        snapshot
            .judged
            .iter()
            .all(|judged| !judged.expected && judged.reasons.is_empty())
    );
    assert_eq!(snapshot.ledger.connectors().count(), 1);
}

#[test]
fn a_connector_that_is_no_longer_expected_ends_its_alert() {
    let mut story = Story::begin();
    story.bad(1, 1);
    story.bad(2, 2);
    assert_eq!(story.told(2), ["+ConnectorCertificateMismatch"]);
    story
        .engine
        .set_expectations(Expectations::default(), at(3));
    assert_eq!(story.told(3), ["-ConnectorCertificateMismatch"]);
    story
        .engine
        .set_expectations(expectations("mail.contoso.com"), at(4));
    assert_eq!(story.told(4), ["+ConnectorCertificateMismatch"]);
    story
        .engine
        .set_expectations(expectations("other.example"), at(5));
    assert_eq!(story.told(5), ["-ConnectorCertificateMismatch"]);
}

#[test]
fn a_clock_that_is_set_back_does_not_put_off_the_search_for_a_connector() {
    let named = expectations_of("Outbound", "mail.contoso.com");
    let mut named = named.entries().to_vec();
    named[0].protocol_logging = Some(false);
    let mut story = Story::begin();
    story
        .engine
        .set_expectations(Expectations::new(named), at(0));
    for (second, told) in [
        (86_400, &[][..]),
        (10, &[]),
        (69, &[]),
        (70, &["+ConnectorSilent"]),
    ] {
        assert_eq!(story.told(second), told, "at {second}");
    }
}

/// What is wrong with certdrift itself has the same place as a connector without a name.
#[test]
fn a_connector_without_a_name_and_the_logs_of_its_server_do_not_end_each_others_alerts() {
    let lost = || {
        let place = Place {
            server: Arc::from("EX01"),
            connector: Arc::from(""),
        };
        let code = ReasonCode::SourceLosingData;
        let reason = verdict::state(code, "every row", "8 bytes", String::new());
        let alert = reason.alert().unwrap();
        let since = at(3);
        let found = Confirmed {
            alert,
            reason,
            since,
        };
        vec![(place, found)]
    };
    let mut story = Story::begin();
    let expected = expectations_of("*", "mail.contoso.com");
    story.engine.set_expectations(expected.clone(), at(0));
    let say = |story: &mut Story, second: i64, name: &str| {
        story.session(second, second, "", name, &["-|"]);
        story.told(second)
    };
    let mismatch = |sign: &str| [format!("{sign}ConnectorCertificateMismatch")];
    let losing = |sign: &str| [format!("{sign}SourceLosingData")];
    say(&mut story, 1, "other.example");
    assert_eq!(say(&mut story, 2, "other.example"), mismatch("+"));
    story.engine.set_conditions(lost());
    assert_eq!(story.told(3), losing("+"));
    for second in 4..9 {
        story.engine.set_behind(story.stream, second > 6);
        let told = say(&mut story, second, "other.example");
        assert_eq!(told, [""; 0], "at {second}");
    }
    story.engine.set_behind(story.stream, false);
    story.engine.set_conditions(Vec::new());
    assert_eq!(story.told(9), losing("-"));
    story.engine.set_conditions(lost());
    assert_eq!(story.told(10), losing("+"));
    say(&mut story, 11, "mail.contoso.com");
    assert_eq!(say(&mut story, 12, "mail.contoso.com"), mismatch("-"));
    let none = Expectations::default();
    for (second, expected) in [(13, none.clone()), (14, expected), (15, none)] {
        story.engine.set_expectations(expected, at(second));
        assert_eq!(story.told(second), [""; 0], "at {second}");
    }
}

#[test]
fn what_was_known_before_it_is_judged_hangs_on_the_logs_of_its_server() {
    let known = || {
        let mut story = Story::begin();
        story
            .engine
            .set_expectations(Expectations::default(), at(0));
        story.bad(1, 1);
        assert_eq!(story.told(1), [""; 0]);
        story
    };
    let expected = || expectations("mail.contoso.com");
    // No session comes any more, and the logs go away.
    let mut story = known();
    story.engine.set_expectations(expected(), at(2));
    assert_eq!(story.told(2), ["+ConnectorCertificateMismatch"]);
    story.engine.forget_stream(story.stream, at(3));
    assert_eq!(story.told(3), ["-ConnectorCertificateMismatch"]);
    // Nothing is concluded while they are behind.
    let mut story = known();
    story.engine.set_behind(story.stream, true);
    story.engine.set_expectations(expected(), at(2));
    assert_eq!(story.told(2), [""; 0]);
    story.engine.set_behind(story.stream, false);
    assert_eq!(story.told(3), ["+ConnectorCertificateMismatch"]);
    // As soon as one of them tells of it again, the others are no longer its business.
    let mut story = known();
    let other = story.engine.open_stream("EX01");
    story.engine.set_behind(other, true);
    story.engine.set_expectations(expected(), at(2));
    assert_eq!(story.told(2), [""; 0]);
    story.bad(3, 3);
    assert_eq!(story.told(3), ["+ConnectorCertificateMismatch"]);
}

#[test]
fn a_connector_is_silent_only_as_far_as_its_logs_have_been_looked_at() {
    let mut story = Story::begin();
    let mut expected = expectations("mail.contoso.com").entries()[0].clone();
    expected.silent_after = Some(std::time::Duration::from_secs(3600));
    let mut sought = expected.clone();
    sought.pattern = ConnectorPattern::exact("Never seen");
    let both = Expectations::new(vec![expected, sought]);
    story.engine.set_expectations(both, at(0));
    story.engine.set_seen(story.stream, at(0));
    story.good(0, 0);
    story.good(1, 1);
    assert_eq!(story.told(1), [""; 0]);
    // The clock is put forward.
    assert_eq!(story.told(7200), [""; 0]);
    story.engine.set_seen(story.stream, at(3599));
    assert_eq!(story.told(7200), [""; 0]);
    story.engine.set_seen(story.stream, at(3600));
    assert_eq!(story.told(7200), ["+ConnectorSilent"], "never seen");
    story.engine.set_seen(story.stream, at(3601));
    assert_eq!(story.told(7200), ["+ConnectorSilent"]);
    // It may be looked at by another thread, whose clock is a little ahead.
    story.engine.set_seen(story.stream, at(9000));
    story.good(7201, 7201);
    assert_eq!(story.told(7201), ["-ConnectorSilent"]);
}

#[test]
fn a_denial_is_cleared_by_a_recipient_elsewhere_only() {
    let denied = [
        ">|MAIL FROM:<a@contoso.com>",
        ">|RCPT TO:<b@fabrikam.example>",
        "<|250 2.1.0 ok",
        "<|550 5.7.64 TenantAttribution; Relay Access Denied",
    ];
    let hosted = [">|RCPT TO:<b@contoso.com>", "<|250 2.1.5 ok"];
    let relayed = [">|RCPT TO:<b@fabrikam.example>", "<|250 2.1.5 ok"];
    let mut story = Story::begin();
    let say = |story: &mut Story, second: i64, end: &[&str]| {
        story.session(second, second, "Outbound", "mail.contoso.com", end);
        story.told(second)
    };
    assert_eq!(say(&mut story, 1, &denied), [""; 0]);
    assert_eq!(say(&mut story, 2, &denied), ["+ConnectorRelayDenied"]);
    for second in 3..30 {
        assert_eq!(say(&mut story, second, &hosted), [""; 0]);
    }
    assert_eq!(say(&mut story, 30, &relayed), ["-ConnectorRelayDenied"]);
    // Both within one look, as when there is much to read.
    for (second, end) in [(2031, &denied[..]), (2032, &denied), (2033, &relayed)] {
        story.session(second, second, "Outbound", "mail.contoso.com", end);
    }
    assert_eq!(story.told(2033), [""; 0], "it works again already");
    assert_eq!(story.told(2120), [""; 0]);
}

#[test]
fn no_more_connectors_are_judged_than_are_kept() {
    let mut story = Story::begin();
    for number in 0..MAX_CONNECTORS + 5 {
        let connector = format!("Outbound {number}");
        story.session(1, 1, &connector, "mail.contoso.com", &["-|"]);
    }
    // The rest is folded into one entry, of which nothing is said.
    assert_eq!(
        story.engine.snapshot(at(1)).judged.len(),
        MAX_CONNECTORS + 1
    );
}
