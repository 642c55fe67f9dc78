//! Stories: what is put in, what came of it, and what goes out when.

mod fallback;

use super::*;
use crate::pipeline::alert::Alerts;
use crate::pipeline::alert::findings::Confirmed;
use crate::pipeline::saved::Changes;
use crate::pipeline::saved::Saved;
use crate::pipeline::saved::Table;
use crate::pipeline::saved::Written;
use crate::pipeline::session::Place;
use crate::pipeline::verdict::reason::AlertName;
use crate::pipeline::verdict::reason::Reason;
use crate::pipeline::verdict::reason::ReasonCode;

const RETRY: Outcome = Outcome::Retry {
    reason: FailureReason::ServerError,
    after: None,
};
pub(super) const ALL: [Severity; 2] = [Severity::Critical, Severity::Warning];

pub(super) fn at(second: u64) -> Timestamp {
    later(Timestamp::UNIX_EPOCH, Duration::from_secs(second))
}

pub(super) fn receiver(name: &str, severities: &[Severity]) -> Receiver {
    Receiver::new(name, "webhook", severities)
}

pub(super) fn outbox(names: &[&str]) -> Outbox {
    let mut outbox = Outbox::default();
    let receivers = names.iter().map(|name| receiver(name, &ALL)).collect();
    outbox.set_receivers(receivers, at(0));
    outbox
}

