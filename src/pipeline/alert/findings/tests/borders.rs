//! Where each rule of counting begins and ends, to the second.

use super::*;

#[test]
fn a_session_ten_minutes_older_than_the_newest_still_counts() {
    play(
        false,
        &[
            ("600 good", &[]),
            ("601@0 bad", &[MISMATCH]),
            ("602@1 bad", &[MISMATCH]),
        ],
    );
    play(
        false,
        &[("601 good", &[]), ("602@0 bad", &[]), ("603@0 bad", &[])],
    );
}

/// The session comes in the same pass in which the time has come: there is no look between them.
#[test]
fn what_time_has_ended_needs_no_second_session() {
    play(
        false,
        &[("0 soon", &[]), ("29 soon", &[]), ("31 soon", &[MISMATCH])],
    );
}

#[test]
fn a_reason_is_no_older_for_a_denial_beside_it() {
    let mut stage = Stage::new(Inventory::default());
    assert_eq!(stage.at(0, "good"), []);
    for session in [1, 2] {
        stage.denied(session, 1);
    }
    assert_eq!(stage.at(2, ""), [(DENIED, 1)]);
    assert_eq!(stage.at(10, "bad"), [(DENIED, 1)]);
    // Two sessions with another certificate that are not refused end the denial.
    assert_eq!(stage.at(11, "bad"), [(MISMATCH, 10), (CHANGED, 10)]);
    // One that the clock brings.
    let mut stage = Stage::new(Inventory::default());
    assert_eq!(stage.at(0, "soon"), []);
    for session in [1, 2] {
        stage.denied(session, 1);
    }
    assert_eq!(stage.at(2, ""), [(DENIED, 1)]);
    let ended = -(13 * HOUR + 59 * 60 + 30);
    assert_eq!(stage.at(31, ""), [(MISMATCH, ended), (DENIED, 1)]);
}

#[test]
fn a_denial_after_an_acceptance_is_another_one() {
    let mut stage = Stage::new(Inventory::default());
    assert_eq!(stage.at(0, "good"), []);
    for session in [1, 2] {
        stage.denied(session, 1);
    }
    assert_eq!(stage.at(10, ""), [(DENIED, 1)]);
    // All of it in one pass: accepted, a session, refused again.
    stage.findings.relayed(false, at(2000));
    let good = presentation("good").unwrap();
    let bench = Bench {
        server: "EX01",
        connector: "Outbound",
        expectation: &stage.expectation,
        inventory: &stage.inventory,
        settings: &Settings::default(),
        now: at(10),
    };
    stage.findings.session(&good, at(2001), bench);
    for session in [3, 4] {
        stage.denied(session, 2002);
    }
    assert_eq!(stage.at(2003, ""), [(DENIED, 2002)]);
}

#[test]
fn what_ended_half_an_hour_ago_is_forgotten() {
    for (again, is_steady) in [(1801, false), (1802, true)] {
        let line = |second: i64, what: &str| -> &'static str {
            Box::leak(format!("{second} {what}").into_boxed_str())
        };
        // Gone at the second 2 with the third session; back again later.
        let story: Vec<Line> = vec![
            (line(0, "bad"), &[]),
            (line(0, "bad"), &[MISMATCH]),
            (line(1, "good"), &[MISMATCH]),
            (line(2, "good"), &[]),
            (line(again, "bad"), &[]),
            (line(again, "bad"), &[MISMATCH]),
            (line(again + 1, "good"), &[MISMATCH]),
            (
                line(again + 2, "good"),
                if is_steady { &[] } else { &[MISMATCH] },
            ),
        ];
        play(false, &story);
    }
}

/// A state that an older certdrift kept does not say whether mail with a sender was refused; then it may have been.
#[test]
fn a_denial_kept_by_an_older_certdrift_is_of_any_mail() {
    let mut stage = Stage::new(Inventory::default());
    for session in [1, 2] {
        stage.denied(session, 1);
    }
    let mut kept = serde_json::to_value(&stage.findings).unwrap();
    let denial = kept["denial"].as_object_mut().unwrap();
    assert!(denial.remove("with_sender").is_some());
    assert!(denial.remove("null_sender").is_some());
    stage.findings = serde_json::from_value(kept).unwrap();
    stage.at(2, "good");
    let told = stage.findings.confirmed();
    assert_eq!(told.len(), 1);
    let message = &told[0].reason.message;
    assert!(!message.contains("null sender"), "{message}");
}

#[test]
fn a_quiet_period_needs_time_and_traffic() {
    let mut story: Vec<Line> = vec![
        ("0 good", &[]),
        ("1 denied 1", &[]),
        ("2 denied 2", &[DENIED]),
        ("21603", &[DENIED]),
    ];
    story.extend([("21603 good", &[DENIED] as &[_]); 9]);
    for last in ["21603 good", "21603 renewed"] {
        story.push((last, &[]));
        play(false, &story);
        story.pop();
    }
    let mut story: Vec<Line> = vec![
        ("0 good", &[]),
        ("1 denied 1", &[]),
        ("2 denied 2", &[DENIED]),
    ];
    story.extend([("21601 good", &[DENIED] as &[_]); 12]);
    story.push(("21602 good", &[]));
    play(false, &story);
}

#[test]
fn a_denial_that_was_over_half_an_hour_ago_is_a_new_one() {
    for (again, is_steady) in [(1802, false), (1803, true)] {
        let line = |second: i64, what: &str| -> &'static str {
            Box::leak(format!("{second} {what}").into_boxed_str())
        };
        let story: Vec<Line> = vec![
            (line(0, "good"), &[]),
            (line(1, "denied 1"), &[]),
            (line(2, "denied 2"), &[DENIED]),
            (line(3, "relayed"), &[]),
            (line(again, "denied 3"), &[]),
            (line(again, "denied 4"), &[DENIED]),
            (
                line(again + 1, "relayed"),
                if is_steady { &[] } else { &[DENIED] },
            ),
        ];
        play(false, &story);
    }
}
