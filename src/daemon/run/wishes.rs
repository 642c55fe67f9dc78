//! What `certdrift notify` asked for: done at once, answered when it is on disk.

use crate::daemon::control::Question;
use crate::pipeline::outbox::wish::Reply;

/// Answers that wait for the next commit.
#[derive(Default)]
pub(super) struct Wishes {
    waiting: Vec<(Question, Reply)>,
}

impl Wishes {
    /// Something was done.
    pub(super) fn granted(&mut self, question: Question, reply: Reply) {
        self.waiting.push((question, reply));
    }

    /// Everything is on disk.
    pub(super) fn answer(&mut self) {
        for (question, reply) in self.waiting.drain(..) {
            question.answer(reply);
        }
    }

    /// Nothing can be written for now. Whoever only looks is answered all the same.
    pub(super) fn answer_unkept(&mut self) {
        for (question, reply) in self.waiting.drain(..) {
            question.answer(match reply {
                Reply::Done { .. } => Reply::Refused(
                    "it was done, but the state cannot be written for now: a restart before it can would take it back. \
                     The log of certdrift says what is wrong"
                        .to_owned(),
                ),
                other => other,
            });
        }
    }
}
