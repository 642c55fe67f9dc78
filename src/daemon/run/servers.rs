//! The tasks of the web server: one for each listener, and one that follows the web configuration.
//!
//! They run for as long as the process does. One that ends leaves a port that nobody answers at, or a certificate that is
//! not renewed, and nothing else would show it; so the process ends with it, and whoever supervises it begins anew.

use std::collections::HashMap;

use tokio::task::Id;
use tokio::task::JoinSet;
use tracing::error;

/// The tasks; all of them end when this is dropped.
#[derive(Default)]
pub(super) struct Servers {
    tasks: JoinSet<()>,
    /// What each of them does.
    names: HashMap<Id, String>,
}

impl Servers {
    /// Begins a task that is never to end.
    pub(super) fn spawn(
        &mut self,
        name: String,
        serving: impl Future<Output = ()> + Send + 'static,
    ) {
        let task = self.tasks.spawn(serving);
        self.names.insert(task.id(), name);
    }

    /// Waits until one has ended, and says so in words for the operator; for ever, as long as all is well.
    pub(super) async fn ended(&mut self) -> String {
        let (id, cause) = match self.tasks.join_next_with_id().await {
            Some(Ok((id, ()))) => (id, "it returned".to_owned()),
            Some(Err(broken)) => (broken.id(), broken.to_string()),
            None => std::future::pending().await,
        };
        let name = self.names.remove(&id).unwrap_or_default();
        error!(
            task = name,
            cause, "a task of the web server has ended although nobody asked for it"
        );
        format!("the web server broke down: {name}: {cause}")
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::daemon::web;
    use crate::daemon::web::Web;

    #[expect(clippy::panic, clippy::unwrap_used, reason = "a test may panic")]
    #[tokio::test]
    async fn a_task_that_ends_is_told_whatever_the_cause() {
        let mut servers = Servers::default();
        // Without a web configuration there is nothing to follow, and that is no end.
        let web = Web::open(None, web::Limits::default()).unwrap();
        servers.spawn("well".to_owned(), web::follow(web));
        let patience = Duration::from_millis(20);
        let ended = tokio::time::timeout(patience, servers.ended()).await;
        assert!(ended.is_err(), "all is well: {ended:?}");
        servers.spawn("port 9".to_owned(), async { panic!("no more seats") });
        let ended = servers.ended().await;
        assert!(ended.contains("port 9"), "{ended}");
        assert!(ended.contains("no more seats"), "{ended}");
        servers.spawn("follower".to_owned(), async {});
        let ended = servers.ended().await;
        assert!(ended.ends_with("follower: it returned"), "{ended}");
    }
}
