//! Who is told when a receiver cannot be.

use super::*;

fn with_fallback() -> Outbox {
    let mut outbox = Outbox::default();
    let oncall = Receiver {
        fallback: Some(Arc::from("chat")),
        ..receiver("oncall", &ALL)
    };
    outbox.set_receivers(vec![oncall, receiver("chat", &[])], at(0));
    outbox
}

/// Number and receiver of each message that is due.
fn who(outbox: &mut Outbox, second: u64) -> Vec<(u64, String)> {
    let due = outbox.due(at(second));
    due.iter()
        .map(|it| (it.number, it.receiver.to_string()))
        .collect()
}

#[test]
fn the_fallback_is_told_at_once_and_once_and_of_the_end_too() {
    let mut outbox = with_fallback();
    let [trigger, resolve] = notices("one");
    outbox.add(&trigger, at(0));
    assert_eq!(who(&mut outbox, 0), [(1, "oncall".to_owned())]);
    let reason = FailureReason::AuthError;
    outbox.answered(1, Outcome::Misconfigured { reason }, at(0), 0.0);
    let told = outbox.due(at(0));
    assert_eq!((told.len(), &*told[0].receiver), (1, "chat"));
    assert_eq!(told[0].notice.id, trigger.id, "the same message");
    outbox.answered(2, Outcome::Delivered, at(0), 0.0);
    assert_eq!(who(&mut outbox, 900), [(1, "oncall".to_owned())]);
    outbox.answered(1, Outcome::Misconfigured { reason }, at(900), 0.0);
    assert_eq!(who(&mut outbox, 901), [], "not a second time");
    outbox.add(&resolve, at(902));
    assert_eq!(who(&mut outbox, 902), [(4, "chat".to_owned())]);
}

#[test]
fn a_receiver_that_is_gone_stays_off_until_a_reload() {
    let mut outbox = with_fallback();
    for connector in ["one", "two"] {
        outbox.add(&notices(connector)[0], at(0));
    }
    assert_eq!(numbers(&mut outbox, 0), [1, 2]);
    outbox.answered(1, Outcome::Gone, at(0), 0.0);
    assert!(outbox.status()[0].off);
    let chat: Vec<_> = who(&mut outbox, 0).into_iter().map(|(_, it)| it).collect();
    assert_eq!(chat, ["chat", "chat"], "both");
    outbox.answered(2, RETRY, at(1), 0.0);
    outbox.add(&notices("three")[0], at(2));
    assert_eq!(who(&mut outbox, 2), [(6, "chat".to_owned())], "at once");
    outbox.set_receivers(vec![receiver("oncall", &ALL)], at(4));
    assert_eq!(numbers(&mut outbox, 4), [1, 2, 5]);
    assert!(!outbox.status()[0].off);
}

#[test]
fn the_end_is_handed_over_with_the_beginning_and_nobody_is_told_twice() {
    let mut outbox = with_fallback();
    let [trigger, resolve] = notices("one");
    outbox.add(&trigger, at(0));
    outbox.add(&resolve, at(1));
    // Given up after a day; the resolve waits behind it.
    let day = 24 * 3600 + 1;
    let told = |due: Vec<Delivery>| -> Vec<(String, bool)> {
        let told = due.iter();
        told.map(|it| (it.receiver.to_string(), it.notice.is_resolved()))
            .collect()
    };
    let both = [("oncall".to_owned(), true), ("chat".to_owned(), false)];
    let mut first = told(outbox.due(at(day)));
    first.extend(told(outbox.due(at(day))));
    assert_eq!(first, both);
    outbox.answered(3, Outcome::Delivered, at(day), 0.0);
    assert_eq!(told(outbox.due(at(day))), [("chat".to_owned(), true)]);
    outbox.answered(4, Outcome::Delivered, at(day), 0.0);
    let reason = FailureReason::AuthError;
    outbox.answered(2, Outcome::Misconfigured { reason }, at(day), 0.0);
    assert_eq!(told(outbox.due(at(day))), [], "it has heard of the end");
}

#[test]
fn who_is_told_anyway_is_not_told_in_anothers_stead() {
    let mut outbox = with_fallback();
    let oncall = Receiver {
        fallback: Some(Arc::from("chat")),
        ..receiver("oncall", &ALL)
    };
    outbox.set_receivers(vec![oncall, receiver("chat", &ALL)], at(0));
    outbox.add(&notices("one")[0], at(0));
    assert_eq!(numbers(&mut outbox, 0), [1, 2]);
    let reason = FailureReason::AuthError;
    outbox.answered(1, Outcome::Misconfigured { reason }, at(0), 0.0);
    outbox.answered(2, Outcome::Delivered, at(0), 0.0);
    assert_eq!(who(&mut outbox, 1), []);
}

