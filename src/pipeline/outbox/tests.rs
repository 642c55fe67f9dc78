//! Stories: what is put in, what came of it, and what goes out when.

use super::*;
use crate::pipeline::alert::Alerts;
use crate::pipeline::alert::findings::Confirmed;
use crate::pipeline::session::Place;
use crate::pipeline::verdict::reason::AlertName;
use crate::pipeline::verdict::reason::Reason;
use crate::pipeline::verdict::reason::ReasonCode;

const RETRY: Outcome = Outcome::Retry {
    reason: FailureReason::ServerError,
    after: None,
};
const ALL: [Severity; 2] = [Severity::Critical, Severity::Warning];

fn at(second: u64) -> Timestamp {
    later(Timestamp::UNIX_EPOCH, Duration::from_secs(second))
}

fn receiver(name: &str, severities: &[Severity]) -> Receiver {
    Receiver {
        name: Arc::from(name),
        integration: "webhook",
        severities: severities.to_vec(),
    }
}

fn outbox(names: &[&str]) -> Outbox {
    let mut outbox = Outbox::default();
    let receivers = names.iter().map(|name| receiver(name, &ALL)).collect();
    outbox.set_receivers(receivers, at(0));
    outbox
}

fn confirmed(severity: Severity) -> Confirmed {
    Confirmed {
        alert: AlertName::ConnectorCertificateMismatch,
        reason: Reason {
            code: ReasonCode::NameMismatch,
            severity,
            since: None,
            expected: String::new(),
            observed: String::new(),
            message: String::new(),
            action: String::new(),
        },
        since: at(0),
    }
}

/// A trigger and its resolve.
fn notices(connector: &str) -> [Arc<Notice>; 2] {
    let place = Place {
        server: Arc::from("EX01"),
        connector: Arc::from(connector),
    };
    let mut alerts = Alerts::default();
    [&[confirmed(Severity::Critical)][..], &[]]
        .map(|confirmed| Arc::new(alerts.update(&place, confirmed, at(0)).pop().unwrap()))
}

fn numbers(outbox: &mut Outbox, second: u64) -> Vec<u64> {
    let due = outbox.due(at(second));
    due.iter().map(|delivery| delivery.number).collect()
}

#[test]
fn a_resolve_waits_for_its_trigger_and_for_nobody_else() {
    let mut outbox = outbox(&["oncall"]);
    let ([first, over], [other, _]) = (notices("one"), notices("two"));
    for notice in [&first, &over, &other] {
        outbox.add(notice, at(0));
    }
    assert_eq!(numbers(&mut outbox, 0), [1, 3]);
    assert_eq!(numbers(&mut outbox, 0), [0; 0], "under way");
    outbox.answered(1, RETRY, at(0), 0.0);
    outbox.answered(3, Outcome::Delivered, at(0), 0.0);
    assert_eq!(numbers(&mut outbox, 1), [0; 0]);
    assert_eq!(numbers(&mut outbox, 2), [1], "the same message again");
    outbox.answered(1, Outcome::Delivered, at(2), 0.0);
    assert_eq!(numbers(&mut outbox, 2), [2]);
    outbox.answered(2, Outcome::Delivered, at(2), 0.0);
    let status = outbox.status().remove(0);
    assert_eq!(
        (status.delivered, status.waiting, status.given_up),
        (3, 0, 0)
    );
}

#[test]
fn tries_follow_the_schedule() {
    for (spread, factor) in [(0.0, 1.0), (1.0, 1.2), (-1.0, 0.8), (9.0, 1.2)] {
        let mut outbox = outbox(&["oncall"]);
        outbox.add(&notices("one")[0], at(0));
        let mut now = at(0);
        for seconds in [2, 5, 15, 30, 60, 120, 300, 300, 300] {
            assert_eq!(outbox.due(now).len(), 1, "before {seconds} s");
            outbox.answered(1, RETRY, now, spread);
            let wait = Duration::from_secs(seconds).mul_f64(factor);
            assert_eq!(outbox.next_due(), Some(later(now, wait)));
            now = later(now, wait);
        }
    }
}

#[test]
fn retry_after_pauses_its_receiver_and_no_other() {
    for (asked, seconds) in [(30, 30), (3600, 3600), (86_400, 3600), (0, 2)] {
        let mut outbox = outbox(&["slow", "quick"]);
        outbox.add(&notices("one")[0], at(0));
        assert_eq!(numbers(&mut outbox, 0), [1, 2]);
        let after = Some(Duration::from_secs(asked));
        let reason = FailureReason::RateLimited;
        outbox.answered(1, Outcome::Retry { reason, after }, at(0), 0.0);
        outbox.add(&notices("two")[0], at(0));
        assert_eq!(
            numbers(&mut outbox, seconds - 1),
            [4],
            "asked for {asked} s"
        );
        assert_eq!(numbers(&mut outbox, seconds), [1, 3], "asked for {asked} s");
    }
}

#[test]
fn a_configuration_fault_is_tried_slowly_and_after_a_reload_at_once() {
    let mut outbox = outbox(&["oncall"]);
    outbox.add(&notices("one")[0], at(0));
    let reason = FailureReason::AuthError;
    for second in [0, 900] {
        assert_eq!(numbers(&mut outbox, second), [1]);
        outbox.answered(1, Outcome::Misconfigured { reason }, at(second), 0.0);
        assert_eq!(numbers(&mut outbox, second + 899), [0; 0]);
    }
    outbox.set_receivers(vec![receiver("oncall", &ALL)], at(1000));
    assert_eq!(numbers(&mut outbox, 1000), [1]);
    assert_eq!(outbox.status()[0].failed[&reason], 2);
}

