//! What people may ask of the outbox: to see its messages, to send some again, to throw some away.
//!
//! All of it is plain data, because it is asked by one process and done by another: the running daemon, or, while none
//! runs, whoever has opened the state.

use std::sync::Arc;

use jiff::Timestamp;
use serde::Deserialize;
use serde::Serialize;

use crate::pipeline::outbox::Discard;
use crate::pipeline::outbox::Letter;
use crate::pipeline::outbox::Outbox;
use crate::pipeline::outbox::Replay;
use crate::pipeline::shown::shown;

/// Messages that may be named in one wish.
pub const MAX_NUMBERS: usize = 1_000;
/// Messages that are shown at once, the oldest of each receiver first.
pub const MAX_SHOWN: usize = 50_000;

/// What is asked for.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Wish {
    /// The messages that wait or are dead.
    List,
    /// To send these now, dead ones with a new lease of life.
    Replay(Which),
    /// To throw these away.
    Drop(Which),
}

/// Which messages are meant.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Which {
    /// Those of these numbers; at most [`MAX_NUMBERS`].
    Numbers(Vec<u64>),
    /// All dead ones.
    Dead {
        /// Of this receiver; `None`: of every one.
        receiver: Option<String>,
    },
}

/// What came of it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// The messages, by receiver and number.
    Messages(Vec<Message>),
    /// It was done, as far as it could be.
    Done {
        /// Numbers of the messages that it was done to.
        done: Vec<u64>,
        /// Messages that it could not be done to, and why.
        refused: Vec<(u64, Why)>,
    },
    /// Nothing was done; why, for whoever asked.
    Refused(String),
}

/// Why something cannot be done to a message.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// There is none of this number.
    Unknown,
    /// It, or a later message of its alert, is being sent right now.
    UnderWay,
    /// A later message of its alert was delivered; sent now, it would say the opposite of what holds.
    Overtaken,
}

/// A message that waits or is dead, fit to be shown. The names are those of the JSON that people get.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Message {
    /// Its number.
    pub number: u64,
    /// Name of the receiver.
    pub receiver: String,
    /// Which alert.
    pub alertname: String,
    /// `critical`, `warning` or `information`.
    pub severity: String,
    /// Whose alert; empty: of no server.
    pub server: String,
    /// Of which connector; empty: of none.
    pub connector: String,
    /// `firing` or `resolved`.
    pub status: String,
    /// The same for all messages of the alert.
    pub key: String,
    /// The same on every try, and for no other message.
    pub id: String,
    /// When it was decided, or last sent again.
    pub since: Timestamp,
    /// How often it was tried since.
    pub tries: usize,
    /// When it is tried next; `null`: it is dead.
    pub next_try: Option<Timestamp>,
    /// Whether it is being sent right now.
    pub under_way: bool,
    /// `refused` or `too_old`; `null`: it is not dead.
    pub dead: Option<String>,
    /// Whether it stays dead, because a later message of its alert was delivered.
    pub overtaken: bool,
}

/// What is done to a message of this number.
type Act = fn(&mut Outbox, u64, Timestamp) -> Result<(), Why>;

impl Outbox {
    /// Does what is asked for.
    pub fn grant(&mut self, wish: &Wish, now: Timestamp) -> Reply {
        let (which, act): (&Which, Act) = match wish {
            Wish::List => return self.list(),
            Wish::Replay(which) => (which, Self::send_again),
            Wish::Drop(which) => (which, Self::throw_away),
        };
        let numbers = match self.meant(which) {
            Ok(numbers) => numbers,
            Err(why) => return Reply::Refused(why),
        };
        let (mut done, mut refused) = (Vec::new(), Vec::new());
        for number in numbers {
            match act(self, number, now) {
                Ok(()) => done.push(number),
                Err(why) => refused.push((number, why)),
            }
        }
        Reply::Done { done, refused }
    }

    fn list(&self) -> Reply {
        let letters = self.letters();
        let shown = letters.iter().take(MAX_SHOWN).map(message);
        Reply::Messages(shown.collect())
    }

    fn meant(&self, which: &Which) -> Result<Vec<u64>, String> {
        match which {
            Which::Numbers(numbers) if numbers.len() > MAX_NUMBERS => {
                Err(format!("name at most {MAX_NUMBERS} notifications at once"))
            }
            Which::Numbers(numbers) => Ok(numbers.clone()),
            Which::Dead { receiver } => {
                let names = self.mailboxes.iter().map(|it| &it.receiver.name);
                if let Some(name) = receiver
                    && !names.clone().any(|known| **known == **name)
                {
                    let names: Vec<&str> = names.map(|name| &**name).collect();
                    let (name, names) = (shown(name), names.join(", "));
                    return Err(format!("there is no receiver {name}; there are: {names}"));
                }
                let is_meant = |it: &Letter| {
                    let of_receiver = receiver.as_ref();
                    let is_its = of_receiver.is_none_or(|name| **name == *it.receiver);
                    it.death.is_some() && is_its
                };
                let letters = self.letters().into_iter();
                Ok(letters.filter(is_meant).map(|it| it.number).collect())
            }
        }
    }

    fn send_again(&mut self, number: u64, now: Timestamp) -> Result<(), Why> {
        match self.replay(number, now) {
            Replay::Due => Ok(()),
            Replay::Unknown => Err(Why::Unknown),
            Replay::UnderWay => Err(Why::UnderWay),
            Replay::Overtaken => Err(Why::Overtaken),
        }
    }

