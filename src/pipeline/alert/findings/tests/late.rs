//! Rows of a directory that is read after others: what they say must not depend on that.

use super::*;

const DAY: i64 = 24 * HOUR;

/// Refusals or sessions at these seconds, each a story's `what`.
type Rows = Vec<(i64, &'static str)>;

fn every(seconds: i64, from: i64, times: i64, what: &'static str) -> Rows {
    let second = |number| from + number * seconds;
    (0..times).map(|number| (second(number), what)).collect()
}

/// What is confirmed after a day, when these directories are read in this order.
fn told(directories: &[&Rows]) -> Vec<(&'static str, i64)> {
    let mut stage = Stage::new(Inventory::default());
    let mut session = 0;
    for directory in directories {
        for (second, what) in *directory {
            if let Some(own) = what.strip_prefix("denied") {
                session += 1;
                let presented = presentation(own.trim());
                let refusal = Refusal {
                    reply: "550 5.7.64 TenantAttribution".to_owned(),
                    presented: presented.as_ref(),
                    null_sender: false,
                    session: SessionId(session),
                    time: at(*second),
                };
                stage.findings.denied(refusal, at(DAY));
            } else {
                let shown = presentation(what).unwrap();
                let bench = Bench {
                    server: "EX01",
                    connector: "Outbound",
                    expectation: &stage.expectation,
                    inventory: &stage.inventory,
                    settings: &Settings::default(),
                    now: at(DAY),
                };
                stage.findings.session(&shown, at(*second), bench);
            }
        }
    }
    let mut told = stage.at(DAY, "");
    told.retain(|(alert, _)| !BESIDES.contains(alert));
    told
}

#[test]
fn a_denial_is_the_same_whichever_directory_is_read_first() {
    let old = || every(120, 4 * HOUR, 3, "denied good");
    let standing: &[(&str, i64)] = &[(DENIED, 4 * HOUR)];
    for (what, other, expected) in [
        (
            "a quiet period with traffic has passed",
            every(60, DAY - 40 * 60, 30, "good"),
            &[][..],
        ),
        (
            "too little traffic",
            every(60, DAY - 40 * 60, 9, "good"),
            standing,
        ),
        (
            "too little time",
            every(60, 9 * HOUR + 59 * 60 - 30 * 60, 30, "good"),
            standing,
        ),
        (
            "another certificate",
            every(60, DAY - 40 * 60, 2, "renewed"),
            &[],
        ),
        (
            "now and then another certificate",
            vec![
                (10 * HOUR, "renewed"),
                (11 * HOUR, "good"),
                (12 * HOUR, "renewed"),
            ],
            standing,
        ),
        ("traffic before it", every(60, 0, 30, "good"), standing),
    ] {
        let old = old();
        assert_eq!(told(&[&old, &other]), expected, "{what}: in order");
        assert_eq!(told(&[&other, &old]), expected, "{what}: read late");
    }
}

#[test]
fn sessions_that_are_read_late_fill_a_quiet_period() {
    let newest: Rows = vec![(DAY - 60, "good")];
    let mut old = every(120, 4 * HOUR, 3, "denied good");
    old.extend(every(60, 5 * HOUR, 9, "good"));
    assert_eq!(told(&[&old, &newest]), []);
    assert_eq!(told(&[&newest, &old]), []);
    old.pop();
    assert_eq!(told(&[&old, &newest]), [(DENIED, 4 * HOUR)]);
    assert_eq!(told(&[&newest, &old]), [(DENIED, 4 * HOUR)]);
}

#[test]
fn refusals_that_are_read_late_put_off_no_end() {
    let mut stage = Stage::new(Inventory::default());
    for session in 0..2 {
        stage.denied(session, 10 * HOUR);
    }
    assert_eq!(stage.at(10 * HOUR, "good"), [(DENIED, 10 * HOUR)]);
    assert_eq!(stage.at(10 * HOUR + 60, "renewed").len(), 1);
    // Long before, and of no matter for what stands.
    stage.denied(2, 0);
    let told = stage.at(10 * HOUR + 120, "renewed");
    assert_eq!(told, [(CHANGED, 10 * HOUR + 60)]);
    // It has ended since.
    stage.denied(3, 9 * HOUR);
    let told = stage.at(10 * HOUR + 240, "");
    assert_eq!(told, [(CHANGED, 10 * HOUR + 60)]);
}
