//! A file alone: when it is looked at, and when it is believed to be another.

use super::*;
use crate::daemon::clock;

fn followed() -> (Followed, Instant) {
    let now = clock::instant();
    (
        Followed::new(FileId(1), "SEND2026010100-1.LOG", Some(0), now),
        now,
    )
}

#[test]
fn another_file_is_believed_after_three_opens_over_ten_seconds() {
    let (mut file, now) = followed();
    let at = |seconds| now + Duration::from_secs(seconds);
    for second in [0, 1, 2, 9] {
        assert!(!file.weigh(Evidence::Another, at(second)), "too soon");
    }
    assert!(!file.weigh(Evidence::Same, at(10)));
    for second in [11, 22] {
        assert!(!file.weigh(Evidence::Another, at(second)), "too few");
    }
    assert!(!file.weigh(Evidence::Unknown, at(23)), "it proves nothing");
    assert!(file.weigh(Evidence::Another, at(24)));
}

#[test]
fn an_unreadable_file_is_left_alone_for_longer_each_time() {
    let (mut file, now) = followed();
    file.back_off("unreadable".to_owned(), now);
    assert!(!file.is_due(false, now) && file.is_due(false, now + MIN_BACKOFF));
    for _ in 0..10 {
        file.back_off("unreadable".to_owned(), now);
    }
    assert!(file.is_due(false, now + MAX_BACKOFF) && !file.is_due(false, now + MAX_BACKOFF / 2));
    assert_eq!(file.trouble(), Some("unreadable"));
    file.recover();
    assert!(file.trouble().is_none() && file.is_due(false, now));
}

#[test]
fn a_still_file_with_a_newer_one_is_done() {
    let (mut file, now) = followed();
    let at = |seconds| now + Duration::from_secs(seconds);
    file.sized(10, at(0));
    assert!(!file.is_done(true, at(119)));
    assert!(!file.is_done(false, at(120)));
    assert!(file.is_done(true, at(120)));
    file.finished = true;
    assert!(!file.is_done(true, at(120)) && !file.is_due(true, at(120)));
    assert!(file.is_due(true, at(600)), "now and then");
    file.sized(12, at(600));
    assert!(!file.finished, "it grew after all");
}
