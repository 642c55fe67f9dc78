//! The engine over a restart.

use std::sync::Arc;

use crate::pipeline::engine::Engine;
use crate::pipeline::engine::Reading;
use crate::pipeline::engine::judging::Judging;
use crate::pipeline::ledger::Ledger;
use crate::pipeline::saved::Changes;
use crate::pipeline::saved::Saved;
use crate::pipeline::saved::Unreadable;
use crate::pipeline::session::Sessions;
use crate::pipeline::session::StreamId;

impl Engine {
    /// Goes on where a saved state ends, and remembers from then on what changes. Every stream counts as behind until
    /// somebody says otherwise: what happened meanwhile is not known yet.
    ///
    /// # Errors
    /// When a row holds something else than it should: the state is damaged.
    pub fn restore(saved: &Saved) -> Result<Self, Unreadable> {
        let mut sessions = Sessions::restore(saved)?;
        let ledger = Ledger::restore(saved)?;
        for (_, entry) in ledger.connectors() {
            for presented in &entry.presented {
                sessions.remember(&presented.certificate);
            }
        }
        let streams = sessions.streams().map(|(stream, _)| stream).collect();
        Ok(Self {
            judging: Judging::restore(saved, streams)?,
            reading: Reading {
                sessions,
                ledger: Arc::new(ledger),
                ..Reading::default()
            },
        })
    }

    /// What has changed since the last time. Once it is on disk, say so by [`Self::committed`].
    pub fn take_changes(&mut self) -> Changes {
        let mut changes = Changes::default();
        let reading = &mut self.reading;
        reading.sessions.take_changes(&mut changes);
        Ledger::take_changes(&mut reading.ledger, &mut changes);
        self.judging.take_changes(&mut changes);
        changes
    }

    /// Makes the next [`Self::take_changes`] give everything.
    pub fn change_everything(&mut self) {
        self.reading.sessions.change_everything();
        Ledger::change_everything(&mut self.reading.ledger);
        self.judging.change_everything();
    }

    /// Everything that was handed out is on disk, and nothing has happened since: what waits may be sent.
    pub fn committed(&mut self) {
        self.judging.outbox.committed();
    }

    /// Whether something waits to be told that is not on disk yet.
    pub fn is_urgent(&self) -> bool {
        self.judging.is_urgent || self.judging.outbox.is_urgent()
    }

    /// Whether any stream has not caught up.
    pub fn is_behind(&self) -> bool {
        !self.judging.behind.is_empty()
    }

    /// Goes on with a directory that was announced under the same name before, or announces it.
    pub fn resume_stream(&mut self, name: &str, server: &str) -> StreamId {
        self.reading.sessions.resume(name, server)
    }
}
