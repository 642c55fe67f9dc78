//! Stories of what comes and goes.

use super::*;

fn play_owned(story: &[(String, &'static [&'static str])]) {
    let lines = story.iter();
    let lines: Vec<Line> = lines
        .map(|(line, alerts)| -> Line { (Box::leak(line.clone().into_boxed_str()), alerts) })
        .collect();
    play(false, &lines);
}

#[test]
fn what_comes_and_goes_is_told_once_and_over_when_it_has_stayed_away() {
    let mut story: Vec<(String, &[&str])> = Vec::new();
    // One bad session among good ones, a hundred times.
    for turn in 0..100 {
        let told: &[&str] = if turn == 0 { &[] } else { &[MISMATCH] };
        story.push((format!("{} bad", 3 * turn), told));
        story.push((format!("{} good", 3 * turn + 1), told));
        story.push((format!("{} good", 3 * turn + 2), told));
    }
    story.push(("300 good".to_owned(), &[MISMATCH]));
    story.push(("2096 good".to_owned(), &[MISMATCH]));
    story.push(("2097 good".to_owned(), &[]));
    play_owned(&story);
    // Two and two: the first two good ones are believed, later ones are not.
    let mut story: Vec<(String, &[&str])> = Vec::new();
    for turn in 0..25 {
        let told = |since: i64| -> &[&str] {
            if (turn, since) > (1, 0) || (turn, since) == (0, 1) || (turn, since) == (0, 2) {
                &[MISMATCH]
            } else {
                &[]
            }
        };
        for (since, what) in [(0, "bad"), (1, "bad"), (2, "good"), (3, "good")] {
            story.push((format!("{} {what}", 4 * turn + since), told(since)));
        }
    }
    story.push(("1896".to_owned(), &[MISMATCH]));
    story.push(("1897".to_owned(), &[]));
    // Then it is as if it had never been.
    story.push(("5000 bad".to_owned(), &[]));
    story.push(("5001 bad".to_owned(), &[MISMATCH]));
    story.push(("5002 good".to_owned(), &[MISMATCH]));
    story.push(("5003 good".to_owned(), &[]));
    play_owned(&story);
}

#[test]
fn two_sessions_confirm_each_other_only_within_a_while() {
    play(
        false,
        &[
            ("0 bad", &[]),
            ("1 good", &[]),
            ("2 good", &[]),
            ("1800 bad", &[]),
            ("1801 good", &[]),
            ("1802 good", &[]),
            ("3599 bad", &[MISMATCH]),
        ],
    );
}

#[test]
fn a_denial_that_comes_and_goes_is_told_twice_at_most() {
    play(
        false,
        &[
            ("0 good", &[]),
            ("1 denied 1", &[]),
            ("2 denied 2", &[DENIED]),
            ("3 relayed", &[]),
            ("4 denied 3", &[]),
            ("5 denied 4", &[DENIED]),
            ("6 relayed", &[DENIED]),
            ("7 renewed", &[DENIED]),
            ("8 renewed", &[DENIED]),
            ("1804 relayed", &[DENIED]),
            ("1805 relayed", &[]),
        ],
    );
}
