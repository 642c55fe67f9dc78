//! The rows of one stream: each goes to the session that it belongs to.

use crate::pipeline::record::Event;
use crate::pipeline::record::Row;
use crate::pipeline::session::ConnectorNames;
use crate::pipeline::session::Fact;
use crate::pipeline::session::Observation;
use crate::pipeline::session::RelayWatch;
use crate::pipeline::session::Sessions;
use crate::pipeline::session::Stream;
use crate::pipeline::session::StreamId;
use crate::pipeline::session::kept::Journal;
use crate::pipeline::session::live::Order;
use crate::pipeline::session::live::Scene;
use crate::pipeline::session::live::Session;
use crate::pipeline::session::table::Key;
use crate::pipeline::session::table::Live;

/// Who is told what sessions show.
pub trait Listener {
    /// A session shows something.
    fn hear(&mut self, observation: Observation<'_>);
}

impl<F: FnMut(Observation<'_>)> Listener for F {
    fn hear(&mut self, observation: Observation<'_>) {
        self(observation);
    }
}

/// Takes the rows of one stream. What all of them need is looked up once.
#[derive(Debug)]
pub struct Rows<'a, L> {
    stream: StreamId,
    source: &'a mut Stream,
    live: &'a mut Live,
    connectors: &'a mut ConnectorNames,
    evicted: &'a mut u64,
    journal: Option<&'a mut Journal>,
    scene: Scene<'a, L>,
}

impl Sessions {
    /// Takes rows of a stream, and tells the listener what they show. `None`: there is no such stream.
    pub fn rows<L: Listener>(&mut self, stream: StreamId, listener: L) -> Option<Rows<'_, L>> {
        let source = self.streams.get_mut(stream.0 as usize)?.as_mut()?;
        let server = source.server.clone();
        Some(Rows {
            stream,
            source,
            live: &mut self.live,
            connectors: &mut self.connectors,
            evicted: &mut self.evicted,
            journal: self.journal.as_mut(),
            scene: Scene {
                server,
                certificates: &mut self.certificates,
                greetings: &mut self.greetings,
                relay_watch: &mut self.relay_watch,
                listener,
            },
        })
    }
}

impl<L: Listener> Rows<'_, L> {
    /// Takes the next row.
    pub fn row(&mut self, row: &Row<'_>) {
        let key = (self.stream, row.session());
        self.source.note_time(row.millis);
        self.source.changed = true;
        let session = if let Some(session) = self.live.get_mut(key) {
            match session.order(row) {
                Order::Next => {}
                Order::Duplicate => {
                    self.source.duplicate_rows += 1;
                    return;
                }
                Order::Gap => {
                    self.source.sequence_gaps += 1;
                    // What follows lost rows may belong to another block, the peer's above all, or to another reply.
                    session.flush(row.time(), &mut self.scene);
                }
            }
            session
        } else {
            let first = Session::new(self.connectors.name(row.connector()), row);
            let journal = self.journal.as_deref_mut();
            let session = self.live.add(key, first, self.evicted, journal);
            self.scene.say(session, row.time(), Fact::Started);
            session
        };
        session.row(row, &mut self.scene);
        if row.event == Event::Disconnect {
            self.end(key);
        } else if let Some(journal) = &mut self.journal {
            journal.changed(key, &mut session.kept);
        }
    }

    /// The last row of a session was taken.
    #[inline(never)]
    fn end(&mut self, key: Key) {
        let gone = self.live.remove(key);
        if let (Some(journal), Some(gone)) = (&mut self.journal, gone) {
            journal.gone(key, gone.kept);
        }
    }

    /// Who is told, and whose relay is followed.
    pub fn listener(&mut self) -> (&mut L, &mut RelayWatch) {
        (&mut self.scene.listener, self.scene.relay_watch)
    }
}
