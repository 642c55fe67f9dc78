//! What people are told, and when: sessions go in as rows, messages come out, and the test decides what time it is.

mod twice;

use std::fmt::Write as _;
use std::time::Duration;

use certdrift::pipeline::expectation::Expectations;
use certdrift::pipeline::export::Exports;
use certdrift::pipeline::file::LogFile;
use certdrift::pipeline::outbox::{Delivery, FailureReason, Outcome, Receiver};
use certdrift::pipeline::session::StreamId;
use certdrift::pipeline::verdict::Verdict;
use certdrift::pipeline::verdict::reason::Severity;
use jiff::{SignedDuration, Timestamp};

use crate::stories::twice::Twice;

const MAIL: &str = "mail.contoso.com";
const OWA: &str = "owa.contoso.com";

/// What one session does.
#[derive(Clone, Copy)]
enum Does {
    /// Presents a certificate with this name and relays a message.
    Presents(&'static str),
    /// As `Presents`, to a recipient inside the tenant only.
    PresentsInside(&'static str),
    /// Presents no certificate.
    PresentsNothing,
    /// As `PresentsNothing`, but the row before the TLS result is lost.
    PresentsNothingWithGap,
    /// Sends in clear: STARTTLS was taken away on the line.
    InClear,
    /// Presents a certificate and is denied relay.
    Denied(&'static str),
}

struct World {
    engine: Twice,
    stream: StreamId,
    file: LogFile,
    now: Timestamp,
    sessions: u64,
}

impl World {
    fn new() -> Self {
        let now = "2026-11-23T08:00:00Z".parse().unwrap();
        let mut engine = Twice::new();
        engine.set_expectations(expected("mail.contoso.com"), now);
        engine.set_receivers(vec![receiver("oncall")], now);
        let stream = engine.open_stream("EX01");
        let file = LogFile::default();
        Self {
            engine,
            stream,
            file,
            now,
            sessions: 0,
        }
    }

    /// A session that takes place now.
    fn session(&mut self, does: Does) -> &mut Self {
        self.session_at(self.now, does)
    }

    fn session_at(&mut self, time: Timestamp, does: Does) -> &mut Self {
        self.sessions += 1;
        let rows = rows(self.sessions, time, does);
        self.engine
            .feed(self.stream, &mut self.file, rows.as_bytes(), self.now);
        self
    }

    /// Time passes, and what is told by then is delivered.
    fn after(&mut self, seconds: i64) -> Vec<String> {
        self.now = self
            .now
            .checked_add(SignedDuration::from_secs(seconds))
            .unwrap();
        let mut told = Vec::new();
        loop {
            let due = self.engine.tick(self.now);
            if due.is_empty() {
                return told;
            }
            for delivery in due {
                told.push(words(&delivery));
                self.engine
                    .answered(delivery.number, Outcome::Delivered, self.now, 0.0);
            }
        }
    }

    fn verdict(&self) -> Verdict {
        self.engine.snapshot(self.now).judged[0].verdict
    }
}

fn words(delivery: &Delivery) -> String {
    let notice = &delivery.notice;
    let status = if notice.is_resolved() {
        "over"
    } else {
        "firing"
    };
    format!("{} {status}", notice.name.as_str())
}

fn receiver(name: &str) -> Receiver {
    Receiver::new(name, "webhook", &[Severity::Critical, Severity::Warning])
}

fn expected(certificate_name: &str) -> Expectations {
    let text = format!(
        "sources: [{{ path: /logs }}]\nconnectors:\n  - name: Outbound\n    expected:\n      inbound_connectors: [{{ name: Inbound, tls_sender_certificate_name: {certificate_name} }}]\n      accepted_domains: [contoso.com]\n"
    );
    certdrift::config::parse(&text, "certdrift.yml".as_ref(), None)
        .unwrap()
        .expectations(&Exports::default())
}

fn rows(session: u64, time: Timestamp, does: Does) -> String {
    let (name, recipient, answer) = match does {
        Does::Presents(name) => (Some(name), "x@fabrikam.example", "250 2.1.5 Recipient OK"),
        Does::PresentsInside(name) => (Some(name), "x@hr.contoso.com", "250 2.1.5 Recipient OK"),
        Does::Denied(name) => (
            Some(name),
            "x@fabrikam.example",
            "550 5.7.64 TenantAttribution; Relay Access Denied",
        ),
        Does::PresentsNothing | Does::PresentsNothingWithGap | Does::InClear => {
            (None, "x@fabrikam.example", "250 2.1.5 Recipient OK")
        }
    };
    let hello = "<,250  x.mail.protection.outlook.com Hello [203.0.113.7] STARTTLS,".to_owned();
    let mut lines = vec![
        "+,,".to_owned(),
        "<,220 x.mail.protection.outlook.com Microsoft ESMTP MAIL Service ready,".to_owned(),
        ">,EHLO ex,".to_owned(),
        hello.clone(),
        ">,STARTTLS,".to_owned(),
        "<,220 2.0.0 SMTP server ready,".to_owned(),
    ];
    lines.extend(name.map(|name| {
        let thumbprint = if name == MAIL { "A".repeat(40) } else { "B".repeat(40) };
        format!("*, CN={name} CN=Issuer 0A {thumbprint} 2026-06-01T00:00:00.000Z 2027-06-01T00:00:00.000Z {name},Sending certificate Subject Issuer name Serial number Thumbprint Not before Not after Subject alternate names")
    }));
    lines.push("*,,Remote certificate".to_owned());
    lines.push("*,,TLS protocol SP_PROT_TLS1_2_CLIENT negotiation succeeded using x".to_owned());
    lines.extend([
        ">,EHLO ex,".to_owned(),
        hello,
        ">,MAIL FROM:<a@contoso.com>,".to_owned(),
    ]);
    lines.push(format!(">,RCPT TO:<{recipient}>,"));
    lines.push("<,250 2.1.0 Sender OK,".to_owned());
    lines.push(format!("<,{answer},"));
    lines.push("-,,Local".to_owned());
    if matches!(does, Does::PresentsNothingWithGap) {
        lines[6] = String::new();
    }
    if matches!(does, Does::InClear) {
        lines.retain(|line| !line.contains("TLS") && !line.starts_with("*,"));
        lines.insert(
            3,
            "<,250  x.mail.protection.outlook.com Hello [203.0.113.7] SIZE 1,".to_owned(),
        );
    }
    let stamp = format!("{time:.3}");
    let mut text = String::new();
    for (sequence, line) in lines
        .iter()
        .enumerate()
        .filter(|(_, line)| !line.is_empty())
    {
        let _ = write!(
            text,
            "{stamp},Outbound,{session:016X},{sequence},,,{line}\r\n"
        );
    }
    text
}

#[test]
fn nobody_is_called_while_everything_matches() {
    let mut world = World::new();
    for _ in 0..5 {
        world.session(Does::Presents(MAIL));
        assert_eq!(world.after(60), [""; 0]);
    }
    assert_eq!(world.verdict(), Verdict::Match);
}

#[test]
fn two_sessions_confirm_and_two_good_ones_resolve() {
    let mut world = World::new();
    world
        .session(Does::Presents(MAIL))
        .session(Does::Presents(OWA));
    assert_eq!(world.after(1), [""; 0], "one session is a hint");
    assert_eq!(world.verdict(), Verdict::Match);
    world.session(Does::Presents(OWA));
    assert_eq!(world.after(1), ["ConnectorCertificateMismatch firing"]);
    assert_eq!(world.verdict(), Verdict::Mismatch);
    world.session(Does::Presents(MAIL));
    assert_eq!(world.after(1), [""; 0], "one good session is a hint, too");
    world.session(Does::Presents(MAIL));
    assert_eq!(world.after(1), ["ConnectorCertificateMismatch over"]);
    assert_eq!(world.verdict(), Verdict::Match);
}

#[test]
fn a_lone_session_confirms_after_a_minute() {
    let mut world = World::new();
    world.session(Does::Presents(OWA));
    assert_eq!(world.after(59), [""; 0]);
    assert_eq!(
        world.verdict(),
        Verdict::Unknown,
        "nothing is confirmed yet"
    );
    assert_eq!(world.after(1), ["ConnectorCertificateMismatch firing"]);
}

#[test]
fn two_certificates_in_turn_do_not_hide_each_other_nor_flap() {
    let mut world = World::new();
    let mut told = Vec::new();
    for _ in 0..10 {
        world.session(Does::Presents(MAIL));
        told.extend(world.after(5));
        world.session(Does::Presents(OWA));
        told.extend(world.after(5));
    }
    assert_eq!(told, ["ConnectorCertificateMismatch firing"]);
}

#[test]
fn changed_and_changed_back_within_one_look_is_told_in_order() {
    let mut world = World::new();
    for name in [OWA, OWA, MAIL, MAIL] {
        world.session(Does::Presents(name));
    }
    assert_eq!(
        world.after(1),
        [
            "ConnectorCertificateMismatch firing",
            "ConnectorCertificateMismatch over"
        ]
    );
}

#[test]
fn no_certificate_counts_only_when_every_row_was_seen() {
    let mut world = World::new();
    for _ in 0..3 {
        world.session(Does::PresentsNothingWithGap);
    }
    assert_eq!(world.after(100), [""; 0]);
    world
        .session(Does::PresentsNothing)
        .session(Does::PresentsNothing);
    assert_eq!(world.after(1), ["ConnectorCertificateMissing firing"]);
    let snapshot = world.engine.snapshot(world.now);
    let (_, entry) = snapshot.connectors().next().unwrap();
    assert_eq!(entry.without_certificate.unwrap().count, 2);
}

#[test]
fn mail_in_clear_is_a_failure_of_tls() {
    let mut world = World::new();
    world.session(Does::Presents(MAIL));
    world.session(Does::InClear);
    assert_eq!(world.after(59), [""; 0]);
    world.session(Does::InClear);
    assert_eq!(world.after(1), [""; 0]);
    world.session(Does::InClear);
    assert_eq!(world.after(1), ["ConnectorTlsFailing firing"]);
    world.session(Does::Presents(MAIL));
    assert_eq!(world.after(1), [""; 0], "one good session is a hint");
    world.session(Does::Presents(MAIL));
    assert_eq!(world.after(1), ["ConnectorTlsFailing over"]);
}

#[test]
fn a_denied_relay_is_not_over_because_mail_inside_the_tenant_is_accepted() {
    let mut world = World::new();
    world
        .session(Does::Denied(MAIL))
        .session(Does::Denied(MAIL));
    assert_eq!(world.after(1), ["ConnectorRelayDenied firing"]);
    assert_eq!(
        world.verdict(),
        Verdict::Mismatch,
        "Exchange Online's word overrides the model"
    );
    for _ in 0..5 {
        world.session(Does::PresentsInside(MAIL));
        assert_eq!(world.after(60), [""; 0]);
    }
    world.session(Does::Presents(MAIL));
    assert_eq!(world.after(1), ["ConnectorRelayDenied over"]);
    assert_eq!(world.verdict(), Verdict::Match);
}

#[test]
fn a_denied_relay_is_over_after_a_quiet_period_with_traffic() {
    let mut world = World::new();
    world
        .session(Does::Denied(MAIL))
        .session(Does::Denied(MAIL));
    assert_eq!(world.after(1), ["ConnectorRelayDenied firing"]);
    assert_eq!(
        world.after(7 * 3600),
        [""; 0],
        "quiet without traffic proves nothing"
    );
    for _ in 0..9 {
        world.session(Does::PresentsInside(MAIL));
    }
    assert_eq!(world.after(1), [""; 0], "too little traffic");
    world.session(Does::PresentsInside(MAIL));
    assert_eq!(world.after(1), ["ConnectorRelayDenied over"]);
}

#[test]
fn a_denied_relay_is_over_with_another_certificate() {
    let mut world = World::new();
    world.session(Does::Denied(OWA)).session(Does::Denied(OWA));
    assert_eq!(world.after(1).len(), 2, "denied, and a mismatch");
    world
        .session(Does::PresentsInside(MAIL))
        .session(Does::PresentsInside(MAIL));
    let mut told = world.after(1);
    told.sort();
    assert_eq!(
        told,
        [
            "ConnectorCertificateMismatch over",
            "ConnectorRelayDenied over"
        ]
    );
}

#[test]
fn reading_the_same_configuration_again_changes_nothing() {
    let mut world = World::new();
    world.session(Does::Denied(OWA)).session(Does::Denied(OWA));
    assert_eq!(world.after(1).len(), 2);
    world
        .engine
        .set_expectations(expected("mail.contoso.com"), world.now);
    assert_eq!(world.after(1), [""; 0]);
    world
        .engine
        .set_expectations(expected("owa.contoso.com"), world.now);
    let mut told = world.after(1);
    told.sort();
    assert_eq!(
        told,
        [
            "ConnectorCertificateMismatch over",
            "ConnectorRelayDenied over"
        ]
    );
    world
        .engine
        .set_expectations(expected("other.contoso.com"), world.now);
    assert_eq!(
        world.after(1),
        ["ConnectorCertificateMismatch firing"],
        "the certificate is known already"
    );
    world
        .engine
        .set_expectations(Expectations::default(), world.now);
    assert_eq!(
        world.after(1),
        ["ConnectorCertificateMismatch over"],
        "nothing is expected any more"
    );
}

#[test]
fn what_was_wrong_yesterday_and_is_right_now_is_no_news() {
    let mut world = World::new();
    let ago = |hours| {
        world
            .now
            .checked_sub(SignedDuration::from_hours(hours))
            .unwrap()
    };
    let (long_ago, lately) = (ago(20), ago(2));
    world.engine.set_behind(world.stream, true);
    world
        .session_at(long_ago, Does::Presents(OWA))
        .session_at(long_ago, Does::Presents(OWA));
    assert_eq!(world.after(1), [""; 0], "still catching up");
    world
        .session_at(lately, Does::Presents(MAIL))
        .session_at(lately, Does::Presents(MAIL));
    world.engine.set_behind(world.stream, false);
    assert_eq!(world.after(1), [""; 0]);
    assert_eq!(world.verdict(), Verdict::Match);
}

#[test]
fn the_state_that_catching_up_ends_in_is_told() {
    let mut world = World::new();
    let long_ago = world
        .now
        .checked_sub(SignedDuration::from_hours(20))
        .unwrap();
    world.engine.set_behind(world.stream, true);
    world
        .session_at(long_ago, Does::Presents(OWA))
        .session_at(long_ago, Does::Presents(OWA));
    assert_eq!(world.after(1), [""; 0]);
    world.engine.set_behind(world.stream, false);
    assert_eq!(world.after(1), ["ConnectorCertificateMismatch firing"]);
}

#[test]
fn the_clock_alone_lets_a_certificate_expire_but_not_before_the_margin() {
    let mut world = World::new();
    world
        .session(Does::Presents(MAIL))
        .session(Does::Presents(MAIL));
    // Valid until 2027-06-01T00:00 as logged; that is local time, so up to 14 hours later.
    assert_eq!(
        world.after(190 * 86_400 + 5 * 3600),
        ["ConnectorCertificateExpiring firing"],
        "2027-06-01T13:00"
    );
    let mut told = world.after(2 * 3600);
    told.sort();
    assert_eq!(
        told,
        [
            "ConnectorCertificateExpiring over",
            "ConnectorCertificateMismatch firing"
        ],
        "2027-06-01T15:00"
    );
}

#[test]
fn a_firing_alert_is_told_again_after_a_day_under_another_id() {
    let mut world = World::new();
    world
        .session(Does::Presents(OWA))
        .session(Does::Presents(OWA));
    let first = world.engine.tick(world.now);
    world
        .engine
        .answered(first[0].number, Outcome::Delivered, world.now, 0.0);
    assert_eq!(world.after(86_399), [""; 0]);
    world.now = world.now.checked_add(SignedDuration::from_secs(1)).unwrap();
    let again = world.engine.tick(world.now);
    assert_eq!(again.len(), 1);
    assert_eq!(again[0].notice.key, first[0].notice.key);
    assert_ne!(again[0].notice.id, first[0].notice.id);
}

#[test]
fn both_machines_of_a_pair_use_the_same_ids() {
    let ids = |late: i64| {
        let mut world = World::new();
        let time = world.now;
        world.now = world
            .now
            .checked_add(SignedDuration::from_secs(late))
            .unwrap();
        world
            .session_at(time, Does::Presents(OWA))
            .session_at(time, Does::Presents(OWA));
        let due = world.engine.tick(world.now);
        (due[0].notice.id.clone(), due[0].notice.key.clone())
    };
    assert_eq!(ids(0), ids(17));
}

#[test]
fn a_resolve_never_overtakes_its_trigger() {
    let mut world = World::new();
    world
        .session(Does::Presents(OWA))
        .session(Does::Presents(OWA));
    let trigger = world.engine.tick(world.now).remove(0);
    world
        .session(Does::Presents(MAIL))
        .session(Does::Presents(MAIL));
    assert!(
        world.engine.tick(world.now).is_empty(),
        "the trigger is under way"
    );
    let failed = Outcome::Retry {
        reason: FailureReason::ServerError,
        after: None,
    };
    world
        .engine
        .answered(trigger.number, failed, world.now, 0.0);
    assert!(
        world.engine.tick(world.now).is_empty(),
        "the trigger is tried again in 2 s"
    );
    world.now = world.now.checked_add(SignedDuration::from_secs(2)).unwrap();
    let again = world.engine.tick(world.now);
    assert_eq!(
        (again.len(), &again[0].notice.id),
        (1, &trigger.notice.id),
        "the same id on every try"
    );
    world
        .engine
        .answered(trigger.number, Outcome::Delivered, world.now, 0.0);
    assert_eq!(world.after(0), ["ConnectorCertificateMismatch over"]);
}

#[test]
fn retry_after_pauses_one_receiver_and_not_the_other() {
    let mut world = World::new();
    world
        .engine
        .set_receivers(vec![receiver("busy"), receiver("idle")], world.now);
    world
        .session(Does::Presents(OWA))
        .session(Does::Presents(OWA));
    let due = world.engine.tick(world.now);
    let names: Vec<&str> = due.iter().map(|delivery| &*delivery.receiver).collect();
    assert_eq!(names, ["busy", "idle"]);
    let wait = Outcome::Retry {
        reason: FailureReason::RateLimited,
        after: Some(Duration::from_secs(600)),
    };
    world.engine.answered(due[0].number, wait, world.now, 0.0);
    world
        .engine
        .answered(due[1].number, Outcome::Delivered, world.now, 0.0);
    world
        .session(Does::PresentsNothing)
        .session(Does::PresentsNothing);
    world.now = world
        .now
        .checked_add(SignedDuration::from_secs(599))
        .unwrap();
    let due = world.engine.tick(world.now);
    assert!(!due.is_empty() && due.iter().all(|delivery| &*delivery.receiver == "idle"));
    world.now = world.now.checked_add(SignedDuration::from_secs(1)).unwrap();
    assert!(
        world
            .engine
            .tick(world.now)
            .iter()
            .any(|delivery| &*delivery.receiver == "busy")
    );
}

#[test]
fn a_message_that_nobody_takes_is_given_up_after_a_day_and_counted() {
    let mut world = World::new();
    world
        .session(Does::Presents(OWA))
        .session(Does::Presents(OWA));
    let due = world.engine.tick(world.now);
    let failed = Outcome::Retry {
        reason: FailureReason::Timeout,
        after: None,
    };
    world.engine.answered(due[0].number, failed, world.now, 0.0);
    world.now = world
        .now
        .checked_add(SignedDuration::from_hours(25))
        .unwrap();
    let due = world.engine.tick(world.now);
    assert_eq!(due.len(), 1, "the daily repetition takes its place");
    let status = &world.engine.snapshot(world.now).receivers[0];
    assert_eq!((status.given_up, status.waiting), (1, 1));
    assert_eq!(status.failed[&FailureReason::Timeout], 1);
}
