//! What begins, ends, repeats and grows graver, and who is told of it.

use std::sync::Arc;

use super::*;
use crate::pipeline::verdict::reason::ReasonCode;

fn place(connector: &str) -> Place {
    Place {
        server: Arc::from("EX01"),
        connector: Arc::from(connector),
    }
}

fn at(second: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::from_secs(second)
}

fn confirmed(code: ReasonCode, severity: Severity, since: i64) -> Confirmed {
    Confirmed {
        alert: AlertName::ConnectorCertificateMismatch,
        reason: Reason {
            code,
            severity,
            since: None,
            expected: String::new(),
            observed: String::new(),
            message: String::new(),
            action: String::new(),
        },
        since: at(since),
    }
}

#[test]
fn an_alert_is_told_when_it_begins_grows_graver_repeats_and_ends() {
    let one = confirmed(ReasonCode::NameMismatch, Severity::Warning, 0);
    let grave = confirmed(ReasonCode::Expired, Severity::Critical, 5);
    let both = [one.clone(), grave.clone()];
    let day = REPEAT.as_secs();
    let mut alerts = Alerts::default();
    let mut ids = std::collections::BTreeSet::new();
    for (second, found, told) in [
        (10, &[][..], None),
        (11, &both[..1], Some((Severity::Warning, None))),
        (12, &both[..1], None),
        (13, &both[..], Some((Severity::Critical, None))),
        (14, &both[1..], None),
        (13 + day - 1, &both[..], None),
        (13 + day, &both[..], Some((Severity::Critical, None))),
        (13 + day + 1, &both[..], None),
        (13 + 2 * day, &both[..1], Some((Severity::Warning, None))),
        (
            14 + 2 * day,
            &[],
            Some((Severity::Warning, Some(at(14 + 2 * day)))),
        ),
        (15 + 2 * day, &[], None),
    ] {
        let notices = alerts.update(&place("Outbound"), found, at(second));
        let said: Vec<_> = notices
            .iter()
            .map(|notice| (notice.severity, notice.ends_at))
            .collect();
        assert_eq!(said, Vec::from_iter(told), "at {second}");
        for notice in notices {
            let key = "certdrift/ConnectorCertificateMismatch/Outbound/EX01";
            assert_eq!((notice.key.as_str(), notice.starts_at), (key, at(0)));
            assert!(ids.insert(notice.id), "a message of its own at {second}");
        }
    }
}

#[test]
fn a_severity_that_changes_to_and_fro_is_told_once() {
    let warning = [confirmed(ReasonCode::Expiring, Severity::Warning, 0)];
    let critical = [confirmed(ReasonCode::Expiring, Severity::Critical, 0)];
    let day = REPEAT.as_secs();
    let mut alerts = Alerts::default();
    for (second, found, told) in [
        (0, &warning, Some(Severity::Warning)),
        (1, &critical, Some(Severity::Critical)),
        (2, &warning, None),
        (3, &critical, None),
        (4, &warning, None),
        // From here on it was a warning for all that anybody was told.
        (1 + day, &warning, Some(Severity::Warning)),
        (2 + day, &critical, Some(Severity::Critical)),
        (3 + day, &warning, None),
        (4 + day, &critical, None),
    ] {
        let notices = alerts.update(&place("Outbound"), found, at(second));
        let said: Vec<_> = notices.iter().map(|notice| notice.severity).collect();
        assert_eq!(said, Vec::from_iter(told), "at {second}");
    }
    // Over, and another episode.
    assert_eq!(alerts.update(&place("Outbound"), &[], at(day * 2)).len(), 1);
    for found in [&warning, &critical] {
        let told = alerts.update(&place("Outbound"), found, at(day * 2 + 1));
        assert_eq!(told.len(), 1);
    }
}

#[test]
fn what_an_older_certdrift_kept_is_told_when_it_grows_graver() {
    let warning = [confirmed(ReasonCode::Expiring, Severity::Warning, 0)];
    let critical = [confirmed(ReasonCode::Expiring, Severity::Critical, 0)];
    for (kept, told) in [(&warning, 1), (&critical, 0)] {
        let mut alerts = Alerts::default();
        alerts.update(&place("Outbound"), kept, at(0));
        for firing in alerts.firing.values_mut() {
            let mut row = serde_json::to_value(&*firing).unwrap();
            assert!(row.as_object_mut().unwrap().remove("told").is_some());
            *firing = serde_json::from_value(row).unwrap();
        }
        let said = alerts.update(&place("Outbound"), &critical, at(1));
        assert_eq!(said.len(), told);
    }
}

#[test]
fn whoever_pastes_all_that_a_message_says_runs_the_gravest_remedy_only() {
    let with_action = |code, severity, action: &str| {
        let mut found = confirmed(code, severity, 0);
        action.clone_into(&mut found.reason.action);
        found
    };
    let found = [
        with_action(ReasonCode::BareDomain, Severity::Warning, "Set-A"),
        with_action(ReasonCode::NameMismatch, Severity::Critical, "Set-B"),
        with_action(ReasonCode::ThumbprintNotPinned, Severity::Critical, "Set-C"),
    ];
    let mut alerts = Alerts::default();
    let notices = alerts.update(&place("Outbound"), &found, at(10));
    let actions = notices[0].reasons.iter().map(|it| it.action.as_str());
    let expected = ["Set-B", "# or: Set-C", "# or: Set-A"];
    assert_eq!(actions.collect::<Vec<_>>(), expected);
}

