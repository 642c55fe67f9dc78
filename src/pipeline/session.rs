//! Rows → observations: what one SMTP session says about the server's certificate.
//!
//! The rows of many sessions interleave, and a session can begin before the log does or go on in the next file. So each
//! live session keeps the little that later rows need: which handshake was asked for, what was offered since, whether
//! the peer is Exchange Online. Two things must never go wrong here. The certificate of the *peer*, or the one shown to
//! another Exchange server after `X-ANONYMOUSTLS`, must not be taken for the connector's. And a session counts as
//! "without certificate" only if every row from `STARTTLS` to the TLS row was seen, because a lost row looks the same.
//!
//! A session is judged when its TLS result is known; most connections stay open long after.

mod dialogue;
mod greetings;
mod kept;
mod live;
mod rows;
mod table;

use std::collections::HashMap;
use std::hash::Hash;
use std::hash::Hasher;
use std::net::IpAddr;
use std::sync::Arc;

use foldhash::fast::FixedState;
use jiff::Timestamp;
use serde::Deserialize;
use serde::Serialize;

use crate::pipeline::certificate::Certificate;
use crate::pipeline::certificate::known::KnownCertificates;
use crate::pipeline::record;
use crate::pipeline::record::Row;
use crate::pipeline::record::SessionId;
use crate::pipeline::reply::EnhancedCode;
use crate::pipeline::reply::ReplyClass;
use crate::pipeline::saved::Table;
use crate::pipeline::saved::Unreadable;
use crate::pipeline::session::greetings::Greetings;
use crate::pipeline::session::kept::Journal;
use crate::pipeline::session::live::Scene;
use crate::pipeline::session::table::Live;
use crate::pipeline::tls;

pub use crate::pipeline::session::rows::Listener;
pub use crate::pipeline::session::rows::Rows;

/// How many sessions may be live at once. A server opens at most some thousands of connections; failed connects, which
/// the log never closes, fill the rest until the oldest are let go.
pub const MAX_LIVE_SESSIONS: usize = 16_384;

/// The longest connector name that is kept, in bytes; Exchange itself allows 64 characters.
pub const MAX_CONNECTOR_BYTES: usize = 512;

/// One directory of one server: the scope in which session ids are unique.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub struct StreamId(u32);

impl Hash for StreamId {
    /// Hashes nothing: a stream is looked up together with a session id, once in a row, and session ids of different
    /// streams hardly ever agree, because each holds the time at which its server started.
    fn hash<H: Hasher>(&self, _: &mut H) {}
}

/// A fact, where it was observed, and when.
#[derive(Clone, Debug)]
pub struct Observation<'a> {
    /// Name of the server whose log it is.
    pub server: &'a Arc<str>,
    /// Name of the send connector.
    pub connector: &'a Arc<str>,
    /// The session, unique within its server and service.
    pub session: SessionId,
    /// Time of the row.
    pub time: Timestamp,
    /// Whether the peer has shown itself to be Exchange Online.
    pub exchange_online: bool,
    /// What was observed.
    pub fact: Fact<'a>,
}

/// What a session shows.
#[derive(Clone, Debug)]
pub enum Fact<'a> {
    /// The first row of a session id.
    Started,
    /// A certificate was offered. `None`: the command before it was not seen, so it may be of either kind.
    Offered {
        /// What was offered.
        certificate: &'a Arc<Certificate>,
        /// In which handshake.
        handshake: Option<Handshake>,
    },
    /// TLS was negotiated. `presented` is there only for a `STARTTLS` session whose rows leave no doubt.
    Secured {
        /// `TLS 1.2` and the like.
        protocol: tls::Protocol,
        /// What the session proves about the client certificate.
        presented: Option<&'a Presentation>,
    },
    /// TLS failed with this token.
    TlsFailed {
        /// Exchange's own word for it, cleaned.
        error: String,
    },
    /// A mail was begun without TLS, and every row of the session so far was seen. Said once for each session.
    InClear,
    /// Exchange Online named the public address that it sees.
    Egress {
        /// The address.
        address: IpAddr,
        /// Whether this session names it for the first time.
        first: bool,
    },
    /// The banner is masked by asterisks: a firewall inspects SMTP and takes STARTTLS away.
    BannerMasked,
    /// A command was refused with 4xx or 5xx.
    Refused(Refused<'a>),
    /// A recipient outside the tenant's accepted domains was accepted, on a connector for which
    /// [`RelayWatch::set`] asked.
    Relayed {
        /// Whether the mail had the null sender.
        null_sender: bool,
    },
}