    fn throw_away(&mut self, number: u64, _: Timestamp) -> Result<(), Why> {
        match self.discard(number) {
            Discard::Gone => Ok(()),
            Discard::Unknown => Err(Why::Unknown),
            Discard::UnderWay => Err(Why::UnderWay),
        }
    }
}

fn message(letter: &Letter) -> Message {
    let notice = &letter.notice;
    let status = if notice.is_resolved() {
        "resolved"
    } else {
        "firing"
    };
    let text = |text: &Arc<str>| shown(text);
    Message {
        number: letter.number,
        receiver: text(&letter.receiver),
        alertname: notice.name.as_str().to_owned(),
        severity: notice.severity.as_str().to_owned(),
        server: text(&notice.place.server),
        connector: text(&notice.place.connector),
        status: status.to_owned(),
        key: shown(&notice.key),
        id: notice.id.clone(),
        since: letter.since,
        tries: letter.tries,
        next_try: letter.due,
        under_way: letter.under_way,
        dead: letter.death.map(|death| death.as_str().to_owned()),
        overtaken: letter.overtaken,
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;
    use crate::pipeline::outbox::Outcome;
    use crate::pipeline::outbox::tests::at;
    use crate::pipeline::outbox::tests::notices;
    use crate::pipeline::outbox::tests::outbox;
    use crate::pipeline::saved::Changes;
    use crate::pipeline::saved::Saved;
    use crate::pipeline::saved::Written;

    /// Two receivers; at the first one two messages are dead, at the second one they wait.
    fn with_dead() -> Outbox {
        let mut outbox = outbox(&["oncall", "chat"]);
        for connector in ["one", "two\u{1b}[31m"] {
            outbox.add(&notices(connector)[0], at(0));
        }
        for second in [0, 2] {
            for message in outbox.due(at(second)) {
                if &*message.receiver == "oncall" {
                    outbox.answered(message.number, Outcome::Refused, at(second), 0.0);
                }
            }
        }
        outbox
    }

    fn dead(receiver: Option<&str>) -> Which {
        let receiver = receiver.map(str::to_owned);
        Which::Dead { receiver }
    }

    #[test]
    fn messages_are_shown_as_they_are() {
        let Reply::Messages(messages) = with_dead().grant(&Wish::List, at(3)) else {
            unreachable!("a list was asked for");
        };
        let told: Vec<_> = messages
            .iter()
            .map(|it| (it.number, &*it.receiver, it.dead.as_deref(), it.under_way))
            .collect();
        let expected = [
            (1, "oncall", Some("refused"), false),
            (3, "oncall", Some("refused"), false),
            (2, "chat", None, true),
            (4, "chat", None, true),
        ];
        assert_eq!(told, expected);
        assert_eq!(
            messages[1].connector, "two[31m",
            "nothing steers a terminal"
        );
        let text = serde_json::to_string(&Reply::Messages(messages.clone())).unwrap();
        assert_eq!(
            serde_json::from_str::<Reply>(&text).unwrap(),
            Reply::Messages(messages)
        );
    }

    #[test]
    fn what_cannot_be_done_is_said_and_the_rest_is_done() {
        let mut outbox = with_dead();
        let numbers = Wish::Replay(Which::Numbers(vec![1, 2, 99]));
        let expected = Reply::Done {
            done: vec![1],
            refused: vec![(2, Why::UnderWay), (99, Why::Unknown)],
        };
        assert_eq!(outbox.grant(&numbers, at(3)), expected);
        let all = Wish::Drop(dead(None));
        let expected = Reply::Done {
            done: vec![3],
            refused: Vec::new(),
        };
        assert_eq!(
            outbox.grant(&all, at(3)),
            expected,
            "1 is not dead any more"
        );
        let too_many = Wish::Drop(Which::Numbers(vec![1; MAX_NUMBERS + 1]));
        assert!(matches!(outbox.grant(&too_many, at(3)), Reply::Refused(_)));
    }

    #[test]
    fn dead_ones_of_one_receiver_are_meant_by_its_name() {
        let mut outbox = with_dead();
        let of = |name| Wish::Replay(dead(Some(name)));
        let none = Reply::Done {
            done: Vec::new(),
            refused: Vec::new(),
        };
        assert_eq!(outbox.grant(&of("chat"), at(3)), none);
        let why = "there is no receiver onc; there are: oncall, chat".to_owned();
        assert_eq!(outbox.grant(&of("onc"), at(3)), Reply::Refused(why));
        let both = Reply::Done {
            done: vec![1, 3],
            refused: Vec::new(),
        };
        assert_eq!(outbox.grant(&of("oncall"), at(3)), both);
    }

    #[test]
    fn a_state_that_nobody_runs_on_can_be_asked_too() {
        let mut saved = Saved::default();
        let mut outbox = with_dead();
        let everything = {
            let mut changes = Changes::default();
            let mut empty = Outbox::restore(&saved).unwrap();
            std::mem::swap(&mut empty.mailboxes, &mut outbox.mailboxes);
            empty.last_number = outbox.last_number;
            empty.change_everything();
            empty.take_changes(&mut Written::default(), &mut changes);
            changes
        };
        saved.apply(&everything);
        let mut stopped = Outbox::restore(&saved).unwrap();
        let all = Wish::Replay(dead(Some("oncall")));
        let done = Reply::Done {
            done: vec![1, 3],
            refused: Vec::new(),
        };
        assert_eq!(stopped.grant(&all, at(9)), done);
        let mut changes = Changes::default();
        stopped.take_changes(&mut Written::of(&saved), &mut changes);
        assert_eq!(changes.len(), 2, "only what was asked for changes");
    }
}