/// A trigger and its resolve.
pub(super) fn notices(connector: &str) -> [Arc<Notice>; 2] {
    let place = Place {
        server: Arc::from("EX01"),
        connector: Arc::from(connector),
    };
    let confirmed = Confirmed {
        alert: AlertName::ConnectorCertificateMismatch,
        reason: Reason {
            code: ReasonCode::NameMismatch,
            severity: Severity::Critical,
            since: None,
            expected: String::new(),
            observed: String::new(),
            message: String::new(),
            action: String::new(),
        },
        since: at(0),
    };
    let mut alerts = Alerts::default();
    [&[confirmed][..], &[]]
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
fn a_refused_message_is_tried_once_more_with_less_and_then_holds_up_nothing() {
    let mut outbox = outbox(&["oncall"]);
    let [trigger, resolve] = notices("one");
    outbox.add(&trigger, at(0));
    outbox.add(&resolve, at(0));
    assert!(!outbox.due(at(0))[0].minimal);
    outbox.answered(1, Outcome::Refused, at(0), 0.0);
    assert_eq!(numbers(&mut outbox, 1), [0; 0]);
    let again = outbox.due(at(2));
    assert_eq!((again[0].number, again[0].minimal), (1, true));
    outbox.answered(1, Outcome::Refused, at(2), 0.0);
    assert_eq!(numbers(&mut outbox, 2), [2]);
    let status = outbox.status().remove(0);
    assert_eq!((status.given_up, status.waiting, status.dead), (1, 1, 1));
    assert_eq!(status.failed[&FailureReason::ClientError], 2);
}

#[test]
fn a_dead_letter_can_be_sent_again_or_thrown_away() {
    let mut outbox = outbox(&["oncall"]);
    for connector in ["one", "two", "three"] {
        outbox.add(&notices(connector)[0], at(0));
    }
    for second in [0, 2] {
        for number in numbers(&mut outbox, second) {
            outbox.answered(number, Outcome::Refused, at(second), 0.0);
        }
    }
    let dead: Vec<_> = outbox.letters().iter().map(|it| it.death).collect();
    assert_eq!(dead, [Some(DeathReason::Refused); 3]);
    assert_eq!(outbox.replay(2, at(9)), Replay::Due);
    assert_eq!(outbox.replay(9, at(9)), Replay::Unknown);
    let again = outbox.due(at(9));
    assert_eq!(
        (again[0].number, again[0].minimal),
        (2, false),
        "as a whole"
    );
    assert_eq!(outbox.discard(2), Discard::UnderWay);
    assert_eq!(outbox.replay(2, at(9)), Replay::UnderWay);
    assert_eq!(outbox.discard(3), Discard::Gone);
    assert_eq!(outbox.discard(3), Discard::Unknown);
    outbox.answered(2, Outcome::Delivered, at(9), 0.0);
    let left: Vec<_> = outbox.letters().iter().map(|it| it.number).collect();
    assert_eq!(left, [1]);
}

#[test]
fn a_dead_letter_does_not_come_after_what_overtook_it() {
    let mut outbox = outbox(&["oncall"]);
    let [trigger, resolve] = notices("one");
    outbox.add(&trigger, at(0));
    outbox.add(&resolve, at(0));
    for second in [0, 2] {
        assert_eq!(numbers(&mut outbox, second), [1]);
        outbox.answered(1, Outcome::Refused, at(second), 0.0);
    }
    assert_eq!(numbers(&mut outbox, 2), [2]);
    assert_eq!(
        outbox.replay(1, at(2)),
        Replay::UnderWay,
        "the one behind it"
    );
    outbox.answered(2, RETRY, at(2), 0.0);
    // Before the resolve is delivered, there is still time.
    assert_eq!(outbox.replay(1, at(3)), Replay::Due);
    assert_eq!(numbers(&mut outbox, 9), [1], "first things first");
    for second in [9, 11] {
        outbox.answered(1, Outcome::Refused, at(second), 0.0);
        assert_eq!(numbers(&mut outbox, second + 2).len(), 1);
    }
    outbox.answered(2, Outcome::Delivered, at(13), 0.0);
    assert_eq!(outbox.replay(1, at(14)), Replay::Overtaken);
    assert!(outbox.letters()[0].overtaken);
    assert_eq!(outbox.discard(1), Discard::Gone);
}

#[test]
fn a_clock_that_is_set_back_by_hours_holds_up_no_retry() {
    let day = 86_400;
    let after = Some(Duration::from_secs(600));
    let reason = FailureReason::RateLimited;
    for (outcome, wait) in [
        (RETRY, 2),
        (Outcome::Misconfigured { reason }, 900),
        (Outcome::Retry { reason, after }, 600),
    ] {
        let mut outbox = outbox(&["oncall"]);
        outbox.add(&notices("one")[0], at(day));
        assert_eq!(numbers(&mut outbox, day), [1]);
        outbox.answered(1, outcome, at(day), 0.0);
        assert_eq!(numbers(&mut outbox, 100), [0; 0], "a day back");
        let waits = numbers(&mut outbox, 100 + wait - 1);
        assert_eq!(waits, [0; 0], "{outcome:?}");
        assert_eq!(numbers(&mut outbox, 100 + wait), [1], "{outcome:?}");
    }
}

#[test]
fn a_clock_that_is_set_back_over_a_restart_makes_no_pause_longer() {
    let (receivers, day) = ([receiver("oncall", &ALL)], 86_400);
    let mut saved = Saved::default();
    let mut outbox = Outbox::restore(&saved).unwrap();
    outbox.set_receivers(receivers.to_vec(), at(day));
    outbox.add(&notices("one")[0], at(day));
    let mut outbox = revived(&mut outbox, &mut saved, &receivers, at(day));
    assert_eq!(numbers(&mut outbox, day), [1]);
    let pause = Outcome::Retry {
        reason: FailureReason::RateLimited,
        after: Some(Duration::from_secs(600)),
    };
    outbox.answered(1, pause, at(day), 0.0);
    let mut outbox = revived(&mut outbox, &mut saved, &receivers, at(100));
    assert_eq!(numbers(&mut outbox, 100), [0; 0]);
    assert_eq!(numbers(&mut outbox, 699), [0; 0]);
    assert_eq!(numbers(&mut outbox, 700), [1]);
}

#[test]
fn of_several_pauses_the_longest_counts() {
    let mut outbox = outbox(&["oncall"]);
    for connector in ["one", "two"] {
        outbox.add(&notices(connector)[0], at(0));
    }
    assert_eq!(numbers(&mut outbox, 0), [1, 2]);
    let reason = FailureReason::RateLimited;
    for (number, seconds) in [(1, 60), (2, 5)] {
        let after = Some(Duration::from_secs(seconds));
        outbox.answered(number, Outcome::Retry { reason, after }, at(0), 1.0);
    }
    assert_eq!(numbers(&mut outbox, 65), [0; 0]);
    assert_eq!(numbers(&mut outbox, 66), [1, 2]);
    // A pause is what the receiver asks for, however often a message has been tried.
    for tries in 0..9 {
        let after = Some(Duration::from_secs(3));
        outbox.answered(
            1,
            Outcome::Retry { reason, after },
            at(100 + tries * 3),
            0.0,
        );
        assert_eq!(numbers(&mut outbox, 103 + tries * 3), [1]);
    }
}

#[test]
fn what_grew_too_old_is_a_dead_letter_and_only_so_many_are_kept() {
    let mut outbox = outbox(&["oncall"]);
    for _ in 0..MAX_DEAD + 3 {
        outbox.add(&notices("one")[0], at(0));
    }
    assert_eq!(numbers(&mut outbox, 25 * 3600), [0; 0]);
    let letters = outbox.letters();
    assert_eq!(letters.len(), MAX_DEAD);
    assert_eq!(letters[0].number, 4, "the oldest went first");
    assert_eq!(letters[0].death, Some(DeathReason::TooOld));
}

#[test]
fn a_resolve_goes_to_who_was_told_whatever_its_severity_is_by_then() {
    let mut outbox = Outbox::default();
    let receivers = vec![
        receiver("critical", &[Severity::Critical]),
        receiver("warning", &[Severity::Warning]),
    ];
    outbox.set_receivers(receivers, at(0));
    let [trigger, resolve] = notices("one");
    outbox.add(&trigger, at(0));
    let milder = Notice {
        severity: Severity::Warning,
        ..(*resolve).clone()
    };
    outbox.add(&Arc::new(milder.clone()), at(1));
    let waiting =
        |outbox: &Outbox| -> Vec<usize> { outbox.status().iter().map(|it| it.waiting).collect() };
    assert_eq!(waiting(&outbox), [2, 0]);
    outbox.add(&Arc::new(milder), at(2));
    assert_eq!(waiting(&outbox), [2, 0], "it is over for everybody");
}

#[test]
fn a_receiver_hears_of_its_connectors_and_of_what_belongs_to_none() {
    let mut outbox = Outbox::default();
    let pattern = ConnectorPattern::new("Outbound*").unwrap();
    let picky = Receiver {
        connectors: vec![pattern],
        ..receiver("picky", &ALL)
    };
    outbox.set_receivers(vec![picky], at(0));
    for (connector, waiting) in [("Inbound", 0), ("outbound to x", 1), ("", 2)] {
        outbox.add(&notices(connector)[0], at(0));
        assert_eq!(outbox.status()[0].waiting, waiting, "{connector}");
    }
}

#[test]
fn a_receiver_takes_so_many_a_minute() {
    let mut outbox = Outbox::default();
    let rate = Rate {
        burst: 2,
        per_minute: 30,
    };
    let slow = Receiver {
        rate,
        ..receiver("slow", &ALL)
    };
    outbox.set_receivers(vec![slow], at(0));
    for connector in 0..6 {
        outbox.add(&notices(&connector.to_string())[0], at(0));
    }
    for (second, expected) in [
        (0, &[1, 2][..]),
        (1, &[]),
        (2, &[3]),
        (3, &[]),
        (60, &[4, 5]),
    ] {
        let due = numbers(&mut outbox, second);
        assert_eq!(due, expected, "at {second}");
        for number in due {
            outbox.answered(number, Outcome::Delivered, at(second), 0.0);
        }
    }
}

#[test]
fn a_reload_keeps_what_waits_by_name() {
    let mut outbox = outbox(&["stays", "goes"]);
    outbox.add(&notices("one")[0], at(0));
    assert_eq!(numbers(&mut outbox, 0), [1, 2]);
    let receivers = vec![receiver("comes", &ALL), receiver("stays", &ALL)];
    let dropped = outbox.set_receivers(receivers.clone(), at(1));
    let (receiver, messages) = (Arc::from("goes"), 1);
    assert_eq!(dropped, [Dropped { receiver, messages }]);
    assert_eq!(outbox.set_receivers(receivers, at(1)), []);
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

/// The outbox as it is after a crash, with what was committed until now.
fn revived(
    outbox: &mut Outbox,
    saved: &mut Saved,
    receivers: &[Receiver],
    now: Timestamp,
) -> Outbox {
    let mut changes = Changes::default();
    let mut written = Written::of(saved);
    outbox.take_changes(&mut written, &mut changes);
    outbox.committed();
    saved.apply(&changes);
    let mut revived = Outbox::restore(saved).unwrap();
    revived.set_receivers(receivers.to_vec(), now);
    revived
}

#[test]
fn an_end_waits_until_its_beginning_is_gone_from_the_disk_too() {
    let receivers = [receiver("one", &ALL)];
    let [trigger, resolve] = notices("a");
    let outcomes = [Some(Outcome::Delivered), Some(Outcome::Refused), None];
    for outcome in outcomes {
        let mut saved = Saved::default();
        let mut outbox = Outbox::restore(&saved).unwrap();
        outbox.set_receivers(receivers.to_vec(), at(0));
        outbox.add(&trigger, at(0));
        outbox.add(&resolve, at(0));
        let mut outbox = revived(&mut outbox, &mut saved, &receivers, at(0));
        match outcome {
            Some(Outcome::Refused) => {
                for second in [0, 2] {
                    assert_eq!(numbers(&mut outbox, second), [1]);
                    outbox.answered(1, Outcome::Refused, at(second), 0.0);
                }
            }
            Some(outcome) => {
                assert_eq!(numbers(&mut outbox, 0), [1]);
                outbox.answered(1, outcome, at(0), 0.0);
            }
            None => assert_eq!(outbox.discard(1), Discard::Gone),
        }
        assert!(outbox.is_urgent(), "{outcome:?}");
        assert_eq!(numbers(&mut outbox, 2), [0; 0], "{outcome:?}");
        // Killed now, it would begin anew; committed, it goes on.
        let mut changes = Changes::default();
        outbox.take_changes(&mut Written::of(&saved), &mut changes);
        outbox.committed();
        assert!(!outbox.is_urgent());
        assert_eq!(numbers(&mut outbox, 2), [2], "{outcome:?}");
    }
}

#[test]
fn messages_and_counts_outlive_a_crash() {
    let receivers = [receiver("one", &ALL), receiver("two", &ALL)];
    let [trigger, resolve] = notices("a");
    let mut saved = Saved::default();
    let mut outbox = Outbox::restore(&saved).unwrap();
    outbox.set_receivers(receivers.to_vec(), at(0));
    outbox.add(&trigger, at(0));
    outbox.add(&resolve, at(1));
    assert!(
        outbox.due(at(1)).is_empty(),
        "nothing goes out before it is committed"
    );
    let mut outbox = revived(&mut outbox, &mut saved, &receivers, at(1));
    let under_way = outbox.due(at(1));
    assert_eq!(under_way.len(), 2);
    // Whether they arrived nobody knows: they go out again, with the same ids.
    let mut outbox = revived(&mut outbox, &mut saved, &receivers, at(2));
    let again = outbox.due(at(2));
    let ids = |due: &[Delivery]| -> Vec<_> {
        due.iter()
            .map(|it| (it.number, it.notice.id.clone()))
            .collect()
    };
    assert_eq!(ids(&again), ids(&under_way));
    outbox.answered(again[0].number, Outcome::Delivered, at(3), 0.0);
    let pause = Outcome::Retry {
        reason: FailureReason::RateLimited,
        after: Some(Duration::from_secs(100)),
    };
    outbox.answered(again[1].number, pause, at(3), 0.0);
    let before = outbox.status();
    let mut outbox = revived(&mut outbox, &mut saved, &receivers, at(4));
    assert_eq!(format!("{:?}", outbox.status()), format!("{before:?}"));
    let due = outbox.due(at(4));
    assert_eq!(due.len(), 1, "the paused receiver is left in peace");
    assert!(
        due[0].notice.is_resolved(),
        "and the other gets what comes next"
    );
    outbox.add(&notices("b")[0], at(5));
    let numbers: Vec<u64> = saved
        .texts(Table::Message)
        .map(|(key, _)| key.parse().unwrap())
        .collect();
    assert_eq!(numbers.len(), 3);
    let mut outbox = revived(&mut outbox, &mut saved, &receivers[..1], at(200));
    assert_eq!(outbox.status().len(), 1);
    revived(&mut outbox, &mut saved, &receivers[..1], at(200));
    assert_eq!(
        saved.texts(Table::Receiver).count(),
        1,
        "a receiver that is gone leaves nothing"
    );
    let newest = saved
        .texts(Table::Message)
        .map(|(key, _)| key.parse::<u64>().unwrap())
        .max();
    assert!(
        newest > numbers.last().copied(),
        "numbers are never used again"
    );
}
