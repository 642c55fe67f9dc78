//! What is under way to receivers: a task each, and what came of it.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::task::Id;
use tokio::task::JoinError;
use tokio::task::JoinSet;
use tracing::error;

use crate::daemon::post::Poster;
use crate::pipeline::outbox::Delivery;
use crate::pipeline::outbox::FailureReason;
use crate::pipeline::outbox::Outcome;
use crate::pipeline::outbox::Ticket;
use crate::pipeline::outbox::resend::Round;

/// Something to send.
pub(super) enum Errand {
    /// A message.
    Message(Delivery),
    /// How things stand.
    Round(Round),
    /// A sign of life.
    Beat(Arc<str>),
}

/// What is under way.
#[derive(Default)]
pub(super) struct Posts {
    tasks: JoinSet<Outcome>,
    tickets: HashMap<Id, Ticket>,
}

impl Posts {
    /// Sends something.
    pub(super) fn send(&mut self, poster: &Arc<Poster>, errand: Errand) {
        let poster = Arc::clone(poster);
        match errand {
            Errand::Message(delivery) => {
                let ticket = Ticket::Message(delivery.number);
                self.spawn(ticket, async move { poster.send(&delivery).await });
            }
            Errand::Round(round) => {
                let ticket = round.ticket.clone();
                self.spawn(ticket, async move { poster.remind(&round).await });
            }
            Errand::Beat(receiver) => {
                let ticket = Ticket::Beat {
                    receiver: Arc::clone(&receiver),
                };
                self.spawn(ticket, async move { poster.beat(&receiver).await });
            }
        }
    }

    fn spawn(&mut self, ticket: Ticket, sending: impl Future<Output = Outcome> + Send + 'static) {
        let task = self.tasks.spawn(sending);
        self.tickets.insert(task.id(), ticket);
    }

    /// Waits for the next answer: to what, and what came of it. `None` when nothing is under way.
    pub(super) async fn next(&mut self) -> Option<(Ticket, Outcome)> {
        let joined = self.tasks.join_next_with_id().await?;
        self.answer(joined)
    }

    /// The next answer that is there already.
    pub(super) fn ready(&mut self) -> Option<(Ticket, Outcome)> {
        let joined = self.tasks.try_join_next_with_id()?;
        self.answer(joined)
    }

    fn answer(&mut self, joined: Result<(Id, Outcome), JoinError>) -> Option<(Ticket, Outcome)> {
        let (id, outcome) = match joined {
            Ok(answered) => answered,
            // A message must not stay under way for ever, and hold up all that come after it, because its task broke.
            Err(broken) => {
                error!(error = %broken, "sending a notification broke down; it is tried again");
                let again = Outcome::Retry {
                    reason: FailureReason::Other,
                    after: None,
                };
                (broken.id(), again)
            }
        };
        let ticket = self.tickets.remove(&id)?;
        Some((ticket, outcome))
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_task_that_breaks_is_answered_too() {
        let mut posts = Posts::default();
        assert_eq!(posts.next().await, None);
        posts.spawn(Ticket::Message(7), async {
            let outcomes: Vec<Outcome> = Vec::new();
            outcomes.first().copied().unwrap()
        });
        let again = Outcome::Retry {
            reason: FailureReason::Other,
            after: None,
        };
        assert_eq!(posts.next().await, Some((Ticket::Message(7), again)));
        posts.spawn(Ticket::Message(8), async { Outcome::Delivered });
        let delivered = Some((Ticket::Message(8), Outcome::Delivered));
        assert_eq!(posts.next().await, delivered);
        assert_eq!(posts.ready(), None);
    }
}
