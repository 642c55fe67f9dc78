//! Live sessions over a restart: which of them changed, and how they are written down.
//!
//! Thousands are live, and a commit writes only those that had rows since the last one; what begins and ends between
//! two commits is never written at all. A certificate is presented by thousands of sessions and stands in a row of its
//! own.

use std::collections::HashMap;
use std::collections::HashSet;
use std::fmt::Write as _;
use std::sync::Arc;

use serde::Deserialize;
use serde::Serialize;
use sha2::Digest;
use sha2::Sha256;

use crate::pipeline::certificate::Certificate;
use crate::pipeline::record::SessionId;
use crate::pipeline::saved::Changes;
use crate::pipeline::saved::Saved;
use crate::pipeline::saved::Table;
use crate::pipeline::saved::Unreadable;
use crate::pipeline::session::Presentation;
use crate::pipeline::session::Sessions;
use crate::pipeline::session::Stream;
use crate::pipeline::session::StreamId;
use crate::pipeline::session::live::Kept;
use crate::pipeline::session::live::Session;
use crate::pipeline::session::table::Key;
use crate::pipeline::session::table::Live;

/// How many certificates are kept for live sessions before those that none refers to any more are thrown out.
const MAX_KEPT_CERTIFICATES: usize = 1024;
/// The key of the counts of all sessions.
const COUNTS: &str = "sessions";

/// What changed since the last commit.
#[derive(Debug)]
pub(super) struct Journal {
    changed: Vec<Key>,
    gone: Vec<Key>,
    pub(super) streams_gone: Vec<Arc<str>>,
    /// Keys of the certificates that are on disk.
    certificates: HashSet<String>,
    /// How many of them are too many.
    too_many: usize,
    evicted: u64,
}

impl Default for Journal {
    fn default() -> Self {
        Self {
            changed: Vec::new(),
            gone: Vec::new(),
            streams_gone: Vec::new(),
            certificates: HashSet::new(),
            too_many: MAX_KEPT_CERTIFICATES,
            evicted: 0,
        }
    }
}

impl Journal {
    /// A session had a row.
    pub(super) fn changed(&mut self, key: Key, kept: &mut Kept) {
        if !kept.changed {
            kept.changed = true;
            self.changed.push(key);
        }
    }

    /// A session is not live any more.
    pub(super) fn gone(&mut self, key: Key, kept: Kept) {
        if kept.stored {
            self.gone.push(key);
        }
    }

    /// Throws out every certificate; all sessions are written anew, with those that they refer to.
    fn forget_certificates(&mut self, live: &mut Live, changes: &mut Changes) {
        self.too_many = MAX_KEPT_CERTIFICATES;
        for key in self.certificates.drain() {
            changes.remove(Table::Certificate, key);
        }
        for (key, session) in live.iter_mut() {
            self.changed(key, &mut session.kept);
        }
    }
}

/// Keys of the certificates that one commit refers to. Thousands of sessions share a few: each is hashed once.
#[derive(Default)]
struct CertificateKeys {
    known: HashMap<*const Certificate, String>,
}

impl CertificateKeys {
    /// The key of a certificate, which is written down if it is not `stored` yet.
    fn take(
        &mut self,
        certificate: &Arc<Certificate>,
        stored: &mut HashSet<String>,
        changes: &mut Changes,
    ) -> String {
        let key = self.known.entry(Arc::as_ptr(certificate));
        let key = key.or_insert_with(|| content_key(certificate));
        if !stored.contains(key) {
            changes.put(Table::Certificate, key.as_str(), certificate);
            stored.insert(key.clone());
        }
        key.clone()
    }
}

/// A stream as it is written down.
#[derive(Deserialize, Serialize)]
struct KeptStream {
    number: StreamId,
    name: Arc<str>,
    server: Arc<str>,
    duplicate_rows: u64,
    sequence_gaps: u64,
    last_millis: Option<i64>,
}

/// Counts of all sessions.
#[derive(Default, Deserialize, Serialize)]
struct Counts {
    evicted: u64,
}

/// A session as it is written down, with keys of certificates.
#[derive(Deserialize, Serialize)]
struct KeptSession<S> {
    session: S,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    offered: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    presented: Option<KeptPresentation>,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
enum KeptPresentation {
    Certificate(String),
    NoCertificate,
}

impl Sessions {
    /// From now on remembers what changes, for [`Self::take_changes`].
    pub fn keep_journal(&mut self) {
        self.journal.get_or_insert_default();
    }

    /// Marks everything as changed.
    pub fn change_everything(&mut self) {
        for stream in self.streams.iter_mut().flatten() {
            stream.changed = true;
        }
        let Some(journal) = &mut self.journal else {
            return;
        };
        journal.certificates.clear();
        journal.evicted = 0;
        for (key, session) in self.live.iter_mut() {
            journal.changed(key, &mut session.kept);
        }
    }

    /// Adds what changed since the last time.
    pub fn take_changes(&mut self, changes: &mut Changes) {
        let Some(mut journal) = self.journal.take() else {
            return;
        };
        let renews = journal.certificates.len() > journal.too_many;
        if renews {
            journal.forget_certificates(&mut self.live, changes);
        }
        for name in journal.streams_gone.drain(..) {
            changes.remove(Table::Stream, &*name);
        }
        self.take_streams(changes);
        for key in journal.gone.drain(..) {
            changes.remove(Table::Session, row_key(key));
        }
        self.take_sessions(&mut journal, changes);
        if renews {
            // As many as the live sessions need are never too many.
            journal.too_many = journal.too_many.max(2 * journal.certificates.len());
        }
        if journal.evicted != self.evicted {
            journal.evicted = self.evicted;
            let counts = Counts {
                evicted: self.evicted,
            };
            changes.put(Table::Whole, COUNTS, &counts);
        }
        self.journal = Some(journal);
    }