#[test]
fn what_a_newcomer_cannot_be_told_is_told_its_fallback() {
    let oncall = Receiver {
        fallback: Some(Arc::from("chat")),
        ..receiver("oncall", &ALL)
    };
    for (severities, expected) in [(&[][..], &["chat"][..]), (&ALL, &[])] {
        let mut outbox = Outbox::default();
        outbox.set_receivers(vec![oncall.clone(), receiver("chat", severities)], at(0));
        let [trigger, _] = notices("one");
        assert!(outbox.has_newcomers());
        assert!(!outbox.has_newcomers(), "once for each reading");
        assert!(outbox.catch_up(&trigger, at(0)));
        assert!(!outbox.catch_up(&trigger, at(0)));
        let reason = FailureReason::AuthError;
        for delivery in outbox.due(at(0)) {
            let outcome = match &*delivery.receiver {
                "oncall" => Outcome::Misconfigured { reason },
                _ => Outcome::Delivered,
            };
            outbox.answered(delivery.number, outcome, at(0), 0.0);
        }
        let told: Vec<_> = who(&mut outbox, 1).into_iter().map(|it| it.1).collect();
        assert_eq!(told, expected);
    }
}

/// What a fallback hears of that is added when the messages of these connectors are dead, at once or by a restart: of
/// `fires` the alert goes on, `ended` is over and its end was delivered, of `dropped` the end was thrown away, and of
/// `dead` the end has died as well.
#[test]
fn a_fallback_that_is_added_later_hears_of_what_still_fires() {
    let with_chat = Receiver {
        fallback: Some(Arc::from("chat")),
        ..receiver("oncall", &ALL)
    };
    let later = [with_chat, receiver("chat", &[])];
    for over_a_restart in [false, true] {
        let mut saved = Saved::default();
        let mut outbox = Outbox::restore(&saved).unwrap();
        let before = [receiver("oncall", &ALL), receiver("chat", &[])];
        outbox.set_receivers(before.to_vec(), at(0));
        let connectors = ["fires", "ended", "dropped", "dead"];
        for connector in connectors {
            let [trigger, resolve] = notices(connector);
            outbox.add(&trigger, at(0));
            if connector != "fires" {
                outbox.add(&resolve, at(0));
            }
        }
        for second in (0..20).step_by(2) {
            outbox.committed();
            for delivery in outbox.due(at(second)) {
                let connector = &*delivery.notice.place.connector;
                let outcome = match (connector, delivery.notice.is_resolved()) {
                    ("ended", true) => Outcome::Delivered,
                    ("dropped", true) => RETRY,
                    _ => Outcome::Refused,
                };
                outbox.answered(delivery.number, outcome, at(second), 0.0);
            }
        }
        let letters = outbox.letters();
        let is_end_of = |letter: &&Letter, connector: &str| {
            letter.notice.is_resolved() && &*letter.notice.place.connector == connector
        };
        let dropped = letters.iter().find(|it| is_end_of(it, "dropped")).unwrap();
        assert_eq!(outbox.discard(dropped.number), Discard::Gone);
        assert_eq!(outbox.status()[0].dead, 5);
        if over_a_restart {
            outbox = revived(&mut outbox, &mut saved, &later, at(30));
        } else {
            outbox.set_receivers(later.to_vec(), at(30));
        }
        let mut told = Vec::new();
        for _ in 0..3 {
            for delivery in outbox.due(at(30)) {
                assert_eq!(&*delivery.receiver, "chat");
                let connector = delivery.notice.place.connector.to_string();
                told.push((connector, delivery.notice.is_resolved()));
                outbox.answered(delivery.number, Outcome::Delivered, at(30), 0.0);
            }
            outbox.committed();
        }
        assert_eq!(told, [("fires".to_owned(), false)], "{over_a_restart}");
    }
}

#[test]
fn two_that_stand_in_for_each_other_do_not_talk_for_ever() {
    let mut outbox = Outbox::default();
    let [one, two] = [("one", "two"), ("two", "one")].map(|(name, fallback)| Receiver {
        fallback: Some(Arc::from(fallback)),
        ..receiver(name, if name == "one" { &ALL } else { &[] })
    });
    outbox.set_receivers(vec![one, two], at(0));
    outbox.add(&notices("a")[0], at(0));
    for _ in 0..5 {
        for number in numbers(&mut outbox, 0) {
            outbox.answered(number, Outcome::Gone, at(0), 0.0);
        }
    }
    assert_eq!(outbox.letters().len(), 2);
}

#[test]
fn a_full_box_leaves_it_to_the_fallback() {
    let mut outbox = with_fallback();
    for _ in 0..=MAX_WAITING {
        outbox.add(&notices("one")[0], at(0));
    }
    let status = outbox.status();
    assert_eq!((status[0].waiting, status[0].given_up), (MAX_WAITING, 1));
    assert_eq!(status[1].waiting, 1);
}