/// A 4xx or 5xx reply.
#[derive(Clone, Copy, Debug)]
pub struct Refused<'a> {
    /// What it means for the connector.
    pub class: ReplyClass,
    /// Basic reply code.
    pub code: u16,
    /// Enhanced status code.
    pub enhanced: Option<EnhancedCode>,
    /// The text, without addresses and ids.
    pub text: &'a str,
    /// What the session presented; `None`: not known.
    pub presented: Option<&'a Presentation>,
    /// Whether the mail had the null sender (`MAIL FROM:<>`, RFC 5321, section 4.5.5): a bounce or an automatic answer.
    pub null_sender: bool,
}

/// What a server presented in one `STARTTLS` session.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Presentation {
    /// This certificate.
    Certificate(Arc<Certificate>),
    /// None: TLS was negotiated without a client certificate.
    NoCertificate,
}

/// Which handshake a certificate was offered in.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Handshake {
    /// `STARTTLS`: the client certificate for a partner.
    StartTls,
    /// `X-ANONYMOUSTLS`: Exchange to Exchange, self-signed, no business of a connector.
    AnonymousTls,
}

impl Place {
    /// Its key in the saved state.
    pub fn key(&self) -> String {
        // Two texts can always be written.
        serde_json::to_string(&(&self.server, &self.connector)).unwrap_or_default()
    }

    /// The place of a row with such a key.
    ///
    /// # Errors
    /// When the key is none.
    pub fn of_row(table: Table, key: &str) -> Result<Self, Unreadable> {
        serde_json::from_str(key)
            .map(|(server, connector)| Self { server, connector })
            .map_err(|error| Unreadable {
                table,
                key: key.to_owned(),
                why: error.to_string(),
            })
    }
}

impl Handshake {
    /// The word for it in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::StartTls => "starttls",
            Self::AnonymousTls => "anonymous_tls",
        }
    }
}

/// A connector of a server.
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub struct Place {
    /// Name of the server.
    pub server: Arc<str>,
    /// Name of the send connector.
    pub connector: Arc<str>,
}

/// The accepted domains of connectors whose relay is followed.
#[derive(Debug, Default)]
pub struct RelayWatch(HashMap<Place, Arc<[String]>>);

impl RelayWatch {
    /// From now on says [`Fact::Relayed`] when a session of this connector has a recipient accepted whose domain is
    /// none of the given ones nor below one of them. `None` ends the watch.
    pub fn set(&mut self, place: &Place, accepted_domains: Option<Arc<[String]>>) {
        match accepted_domains {
            Some(domains) => self.0.insert(place.clone(), domains),
            None => self.0.remove(place),
        };
    }
}

/// What is known of a stream apart from its sessions.
#[derive(Clone, Debug)]
pub struct Stream {
    /// By what it is known again after a restart; `None`: never.
    pub name: Option<Arc<str>>,
    /// The server whose logs these are.
    pub server: Arc<str>,
    /// Rows dropped because their session had already shown this sequence number.
    pub duplicate_rows: u64,
    /// Jumps in the sequence numbers of sessions: rows that the log lost.
    pub sequence_gaps: u64,
    /// Time of the oldest row since the program started, in milliseconds since 1970; for a stream that was known before, of
    /// that row or of the newest one then, whichever is older.
    pub first_millis: Option<i64>,
    /// Time of the newest row, in milliseconds since 1970.
    pub last_millis: Option<i64>,
    /// Whether it is to be written anew.
    changed: bool,
}

impl Stream {
    /// Takes note of the time of a row. Most are newer than those before them.
    #[inline]
    fn note_time(&mut self, millis: i64) {
        match &mut self.last_millis {
            Some(last) if *last <= millis => *last = millis,
            _ => self.note_other_time(millis),
        }
    }

    #[cold]
    #[inline(never)]
    fn note_other_time(&mut self, millis: i64) {
        self.last_millis = self.last_millis.max(Some(millis));
        self.first_millis = Some(self.first_millis.map_or(millis, |first| first.min(millis)));
    }
}

/// The live sessions of all streams.
#[derive(Debug, Default)]
pub struct Sessions {
    /// By number; `None`: the stream was forgotten.
    streams: Vec<Option<Stream>>,
    live: Live,
    connectors: ConnectorNames,
    certificates: KnownCertificates,
    greetings: Greetings,
    /// Where relay is followed.
    pub relay_watch: RelayWatch,
    /// Sessions let go because [`MAX_LIVE_SESSIONS`] was reached.
    pub evicted: u64,
    journal: Option<Journal>,
}