    fn take_streams(&mut self, changes: &mut Changes) {
        for (number, stream) in (0..).map(StreamId).zip(&mut self.streams) {
            if let Some(stream) = stream
                && std::mem::take(&mut stream.changed)
                && let Some(name) = &stream.name
            {
                changes.put(Table::Stream, &**name, &stream.kept(number, name));
            }
        }
    }

    fn take_sessions(&mut self, journal: &mut Journal, changes: &mut Changes) {
        let mut keys = CertificateKeys::default();
        for key in journal.changed.drain(..) {
            let stream = self.streams.get(key.0.0 as usize);
            let is_kept = stream
                .is_some_and(|stream| stream.as_ref().is_some_and(|stream| stream.name.is_some()));
            let Some(session) = self.live.get_mut(key).filter(|_| is_kept) else {
                continue;
            };
            session.kept = Kept {
                stored: true,
                changed: false,
            };
            let stored = &mut journal.certificates;
            let mut certificate = |shown: &Arc<Certificate>| keys.take(shown, stored, changes);
            let kept = KeptSession {
                offered: session.offered.as_ref().map(&mut certificate),
                presented: session.presented.as_ref().map(|presented| match presented {
                    Presentation::Certificate(shown) => {
                        KeptPresentation::Certificate(certificate(shown))
                    }
                    Presentation::NoCertificate => KeptPresentation::NoCertificate,
                }),
                session: &*session,
            };
            changes.put(Table::Session, row_key(key), &kept);
        }
    }

    /// What was saved. It keeps a journal.
    ///
    /// # Errors
    /// When a row holds something else than it should.
    pub fn restore(saved: &Saved) -> Result<Self, Unreadable> {
        let counts: Counts = saved.row(Table::Whole, COUNTS)?.unwrap_or_default();
        let mut sessions = Self {
            evicted: counts.evicted,
            ..Self::default()
        };
        let mut journal = Journal {
            evicted: counts.evicted,
            ..Journal::default()
        };
        for row in saved.rows::<KeptStream>(Table::Stream) {
            let (_, stream) = row?;
            sessions.restore_stream(stream);
        }
        let mut certificates = HashMap::new();
        for row in saved.rows::<Arc<Certificate>>(Table::Certificate) {
            let (key, certificate) = row?;
            journal.certificates.insert(key.to_owned());
            certificates.insert(key, certificate);
        }
        let mut names: HashSet<Arc<str>> = HashSet::new();
        for row in saved.rows::<KeptSession<Session>>(Table::Session) {
            let (text, kept) = row?;
            let unreadable = |why: &str| Unreadable {
                table: Table::Session,
                key: text.to_owned(),
                why: why.to_owned(),
            };
            let key =
                parse_row_key(text).ok_or_else(|| unreadable("this is no key of a session"))?;
            let mut session = kept.session;
            let find = |key: &String| {
                let found = certificates.get(key.as_str()).map(Arc::clone);
                found.ok_or_else(|| unreadable("its certificate is missing"))
            };
            session.id = key.1;
            session.kept.stored = true;
            session.offered = kept.offered.as_ref().map(find).transpose()?;
            session.presented = match &kept.presented {
                Some(KeptPresentation::Certificate(key)) => {
                    Some(Presentation::Certificate(find(key)?))
                }
                Some(KeptPresentation::NoCertificate) => Some(Presentation::NoCertificate),
                None => None,
            };
            if let Some(name) = names.get(&session.connector) {
                session.connector = Arc::clone(name);
            } else {
                names.insert(Arc::clone(&session.connector));
            }
            sessions.live.insert(key, session);
        }
        for certificate in certificates.values() {
            sessions.remember(certificate);
        }
        sessions.journal = Some(journal);
        Ok(sessions)
    }

    /// A certificate that is known from elsewhere may fill up a block that was cut short.
    pub fn remember(&mut self, certificate: &Arc<Certificate>) {
        self.certificates.remember(certificate);
    }

    fn restore_stream(&mut self, kept: KeptStream) {
        let index = kept.number.0 as usize;
        if self.streams.len() <= index {
            self.streams.resize_with(index + 1, || None);
        }
        self.streams[index] = Some(Stream {
            name: Some(kept.name),
            server: kept.server,
            duplicate_rows: kept.duplicate_rows,
            sequence_gaps: kept.sequence_gaps,
            first_millis: kept.last_millis,
            last_millis: kept.last_millis,
            changed: false,
        });
    }
}

impl Stream {
    fn kept(&self, number: StreamId, name: &Arc<str>) -> KeptStream {
        KeptStream {
            number,
            name: Arc::clone(name),
            server: Arc::clone(&self.server),
            duplicate_rows: self.duplicate_rows,
            sequence_gaps: self.sequence_gaps,
            last_millis: self.last_millis,
        }
    }
}

/// The stream's number and the session id as the log writes it.
fn row_key((stream, session): Key) -> String {
    format!("{}/{:016X}", stream.0, session.0)
}

fn parse_row_key(text: &str) -> Option<Key> {
    let (stream, session) = text.split_once('/')?;
    let stream = StreamId(stream.parse().ok()?);
    Some((stream, SessionId(u64::from_str_radix(session, 16).ok()?)))
}

/// A key for what a certificate says: thumbprints do not do, because a block that was cut short has the same.
fn content_key(certificate: &Certificate) -> String {
    let text = serde_json::to_vec(certificate).unwrap_or_default();
    let digest = Sha256::digest(text);
    digest[..16].iter().fold(String::new(), |mut key, byte| {
        let _ = write!(key, "{byte:02x}");
        key
    })
}
