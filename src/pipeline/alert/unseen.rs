//! Connectors that are expected by their name and that no log has ever told of: a log that is off from the start, a
//! name that is misspelled, a connector that cannot send at all.
//!
//! Nothing else would notice them, because everything else begins with a session. They have no server of their own: as
//! soon as one server shows the connector, [`rhythm`](crate::pipeline::alert::rhythm) looks after it there, and a
//! server that stands by without sending is no alert.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::SignedDuration;
use jiff::Timestamp;
use serde::Deserialize;
use serde::Serialize;

use crate::pipeline::alert::findings::Confirmed;
use crate::pipeline::alert::silence;
use crate::pipeline::alert::silence::Surroundings;
use crate::pipeline::expectation::Expectation;
use crate::pipeline::expectation::Expectations;
use crate::pipeline::inventory::is_same_host;
use crate::pipeline::record;
use crate::pipeline::session::Place;
use crate::pipeline::session::Sessions;
use crate::pipeline::verdict::reason::Reason;

/// Nothing is told before: at a start, the logs of another server may not have been found yet.
const SECOND_LOOK: SignedDuration = SignedDuration::from_secs(60);

/// The connectors that have not been seen.
#[derive(Debug, Default, Deserialize, Serialize)]
pub struct Unseen {
    connectors: BTreeMap<Arc<str>, Sought>,
}

/// One of them.
#[derive(Debug, Deserialize, Serialize)]
struct Sought {
    /// When it was first looked for.
    since: Timestamp,
    reason: Reason,
    told: Option<Confirmed>,
}

/// What has been read, up to now.
#[derive(Debug)]
pub struct Read<'a> {
    /// The servers whose logs are read.
    pub servers: BTreeSet<&'a str>,
    /// The connectors that are watched on some server, in lower case.
    pub seen: BTreeSet<String>,
    /// Time of the newest row of all.
    pub last_row: Option<Timestamp>,
    /// The present.
    pub now: Timestamp,
}

impl<'a> Read<'a> {
    /// All streams have been read up to now, and these places are watched.
    pub fn new<'b>(
        sessions: &'a Sessions,
        watched: impl Iterator<Item = &'b Place>,
        now: Timestamp,
    ) -> Self {
        let streams = || sessions.streams().map(|(_, stream)| stream);
        let last_row = streams().filter_map(|stream| stream.last_millis).max();
        Self {
            servers: streams().map(|stream| &*stream.server).collect(),
            seen: watched
                .map(|place| place.connector.to_lowercase())
                .collect(),
            last_row: last_row.map(record::timestamp),
            now,
        }
    }
}

impl Unseen {
    /// Looks for every connector that is expected by its name.
    pub fn look(&mut self, expectations: &Expectations, read: &Read<'_>) {
        if read.servers.is_empty() {
            return;
        }
        let mut before = std::mem::take(&mut self.connectors);
        for expectation in expectations.entries() {
            let Some(name) = expectation.pattern.single_name() else {
                continue;
            };
            let counts = expectations.for_connector(name);
            let is_meant = counts.is_some_and(|it| std::ptr::eq(it, expectation));
            if !is_meant || read.seen.contains(&name.to_lowercase()) || !sends(expectation, read) {
                continue;
            }
            let name: Arc<str> = Arc::from(name);
            let sought = before.remove(&name);
            // A clock that was ahead and is set back must not make the search begin in the future.
            let since = sought.map_or(read.now, |it| it.since.min(read.now));
            let surroundings = Surroundings {
                connector: &name,
                expectation,
                last_row: read.last_row,
                now: read.now,
            };
            let never_seen = silence::never_seen(since, &surroundings);
            let reason = match &never_seen {
                Some(found) => found.reason.clone(),
                None => silence::not_yet_seen(since, &surroundings),
            };
            let told = never_seen.filter(|_| read.now.duration_since(since) >= SECOND_LOOK);
            let sought = Sought {
                since,
                reason,
                told,
            };
            self.connectors.insert(name, sought);
        }
    }

    /// What belongs to an alert.
    pub fn told(&self) -> impl Iterator<Item = (Place, &Confirmed)> {
        let connectors = self.connectors.iter();
        connectors.filter_map(|(name, sought)| Some((place(name), sought.told.as_ref()?)))
    }

    /// All of them, each with what is to be said of it.
    pub fn shown(&self) -> impl Iterator<Item = (Place, &Reason)> {
        let connectors = self.connectors.iter();
        connectors.map(|(name, sought)| (place(name), &sought.reason))
    }
}

fn place(connector: &Arc<str>) -> Place {
    Place {
        server: Arc::from(""),
        connector: Arc::clone(connector),
    }
}

/// Whether one of the servers that are read sends by this connector, for all that is known.
fn sends(expectation: &Expectation, read: &Read<'_>) -> bool {
    let Some(sources) = &expectation.source_transport_servers else {
        return true;
    };
    let is_read = |source: &String| read.servers.iter().any(|it| is_same_host(source, it));
    sources.is_empty() || sources.iter().any(is_read)
}
