//! Receivers that come while alerts fire.

use super::*;
use crate::pipeline::outbox::Kind;
use crate::pipeline::saved::Saved;

const BOTH: [Severity; 2] = [Severity::Critical, Severity::Warning];

fn receiver(name: &str, severities: &[Severity]) -> Receiver {
    Receiver::new(name, "webhook", severities)
}

/// Who is told now, how often something fires or is over, and of how many places.
fn told(story: &mut Story, now: i64) -> Vec<String> {
    let mut told = Vec::new();
    loop {
        let due = story.engine.tick(at(now));
        if due.is_empty() {
            return told;
        }
        for delivery in due {
            let notice = &delivery.notice;
            let sign = if notice.is_resolved() { '-' } else { '+' };
            told.push(format!("{sign}{} {}", delivery.receiver, notice.places));
            let number = delivery.number;
            let delivered = Outcome::Delivered;
            story.engine.answered(number, delivered, at(now), 0.0);
        }
    }
}

/// A mismatch fires, and `oncall` was told.
fn firing() -> Story {
    let mut story = Story::begin();
    story.bad(1, 1);
    story.bad(2, 2);
    assert_eq!(told(&mut story, 2), ["+oncall 1"]);
    story
}

#[test]
fn a_receiver_that_is_new_or_has_another_name_hears_of_what_fires_once_and_of_its_end() {
    let mut story = firing();
    let receivers = [receiver("oncall-2", &BOTH), receiver("more", &BOTH)];
    story.engine.set_receivers(receivers.to_vec(), at(3));
    assert_eq!(told(&mut story, 3), ["+oncall-2 1", "+more 1"]);
    story.engine.set_receivers(receivers.to_vec(), at(4));
    assert_eq!(told(&mut story, 4), [""; 0], "nobody is told again");
    story.good(5, 5);
    story.good(6, 6);
    assert_eq!(told(&mut story, 6), ["-oncall-2 1", "-more 1"]);
    let late = receiver("late", &BOTH);
    story.engine.set_receivers(vec![late], at(7));
    assert_eq!(told(&mut story, 7), [""; 0], "nothing fires any more");
}

#[test]
fn a_receiver_that_wants_more_than_before_hears_of_what_fires() {
    let pattern = |text: &str| vec![ConnectorPattern::new(text).unwrap()];
    let mild = receiver("mild", &[Severity::Warning]);
    let elsewhere = Receiver {
        connectors: pattern("Other*"),
        ..receiver("elsewhere", &BOTH)
    };
    let mut story = firing();
    let receivers = vec![mild.clone(), elsewhere.clone()];
    story.engine.set_receivers(receivers, at(3));
    assert_eq!(told(&mut story, 3), [""; 0]);
    let wider = Receiver {
        connectors: pattern("Out*"),
        ..elsewhere
    };
    story.engine.set_receivers(vec![mild, wider], at(4));
    assert_eq!(told(&mut story, 4), ["+elsewhere 1"]);
    let graver = receiver("mild", &BOTH);
    story.engine.set_receivers(vec![graver], at(5));
    assert_eq!(told(&mut story, 5), ["+mild 1"]);
}

#[test]
fn what_a_summary_tells_of_is_told_a_newcomer_by_it_and_an_alertmanager_one_by_one() {
    let mut story = Story::begin();
    for number in 0..6 {
        for second in [1, 2] {
            let connector = format!("Outbound {number}");
            story.session(second, 2, &connector, "other.example", &["-|"]);
        }
    }
    // The one that was read together with what it is to be told of is told once, too.
    let first = receiver("first", &BOTH);
    story.engine.set_receivers(vec![first.clone()], at(2));
    assert_eq!(told(&mut story, 2), ["+first 6"]);
    let resend = std::time::Duration::from_secs(60);
    let alertmanager = Receiver {
        kind: Kind::Alertmanager {
            instances: 1,
            resend,
        },
        ..receiver("alertmanager", &BOTH)
    };
    let receivers = vec![first, receiver("second", &BOTH), alertmanager];
    story.engine.set_receivers(receivers.clone(), at(3));
    let mut expected = vec!["+second 6"];
    expected.extend(["+alertmanager 1"; 6]);
    assert_eq!(told(&mut story, 3), expected);
    story.engine.set_receivers(receivers, at(4));
    assert_eq!(told(&mut story, 4), [""; 0]);
}

#[test]
fn over_a_restart_only_who_is_new_hears_of_what_fires() {
    let mut story = Story::begin();
    let mut saved = Saved::default();
    story.engine = Engine::restore(&saved).unwrap();
    story
        .engine
        .set_expectations(expectations("mail.contoso.com"), at(0));
    let old = receiver("old", &BOTH);
    story.engine.set_receivers(vec![old.clone()], at(0));
    story.stream = story.engine.resume_stream("EX01", "EX01");
    let mut keep = |engine: &mut Engine| {
        saved.apply(&engine.take_changes());
        engine.committed();
        saved.clone()
    };
    story.bad(1, 1);
    story.bad(2, 2);
    story.engine.update(at(2));
    keep(&mut story.engine);
    assert_eq!(told(&mut story, 2), ["+old 1"]);
    let saved = keep(&mut story.engine);
    for (receivers, expected) in [
        (vec![old.clone()], &[][..]),
        (vec![old, receiver("new", &BOTH)], &["+new 1"]),
    ] {
        story.engine = Engine::restore(&saved).unwrap();
        story
            .engine
            .set_expectations(expectations("mail.contoso.com"), at(3));
        story.engine.set_receivers(receivers, at(3));
        story.engine.update(at(3));
        assert_eq!(story.engine.is_urgent(), !expected.is_empty());
        story.engine.take_changes();
        story.engine.committed();
        assert_eq!(told(&mut story, 3), expected);
    }
}
