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
