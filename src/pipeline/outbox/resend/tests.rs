//! Stories of Alertmanagers: what fires when, and what each instance is told.

use super::*;
use crate::pipeline::alert::Alerts;
use crate::pipeline::alert::findings::Confirmed;
use crate::pipeline::outbox::FailureReason;
use crate::pipeline::outbox::tests::ALL;
use crate::pipeline::outbox::tests::at;
use crate::pipeline::outbox::tests::receiver;
use crate::pipeline::session::Place;
use crate::pipeline::verdict::reason::AlertName;
use crate::pipeline::verdict::reason::Reason;
use crate::pipeline::verdict::reason::ReasonCode;

const DOWN: Outcome = Outcome::Retry {
    reason: FailureReason::Other,
    after: None,
};

/// Alerts, and the outbox that tells Alertmanagers of them.
struct World {
    alerts: Alerts,
    outbox: Outbox,
}

/// What an instance is told: number, and for each alert the connector, its severity, and whether it fires.
type Told = Vec<(usize, Vec<(String, Severity, bool)>)>;

fn alertmanager(instances: usize, severities: &[Severity]) -> Receiver {
    let resend = Duration::from_secs(60);
    Receiver {
        kind: Kind::Alertmanager { instances, resend },
        ..receiver("alertmanager", severities)
    }
}

impl World {
    fn new(instances: usize) -> Self {
        let mut outbox = Outbox::default();
        outbox.set_receivers(vec![alertmanager(instances, &ALL)], at(0));
        Self {
            alerts: Alerts::default(),
            outbox,
        }
    }

    /// From now on the connector's alert has this severity, or is over.
    fn set(&mut self, connector: &str, severity: Option<Severity>, second: u64) {
        let place = Place {
            server: Arc::from("EX01"),
            connector: Arc::from(connector),
        };
        let confirmed = severity.map(|severity| Confirmed {
            alert: AlertName::ConnectorCertificateExpiring,
            reason: Reason {
                code: ReasonCode::Expiring,
                severity,
                since: None,
                expected: String::new(),
                observed: String::new(),
                message: String::new(),
                action: String::new(),
            },
            since: at(0),
        });
        self.alerts.update(&place, confirmed.as_slice(), at(second));
        self.outbox.stand(self.alerts.firing(), at(second));
    }

    fn told(&mut self, second: u64) -> Told {
        self.outbox.stand(self.alerts.firing(), at(second));
        let rounds = self.outbox.rounds(at(second));
        let alert = |it: &Arc<Notice>| {
            let connector = it.place.connector.to_string();
            (connector, it.severity, !it.is_resolved())
        };
        rounds
            .iter()
            .map(|round| (round.instance, round.alerts.iter().map(alert).collect()))
            .collect()
    }

    fn answer(&mut self, instance: usize, outcome: Outcome, second: u64) {
        let ticket = Ticket::Round {
            receiver: Arc::from("alertmanager"),
            instance,
        };
        self.outbox.returned(&ticket, outcome, at(second), 0.0);
    }

    /// The seconds at which the only instance is told something, each answered at once, and what.
    fn rounds(&mut self, seconds: std::ops::Range<u64>) -> Vec<(u64, usize)> {
        let mut rounds = Vec::new();
        for second in seconds {
            for (instance, alerts) in self.told(second) {
                self.answer(instance, Outcome::Delivered, second);
                rounds.push((second, alerts.len()));
            }
        }
        rounds
    }
}

fn fires(connector: &str, severity: Severity) -> (String, Severity, bool) {
    (connector.to_owned(), severity, true)
}

fn is_over(connector: &str, severity: Severity) -> (String, Severity, bool) {
    (connector.to_owned(), severity, false)
}

#[test]
fn what_fires_is_told_each_minute_and_its_end_for_five() {
    let mut world = World::new(1);
    assert_eq!(world.rounds(0..100), [], "nothing to tell");
    world.set("one", Some(Severity::Warning), 100);
    let each_minute = [(100, 1), (160, 1), (220, 1)];
    assert_eq!(world.rounds(100..250), each_minute);
    world.set("one", None, 250);
    let end = [(280, 1), (340, 1), (400, 1), (460, 1), (520, 1)];
    assert_eq!(world.rounds(250..2000), end);
    assert!(world.outbox.board.over.is_empty());
}