#[test]
fn a_trigger_is_given_up_after_a_day_and_a_resolve_after_three() {
    let mut outbox = outbox(&["oncall"]);
    let [trigger, resolve] = notices("one");
    outbox.add(&trigger, at(0));
    outbox.add(&resolve, at(0));
    let hour = 3600;
    for (second, expected) in [(24 * hour, &[1][..]), (24 * hour + 301, &[2])] {
        assert_eq!(numbers(&mut outbox, second), expected);
        outbox.answered(expected[0], RETRY, at(second), 0.0);
    }
    assert_eq!(numbers(&mut outbox, 72 * hour), [2]);
    outbox.answered(2, RETRY, at(72 * hour), 0.0);
    assert_eq!(numbers(&mut outbox, 72 * hour + 301), [0; 0]);
    let status = outbox.status().remove(0);
    assert_eq!((status.waiting, status.given_up), (0, 2));
}

#[test]
fn a_refused_message_holds_up_nothing() {
    let mut outbox = outbox(&["oncall"]);
    let [trigger, resolve] = notices("one");
    outbox.add(&trigger, at(0));
    outbox.add(&resolve, at(0));
    assert_eq!(numbers(&mut outbox, 0), [1]);
    outbox.answered(1, Outcome::Refused, at(0), 0.0);
    assert_eq!(numbers(&mut outbox, 0), [2]);
    let status = outbox.status().remove(0);
    assert_eq!((status.given_up, status.waiting), (1, 1));
}

#[test]
fn a_reload_keeps_what_waits_by_name() {
    let mut outbox = outbox(&["stays", "goes"]);
    outbox.add(&notices("one")[0], at(0));
    assert_eq!(numbers(&mut outbox, 0), [1, 2]);
    let receivers = vec![receiver("comes", &ALL), receiver("stays", &ALL)];
    outbox.set_receivers(receivers, at(1));
    assert_eq!(numbers(&mut outbox, 1), [0; 0], "still under way");
    outbox.answered(2, RETRY, at(1), 0.0);
    outbox.answered(1, RETRY, at(1), 0.0);
    assert_eq!(numbers(&mut outbox, 3), [1]);
    let waiting: Vec<_> = outbox
        .status()
        .iter()
        .map(|status| status.waiting)
        .collect();
    assert_eq!(waiting, [0, 1]);
}

#[test]
fn a_receiver_gets_the_severities_that_it_wants() {
    let mut outbox = Outbox::default();
    let receivers = vec![receiver("warnings", &[Severity::Warning])];
    outbox.set_receivers(receivers, at(0));
    outbox.add(&notices("one")[0], at(0));
    assert_eq!(numbers(&mut outbox, 0), [0; 0]);
}

#[test]
fn a_dead_receiver_leaves_room_for_the_others() {
    let mut outbox = outbox(&["dead"]);
    let [trigger, _] = notices("one");
    for _ in 0..=MAX_WAITING {
        outbox.add(&trigger, at(0));
    }
    let receivers = vec![receiver("dead", &ALL), receiver("alive", &ALL)];
    outbox.set_receivers(receivers, at(0));
    outbox.add(&trigger, at(0));
    let counts: Vec<_> = outbox
        .status()
        .iter()
        .map(|status| (status.waiting, status.given_up))
        .collect();
    assert_eq!(counts, [(MAX_WAITING, 2), (1, 0)]);
}

#[test]
fn a_flood_goes_out_a_few_at_a_time() {
    let mut outbox = outbox(&["oncall"]);
    for connector in 0..20 {
        outbox.add(&notices(&connector.to_string())[0], at(0));
    }
    let mut delivered = 0;
    loop {
        let under_way = numbers(&mut outbox, 0);
        assert!(under_way.len() <= MAX_UNDER_WAY);
        let Some(&first) = under_way.first() else {
            break;
        };
        assert_eq!(numbers(&mut outbox, 0), [0; 0]);
        for &number in &under_way {
            outbox.answered(number, Outcome::Delivered, at(0), 0.0);
        }
        assert_eq!(first, delivered + 1, "in the order of the decisions");
        delivered += under_way.len() as u64;
    }
    assert_eq!(delivered, 20);
}

/// An alert may end less grave than it began, or graver.
#[test]
fn whoever_was_called_hears_the_end() {
    use Severity::Critical;
    use Severity::Warning;
    for (course, critical, warning) in [
        (&[Critical][..], 2, 0),
        (&[Warning], 0, 2),
        (&[Warning, Critical], 2, 2),
        (&[Critical, Warning], 2, 2),
    ] {
        let mut outbox = Outbox::default();
        let receivers = [("critical", Critical), ("warning", Warning)];
        let receivers = receivers.map(|(name, severity)| receiver(name, &[severity]));
        outbox.set_receivers(receivers.to_vec(), at(0));
        let mut alerts = Alerts::default();
        let place = Place {
            server: Arc::from("EX01"),
            connector: Arc::from("Outbound"),
        };
        let mut now = at(0);
        for severity in course {
            let found = confirmed(*severity);
            for notice in alerts.update(&place, &[found], now) {
                outbox.add(&Arc::new(notice), now);
            }
            now = later(now, Duration::from_secs(86_400));
        }
        for notice in alerts.update(&place, &[], now) {
            outbox.add(&Arc::new(notice), now);
        }
        let waiting: Vec<_> = outbox.status().iter().map(|it| it.waiting).collect();
        assert_eq!(waiting, [critical, warning], "{course:?}");
    }
}