#[test]
fn a_clock_that_is_set_back_by_days_puts_off_no_repetition() {
    let found = [confirmed(ReasonCode::NameMismatch, Severity::Critical, 0)];
    let day = REPEAT.as_secs();
    let mut alerts = Alerts::default();
    for (second, count) in [(3 * day, 1), (10, 0), (9 + day, 0), (10 + day, 1)] {
        let told = alerts.update(&place("Outbound"), &found, at(second));
        assert_eq!(told.len(), count, "at {second}");
    }
}

#[test]
fn the_first_message_is_known_as_such() {
    let found = [confirmed(ReasonCode::NameMismatch, Severity::Critical, 0)];
    let mut alerts = Alerts::default();
    let mut told = |found: &[Confirmed], second| {
        let mut notices = alerts.update(&place("Outbound"), found, at(second));
        notices.remove(0).is_first
    };
    assert!(told(&found, 10));
    assert!(!told(&found, 10 + REPEAT.as_secs()), "a repetition");
    assert!(!told(&[], 11 + REPEAT.as_secs()), "the end");
    assert!(told(&found, 12 + REPEAT.as_secs()), "a new beginning");
    assert!(!told(&[], 13 + REPEAT.as_secs()), "its end, not repeated");
}

/// A restart between two episodes that began at the same time must not make their messages the same.
#[test]
fn episodes_are_counted_on_over_a_restart() {
    let found = [confirmed(ReasonCode::Expired, Severity::Critical, 0)];
    let restart = |alerts: &Alerts| {
        let firing: Vec<String> = alerts
            .firing()
            .map(|it| serde_json::to_string(it).unwrap())
            .collect();
        let episodes = serde_json::to_string(alerts.episodes()).unwrap();
        let kept = firing.iter().map(|it| {
            let firing: Firing = serde_json::from_str(it).unwrap();
            ((firing.place.clone(), firing.name), firing)
        });
        let kept = kept.collect();
        let episodes = serde_json::from_str(&episodes).unwrap();
        let kept = Alerts {
            firing: kept,
            episodes,
        };
        (kept, firing)
    };
    let mut alerts = Alerts::default();
    let mut ids = std::collections::BTreeSet::new();
    for second in 0..6 {
        let found = if second % 2 == 0 { &found[..] } else { &[] };
        for notice in alerts.update(&place("Outbound"), found, at(second)) {
            assert!(ids.insert(notice.id), "a message of its own at {second}");
        }
        let (kept, firing) = restart(&alerts);
        alerts = kept;
        // What an older certdrift wrote, and can read, stays as it was.
        let is_told = firing.first().map(|it| it.contains("episode"));
        assert_eq!(is_told, (second % 2 == 0).then_some(second > 0));
    }
    assert_eq!(ids.len(), 6);
}

#[test]
fn two_that_read_the_same_logs_say_the_same() {
    let found = [confirmed(ReasonCode::NameMismatch, Severity::Critical, 0)];
    let told = |second: i64| {
        let mut alerts = Alerts::default();
        let trigger = alerts.update(&place("Outbound"), &found, at(second));
        let resolve = alerts.update(&place("Outbound"), &[], at(second + 1));
        (trigger[0].id.clone(), resolve[0].id.clone())
    };
    assert_eq!(told(10), told(20));
    assert_ne!(told(10).0, told(10).1);
}

#[test]
fn what_was_so_before_is_news_when_it_comes_again() {
    // Expired since its end, whenever it is presented.
    let found = [confirmed(ReasonCode::Expired, Severity::Critical, 0)];
    let mut alerts = Alerts::default();
    let mut ids = std::collections::BTreeSet::new();
    for second in 0..6 {
        let found = if second % 2 == 0 { &found[..] } else { &[] };
        let notice = alerts
            .update(&place("Outbound"), found, at(second))
            .remove(0);
        assert_eq!(notice.starts_at, at(0));
        assert!(ids.insert(notice.id), "at {second}");
    }
    let mut other = Alerts::default();
    let notice = other.update(&place("Outbound"), &found, at(9)).remove(0);
    assert!(ids.contains(&notice.id), "the first one has the usual id");
}

#[test]
fn one_connector_does_not_end_the_alert_of_another() {
    let found = [confirmed(ReasonCode::NameMismatch, Severity::Critical, 0)];
    let mut alerts = Alerts::default();
    assert_eq!(alerts.update(&place("one"), &found, at(1)).len(), 1);
    assert_eq!(alerts.update(&place("two"), &found, at(1)).len(), 1);
    assert_eq!(alerts.update(&place("two"), &[], at(2)).len(), 1);
    let firing: Vec<_> = alerts
        .firing()
        .map(|firing| &*firing.place.connector)
        .collect();
    assert_eq!(firing, ["one"]);
}

#[test]
fn long_names_have_short_keys_of_their_own() {
    let key = |last: char| {
        let connector = format!("{}{last}", "ä".repeat(300));
        key(AlertName::ConnectorRelayDenied, &place(&connector))
    };
    assert!(
        key('a').len() <= MAX_KEY_BYTES && key('a').starts_with("certdrift/ConnectorRelayDenied/")
    );
    assert_eq!(key('a'), key('a'));
    let hidden = super::key(AlertName::ConnectorRelayDenied, &place("a\u{202e}b\u{7}"));
    assert!(!hidden.chars().any(is_deceptive), "{hidden}");
    assert_ne!(key('a'), key('b'));
}

#[test]
fn an_alert_never_ends_before_it_begins() {
    let found = [confirmed(ReasonCode::NameMismatch, Severity::Critical, 100)];
    let mut alerts = Alerts::default();
    alerts.update(&place("one"), &found, at(50));
    let notice = alerts.update(&place("one"), &[], at(60)).pop().unwrap();
    assert_eq!(notice.ends_at, Some(at(100)));
}