#[test]
fn what_ended_while_the_clock_was_ahead_is_told_for_five_minutes_as_well() {
    let day = 86_400;
    let mut world = World::new(1);
    world.set("one", Some(Severity::Warning), day);
    world.set("one", None, day);
    assert_eq!(world.rounds(day..day + 1), [(day, 1)]);
    let end = [(60, 1), (120, 1), (180, 1), (240, 1)];
    assert_eq!(world.rounds(0..2000), end, "a day back");
    assert!(world.outbox.board.over.is_empty());
    // One that nobody takes is kept for three days, and not for longer.
    let mut world = World::new(1);
    world.set("one", Some(Severity::Warning), day);
    world.set("one", None, day);
    world.told(0);
    world.told(u64::try_from(RESOLVE_AGE.as_secs()).unwrap());
    assert!(world.outbox.board.over.is_empty());
}

#[test]
fn an_alert_that_changes_its_severity_is_over_with_the_old_one_at_once() {
    let (warning, critical) = (Severity::Warning, Severity::Critical);
    let mut world = World::new(1);
    world.set("one", Some(warning), 0);
    assert_eq!(world.rounds(0..10), [(0, 1)]);
    world.set("one", Some(critical), 10);
    let both = vec![fires("one", critical), is_over("one", warning)];
    assert_eq!(world.told(10), [(0, both)]);
    // What changes meanwhile is told as soon as the answer is there.
    world.set("one", Some(warning), 11);
    assert_eq!(world.told(11), []);
    world.answer(0, Outcome::Delivered, 12);
    let back = vec![fires("one", warning), is_over("one", critical)];
    assert_eq!(world.told(12), [(0, back)]);
}

#[test]
fn instances_are_told_by_themselves_and_one_that_was_down_hears_of_the_end() {
    let mut world = World::new(2);
    world.set("one", Some(Severity::Critical), 0);
    let firing = vec![fires("one", Severity::Critical)];
    assert_eq!(world.told(0), [(0, firing.clone()), (1, firing.clone())]);
    world.answer(0, Outcome::Delivered, 0);
    world.answer(1, DOWN, 0);
    assert_eq!(world.told(2), [(1, firing)], "tried again soon");
    world.set("one", None, 3);
    world.answer(1, DOWN, 3);
    let over = vec![is_over("one", Severity::Critical)];
    let (mut up, mut down) = (0, 0);
    for second in 3..4000 {
        for (instance, alerts) in world.told(second) {
            assert_eq!(alerts, over);
            let outcome = if instance == 0 {
                Outcome::Delivered
            } else {
                DOWN
            };
            world.answer(instance, outcome, second);
            if instance == 0 {
                up += 1;
            } else {
                down += 1;
            }
        }
    }
    assert_eq!(up, 5, "it has heard it often enough");
    assert!(down > 60, "every minute: {down}");
    let back: Vec<u64> = (4000..4500)
        .filter(|&second| {
            let told = world.told(second);
            for (instance, _) in &told {
                assert_eq!(*instance, 1);
                world.answer(1, Outcome::Delivered, second);
            }
            !told.is_empty()
        })
        .collect();
    assert_eq!(back.len(), 5);
}

#[test]
fn a_receiver_is_reminded_only_of_what_it_wants_and_what_fires_again_is_not_over() {
    let mut world = World::new(1);
    let critical = alertmanager(1, &[Severity::Critical]);
    world.outbox.set_receivers(vec![critical], at(0));
    world.set("one", Some(Severity::Warning), 0);
    assert_eq!(world.told(0), []);
    world.set("two", Some(Severity::Critical), 0);
    assert_eq!(world.rounds(0..60), [(0, 1)]);
    world.set("two", None, 60);
    assert_eq!(
        world.told(60),
        [(0, vec![is_over("two", Severity::Critical)])]
    );
    world.set("two", Some(Severity::Critical), 61);
    world.answer(0, Outcome::Delivered, 61);
    assert_eq!(
        world.told(200),
        [(0, vec![fires("two", Severity::Critical)])]
    );
}

