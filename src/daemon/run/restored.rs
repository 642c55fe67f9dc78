//! From what is on disk to what runs.

use jiff::Timestamp;
use tokio::sync::mpsc::Sender;
use tracing::warn;

use crate::daemon::run::commits::Commits;
use crate::daemon::run::reader::Reader;
use crate::daemon::store::Opened;
use crate::daemon::store::Replaced;
use crate::daemon::store::recovered_at;
use crate::daemon::tail::Message;
use crate::pipeline::engine::Engine;
use crate::pipeline::health::Health;
use crate::pipeline::saved::Saved;
use crate::pipeline::saved::Table;
use crate::pipeline::saved::Unreadable;
use crate::pipeline::saved::Written;

/// The key of what is wrong with certdrift itself.
pub(super) const HEALTH: &str = "health";

/// What goes on from a saved state.
pub(super) struct Restored {
    pub(super) engine: Engine,
    pub(super) reader: Reader,
    pub(super) health: Health,
    pub(super) commits: Commits,
    /// What is on disk of `health`.
    pub(super) written: Written,
    /// When a damaged state was last replaced.
    pub(super) recovered_at: Option<Timestamp>,
}

/// Goes on from what a store holds. What cannot be understood is as good as damaged: it is moved aside, and the logs are
/// read again; until that is done nobody is told anything.
///
/// # Errors
/// In words for the operator.
pub(super) fn restore(
    opened: Opened,
    messages: Sender<Message>,
    now: Timestamp,
) -> Result<Restored, String> {
    let Opened {
        mut store,
        saved,
        replaced,
    } = opened;
    replaced.iter().for_each(warn_of);
    let mut recovered_at = recovered_at(&saved);
    let revived = revive(messages.clone(), &saved).or_else(|unreadable| {
        let replaced = store
            .replace(unreadable.to_string(), now)
            .map_err(|error| error.to_string())?;
        warn_of(&replaced);
        recovered_at = Some(now);
        revive(messages, &Saved::default()).map_err(|error| error.to_string())
    });
    let (engine, reader, health) = revived?;
    Ok(Restored {
        engine,
        reader,
        health,
        written: Written::default(),
        commits: Commits::new(store),
        recovered_at,
    })
}

fn revive(
    messages: Sender<Message>,
    saved: &Saved,
) -> Result<(Engine, Reader, Health), Unreadable> {
    Ok((
        Engine::restore(saved)?,
        Reader::restore(messages, saved)?,
        saved.row(Table::Whole, HEALTH)?.unwrap_or_default(),
    ))
}

fn warn_of(replaced: &Replaced) {
    let kept_as = replaced.kept_as.display();
    warn!(why = replaced.why, %kept_as, "the state on disk was damaged and moved aside; the logs are read again, as far back as first_read says");
}