impl Sessions {
    /// Adds a stream of the given server.
    pub fn open(&mut self, server: Arc<str>) -> StreamId {
        self.add(None, server)
    }

    /// Goes on with the stream of this name and server, or adds it.
    pub fn resume(&mut self, name: &str, server: &str) -> StreamId {
        let known = self.streams.iter().position(|stream| {
            stream.as_ref().is_some_and(|stream| {
                stream.name.as_deref() == Some(name) && &*stream.server == server
            })
        });
        match known {
            Some(index) => StreamId(u32::try_from(index).unwrap_or(u32::MAX)),
            None => self.add(Some(Arc::from(name)), Arc::from(server)),
        }
    }

    fn add(&mut self, name: Option<Arc<str>>, server: Arc<str>) -> StreamId {
        let stream = Stream {
            name,
            server,
            duplicate_rows: 0,
            sequence_gaps: 0,
            first_millis: None,
            last_millis: None,
            changed: true,
        };
        let free = self.streams.iter().position(Option::is_none);
        let index = free.unwrap_or(self.streams.len());
        if free.is_none() {
            self.streams.push(None);
        }
        self.streams[index] = Some(stream);
        StreamId(u32::try_from(index).unwrap_or(u32::MAX))
    }

    /// What is known of a stream; `None` for an id of another table.
    pub fn stream(&self, stream: StreamId) -> Option<&Stream> {
        self.streams.get(stream.0 as usize)?.as_ref()
    }

    /// Every stream that can be known again.
    pub fn streams(&self) -> impl Iterator<Item = (StreamId, &Stream)> {
        let numbered = (0..).map(StreamId).zip(&self.streams);
        numbered.filter_map(|(id, stream)| Some((id, stream.as_ref()?)))
    }

    /// Takes one row and hands out what it shows.
    pub fn row(&mut self, stream: StreamId, row: &Row<'_>, each: &mut impl FnMut(Observation<'_>)) {
        if let Some(mut rows) = self.rows(stream, each) {
            rows.row(row);
        }
    }

    /// The stream has ended for good: says what its live sessions still hold, and forgets them.
    pub fn end(&mut self, stream: StreamId, listener: impl Listener) {
        let Some(Some(Stream { server, .. })) = self.streams.get(stream.0 as usize) else {
            return;
        };
        let mut scene = Scene {
            server: Arc::clone(server),
            certificates: &mut self.certificates,
            greetings: &mut self.greetings,
            relay_watch: &mut self.relay_watch,
            listener,
        };
        let mut journal = self.journal.as_mut();
        self.live.retain(|key, session| {
            let (owner, _) = key;
            if owner == stream {
                if let Some(journal) = &mut journal {
                    journal.gone(key, session.kept);
                }
                session.flush(record::timestamp(session.last_millis), &mut scene);
            }
            owner != stream
        });
    }

    /// Ends a stream and forgets its counts, too.
    pub fn forget(&mut self, stream: StreamId, listener: impl Listener) {
        self.end(stream, listener);
        if let Some(stream) = self.streams.get_mut(stream.0 as usize)
            && let Some(Stream {
                name: Some(name), ..
            }) = stream.take()
            && let Some(journal) = &mut self.journal
        {
            journal.streams_gone.push(name);
        }
    }

    /// How many sessions are live.
    pub fn live(&self) -> usize {
        self.live.len()
    }
}

/// One name is one allocation, however many sessions have it.
#[derive(Debug, Default)]
struct ConnectorNames(HashMap<Vec<u8>, Arc<str>, FixedState>);

impl ConnectorNames {
    fn name(&mut self, cell: record::Cell<'_>) -> Arc<str> {
        const MAX_NAMES: usize = 4096;
        let Self(names) = self;
        if let Some(name) = names.get(cell.raw()) {
            return Arc::clone(name);
        }
        let bytes = cell.bytes();
        let text = String::from_utf8_lossy(&bytes[..bytes.len().min(MAX_CONNECTOR_BYTES)]);
        let name: Arc<str> = Arc::from(text.as_ref());
        if cell.raw().len() <= MAX_CONNECTOR_BYTES {
            if names.len() >= MAX_NAMES {
                names.clear();
            }
            names.insert(cell.raw().to_vec(), Arc::clone(&name));
        }
        name
    }
}

#[cfg(test)]
mod tests;