#[test]
fn a_word_of_the_instance_is_obeyed() {
    let reason = FailureReason::RateLimited;
    let after = Some(Duration::from_secs(600));
    let misconfigured = Outcome::Misconfigured { reason };
    for (outcome, next) in [
        (DOWN, 2),
        (Outcome::Retry { reason, after }, 600),
        (misconfigured, 900),
        (Outcome::Refused, 2),
    ] {
        let mut world = World::new(1);
        world.set("one", Some(Severity::Warning), 0);
        assert_eq!(world.told(0).len(), 1);
        world.answer(0, outcome, 0);
        assert_eq!(world.told(next - 1), [], "{outcome:?}");
        world.outbox.stand(world.alerts.firing(), at(next));
        let again = world.outbox.rounds(at(next));
        assert_eq!(again[0].minimal, outcome == Outcome::Refused);
    }
    let mut world = World::new(1);
    world.set("one", Some(Severity::Warning), 0);
    assert_eq!(world.told(0).len(), 1);
    world.answer(0, Outcome::Gone, 0);
    assert_eq!(world.told(90_000), []);
    world
        .outbox
        .set_receivers(vec![alertmanager(1, &ALL)], at(90_000));
    assert_eq!(world.told(90_000).len(), 1, "a reload");
}

#[test]
fn a_change_is_a_message_too_which_counts_and_waits() {
    let mut world = World::new(1);
    let notice = crate::pipeline::outbox::tests::notices("one")[0].clone();
    world.outbox.add(&notice, at(0));
    assert!(world.outbox.due(at(0)).is_empty(), "no summaries");
    world.outbox.add_single(&notice, at(0));
    let message = world.outbox.due(at(0)).remove(0);
    for _ in 0..8 {
        world.outbox.answered(message.number, DOWN, at(0), 0.0);
    }
    assert!(world.outbox.due(at(100)).is_empty());
    world.set("two", Some(Severity::Warning), 0);
    assert_eq!(world.rounds(100..101), [(100, 1)]);
    let due = world.outbox.due(at(100));
    assert_eq!(
        due.len(),
        1,
        "where a round comes through, so does a message"
    );
    world
        .outbox
        .answered(due[0].number, Outcome::Delivered, at(100), 0.0);
    let status = world.outbox.status().remove(0);
    assert_eq!(
        (status.delivered, status.waiting),
        (1, 0),
        "rounds are no messages"
    );
}

#[test]
fn what_is_over_outlives_a_crash_and_nothing_is_told_before_it_is_on_disk() {
    let receivers = vec![alertmanager(1, &ALL)];
    let mut saved = Saved::default();
    let mut world = World {
        alerts: Alerts::default(),
        outbox: Outbox::restore(&saved).unwrap(),
    };
    world.outbox.set_receivers(receivers.clone(), at(0));
    let mut written = Written::of(&saved);
    let mut commit = |world: &mut World, saved: &mut Saved| {
        let mut changes = Changes::default();
        world.outbox.take_changes(&mut written, &mut changes);
        let firing = world.alerts.firing().map(|it| (it.row_key(), it));
        written.rows(Table::Alert, firing, &mut changes);
        world.outbox.committed();
        saved.apply(&changes);
    };
    let revive = |saved: &Saved| {
        let alerts = Alerts::restore(saved).unwrap();
        let mut outbox = Outbox::restore(saved).unwrap();
        outbox.stood(alerts.firing());
        outbox.set_receivers(receivers.clone(), at(50));
        World { alerts, outbox }
    };
    world.set("one", Some(Severity::Warning), 0);
    assert_eq!(world.told(0), [], "not on disk");
    commit(&mut world, &mut saved);
    assert_eq!(world.told(0).len(), 1);
    world.answer(0, Outcome::Delivered, 0);
    // It ends, and the process dies before that is on disk: it still fires, and ends once more.
    world.set("one", None, 40);
    let mut world = revive(&saved);
    let firing = vec![fires("one", Severity::Warning)];
    assert_eq!(world.told(50), [(0, firing)]);
    world.answer(0, Outcome::Delivered, 50);
    world.set("one", None, 51);
    commit(&mut world, &mut saved);
    // It dies after that, and has told nobody.
    let mut world = revive(&saved);
    let over = vec![is_over("one", Severity::Warning)];
    assert_eq!(world.told(60), [(0, over)]);
    world.answer(0, Outcome::Delivered, 60);
    // What ends while the configuration is taken over is noticed, too.
    world.set("two", Some(Severity::Warning), 61);
    commit(&mut world, &mut saved);
    let mut world = revive(&saved);
    world.set("two", None, 62);
    commit(&mut world, &mut saved);
    assert_eq!(world.told(62)[0].1.len(), 2);
}
