//! The live sessions, found by their ids.

use std::collections::HashMap;

use foldhash::fast::FixedState;

use crate::pipeline::record::SessionId;
use crate::pipeline::session::MAX_LIVE_SESSIONS;
use crate::pipeline::session::StreamId;
use crate::pipeline::session::kept::Journal;
use crate::pipeline::session::live::Session;

/// A session id, and where it is unique.
pub(super) type Key = (StreamId, SessionId);

/// Of how many sessions it is remembered where they are. Ids are counted up, so those of the sessions that a server has at
/// a time differ in their last digits.
const HINTS: usize = 256;

/// Sessions by their keys.
#[derive(Debug)]
pub(super) struct Live {
    sessions: Vec<Option<Entry>>,
    places: HashMap<Key, usize, FixedState>,
    free: Vec<usize>,
    /// Where the session was that was looked for last, of all whose ids end alike. Whether it still is, its key tells.
    hints: [usize; HINTS],
}

/// A session beside its key: whoever finds one has the other at hand.
#[derive(Debug)]
struct Entry {
    key: Key,
    session: Session,
}

impl Default for Live {
    fn default() -> Self {
        Self {
            sessions: Vec::new(),
            places: HashMap::default(),
            free: Vec::new(),
            hints: [0; HINTS],
        }
    }
}

impl Live {
    /// Finds a session. Rows of the same sessions come again and again, so mostly the hint is right.
    #[inline]
    pub(super) fn get_mut(&mut self, key: Key) -> Option<&mut Session> {
        let hint = self.hints[hint(key)];
        match self.sessions.get(hint) {
            Some(Some(entry)) if entry.key == key => self.session(hint),
            _ => self.search(key),
        }
    }

    #[inline]
    fn session(&mut self, place: usize) -> Option<&mut Session> {
        let entry = self.sessions.get_mut(place)?.as_mut()?;
        Some(&mut entry.session)
    }

    #[cold]
    #[inline(never)]
    fn search(&mut self, key: Key) -> Option<&mut Session> {
        let place = *self.places.get(&key)?;
        self.hints[hint(key)] = place;
        self.session(place)
    }

    /// Adds a session, and makes room for it first if need be; how many had to go for it is counted.
    #[inline(never)]
    pub(super) fn add(
        &mut self,
        key: Key,
        session: Session,
        evicted: &mut u64,
        journal: Option<&mut Journal>,
    ) -> &mut Session {
        if self.len() >= MAX_LIVE_SESSIONS {
            *evicted += self.make_room(journal);
        }
        self.insert(key, session)
    }

    /// Adds a session, or puts it into the place of that with the same key.
    pub(super) fn insert(&mut self, key: Key, session: Session) -> &mut Session {
        let place = self.places.get(&key).copied().unwrap_or_else(|| {
            let free = self.free.pop();
            let place = free.unwrap_or(self.sessions.len());
            if place == self.sessions.len() {
                self.sessions.push(None);
            }
            self.places.insert(key, place);
            place
        });
        self.hints[hint(key)] = place;
        &mut self.sessions[place].insert(Entry { key, session }).session
    }

    pub(super) fn remove(&mut self, key: Key) -> Option<Session> {
        let place = self.places.remove(&key)?;
        self.free.push(place);
        Some(self.sessions[place].take()?.session)
    }

    pub(super) fn retain(&mut self, mut stays: impl FnMut(Key, &mut Session) -> bool) {
        for (place, slot) in self.sessions.iter_mut().enumerate() {
            if let Some(entry) = slot
                && !stays(entry.key, &mut entry.session)
            {
                self.places.remove(&entry.key);
                self.free.push(place);
                *slot = None;
            }
        }
    }

    /// Lets the quarter go whose last rows are the oldest; they are mostly failed connects, which never end in the log.
    /// How many went.
    fn make_room(&mut self, mut journal: Option<&mut Journal>) -> u64 {
        let age = |session: &Session| (session.last_millis, session.id.0);
        let sessions = self.sessions.iter().flatten();
        let mut ages: Vec<_> = sessions.map(|entry| age(&entry.session)).collect();
        let quarter = ages.len() / 4;
        let (_, &mut oldest_kept, _) = ages.select_nth_unstable(quarter);
        let before = self.len();
        self.retain(|key, session| {
            let stays = age(session) >= oldest_kept;
            if let (false, Some(journal)) = (stays, &mut journal) {
                journal.gone(key, session.kept);
            }
            stays
        });
        (before - self.len()) as u64
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (Key, &mut Session)> {
        let entries = self.sessions.iter_mut().flatten();
        entries.map(|entry| (entry.key, &mut entry.session))
    }

    pub(super) fn len(&self) -> usize {
        self.places.len()
    }
}

#[inline]
fn hint((_, SessionId(id)): Key) -> usize {
    const LAST: u64 = HINTS as u64 - 1;
    (id & LAST) as usize
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::pipeline::record::RowReader;

    /// A session that is known by its last sequence number.
    fn session(number: u32) -> Option<Session> {
        let line = format!("2026-01-01T00:00:00.000Z,c,08DE41A5B3C2D100,{number},,,*,,");
        let row = RowReader::default().read(line.as_bytes()).ok()?;
        Some(Session::new(Arc::from("c"), &row))
    }

    #[derive(Clone, Copy, Debug)]
    enum Step {
        Insert,
        Get,
        Remove,
        /// Lets every session go whose id is divisible by this.
        Thin(u64),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => Just(Step::Insert),
            8 => Just(Step::Get),
            4 => Just(Step::Remove),
            1 => (1..4u64).prop_map(Step::Thin),
        ]
    }

    proptest! {
        #[test]
        fn it_is_a_map(steps in proptest::collection::vec((step(), 0..2u32, 0..6u64, 0..2u64), 0..200)) {
            let mut live = Live::default();
            let mut plain = BTreeMap::new();
            for (number, (step, stream, low, high)) in (0..).zip(steps) {
                // Some ids end alike.
                let id = low + high * HINTS as u64;
                let key = (StreamId(stream), SessionId(id));
                match step {
                    Step::Insert => {
                        if let Some(session) = session(number) {
                            live.insert(key, session);
                            plain.insert((stream, id), number);
                        }
                    }
                    Step::Get => {}
                    Step::Remove => {
                        let gone = live.remove(key).map(|gone| gone.last_sequence());
                        prop_assert_eq!(gone, plain.remove(&(stream, id)));
                    }
                    Step::Thin(divisor) => {
                        live.retain(|(_, SessionId(id)), _| id % divisor != 0);
                        plain.retain(|(_, id), _| id % divisor != 0);
                    }
                }
                let found = live.get_mut(key).map(|found| found.last_sequence());
                prop_assert_eq!(found, plain.get(&(stream, id)).copied());
                prop_assert_eq!(live.len(), plain.len());
                let mut all: Vec<_> = live.iter_mut().map(|((stream, id), it)| ((stream.0, id.0), it.last_sequence())).collect();
                all.sort_unstable();
                prop_assert_eq!(all, plain.iter().map(|(key, number)| (*key, *number)).collect::<Vec<_>>());
            }
        }
    }
}
