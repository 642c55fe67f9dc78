//! Messages under way: a task each, and what came of it.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::task::Id;
use tokio::task::JoinSet;
use tracing::error;

use crate::daemon::post::Poster;
use crate::pipeline::outbox::Delivery;
use crate::pipeline::outbox::FailureReason;
use crate::pipeline::outbox::Outcome;

/// Messages under way.
#[derive(Default)]
pub(super) struct Posts {
    tasks: JoinSet<Outcome>,
    numbers: HashMap<Id, u64>,
}

impl Posts {
    /// Sends a message.
    pub(super) fn send(&mut self, poster: &Arc<Poster>, delivery: Delivery) {
        let poster = Arc::clone(poster);
        self.spawn(delivery.number, async move { poster.send(&delivery).await });
    }

    fn spawn(&mut self, number: u64, sending: impl Future<Output = Outcome> + Send + 'static) {
        let task = self.tasks.spawn(sending);
        self.numbers.insert(task.id(), number);
    }

    /// Waits for the next answer: the message's number, and what came of it. `None` when nothing is under way.
    pub(super) async fn next(&mut self) -> Option<(u64, Outcome)> {
        let (id, outcome) = match self.tasks.join_next_with_id().await? {
            Ok(answered) => answered,
            // A message must not stay under way for ever, and hold up all that come after it, because its task broke.
            Err(broken) => {
                error!(error = %broken, "sending a notification broke down; it is tried again");
                let reason = FailureReason::Other;
                (
                    broken.id(),
                    Outcome::Retry {
                        reason,
                        after: None,
                    },
                )
            }
        };
        let number = self.numbers.remove(&id)?;
        Some((number, outcome))
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
        posts.spawn(7, async {
            let outcomes: Vec<Outcome> = Vec::new();
            outcomes.first().copied().unwrap()
        });
        let again = Outcome::Retry {
            reason: FailureReason::Other,
            after: None,
        };
        assert_eq!(posts.next().await, Some((7, again)));
        posts.spawn(8, async { Outcome::Delivered });
        assert_eq!(posts.next().await, Some((8, Outcome::Delivered)));
    }
}
