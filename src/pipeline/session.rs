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
mod live;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use foldhash::fast::FixedState;
use jiff::Timestamp;

use crate::pipeline::certificate::Certificate;
use crate::pipeline::certificate::known::KnownCertificates;
use crate::pipeline::record;
use crate::pipeline::record::Event;
use crate::pipeline::record::Row;
use crate::pipeline::record::SessionId;
use crate::pipeline::reply::EnhancedCode;
use crate::pipeline::reply::ReplyClass;
use crate::pipeline::session::live::Order;
use crate::pipeline::session::live::Scene;
use crate::pipeline::session::live::Session;
use crate::pipeline::tls;

/// How many sessions may be live at once. A server opens at most some thousands of connections; failed connects, which
/// the log never closes, fill the rest until the oldest are let go.
pub const MAX_LIVE_SESSIONS: usize = 16_384;

/// The longest connector name that is kept, in bytes; Exchange itself allows 64 characters.
pub const MAX_CONNECTOR_BYTES: usize = 512;

/// One directory of one server: the scope in which session ids are unique.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct StreamId(u32);

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
        certificate: Arc<Certificate>,
        /// In which handshake.
        handshake: Option<Handshake>,
    },
    /// TLS was negotiated. `presented` is there only for a `STARTTLS` session whose rows leave no doubt.
    Secured {
        /// `TLS 1.2` and the like.
        protocol: tls::Protocol,
        /// What the session proves about the client certificate.
        presented: Option<Presentation>,
    },
    /// TLS failed with this token.
    TlsFailed {
        /// Exchange's own word for it, cleaned.
        error: String,
    },
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
    /// [`Sessions::watch_relay`] asked.
    Relayed,
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
}

/// What a server presented in one `STARTTLS` session.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Presentation {
    /// This certificate.
    Certificate(Arc<Certificate>),
    /// None: TLS was negotiated without a client certificate.
    NoCertificate,
}

/// Which handshake a certificate was offered in.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Handshake {
    /// `STARTTLS`: the client certificate for a partner.
    StartTls,
    /// `X-ANONYMOUSTLS`: Exchange to Exchange, self-signed, no business of a connector.
    AnonymousTls,
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
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Place {
    /// Name of the server.
    pub server: Arc<str>,
    /// Name of the send connector.
    pub connector: Arc<str>,
}

/// The accepted domains of connectors whose relay is followed.
type RelayWatch = HashMap<Place, Arc<[String]>>;

/// What is known of a stream apart from its sessions.
#[derive(Clone, Debug)]
pub struct Stream {
    /// The server whose logs these are.
    pub server: Arc<str>,
    /// Rows dropped because their session had already shown this sequence number.
    pub duplicate_rows: u64,
    /// Jumps in the sequence numbers of sessions: rows that the log lost.
    pub sequence_gaps: u64,
    /// Time of the newest row, in milliseconds since 1970.
    pub last_millis: Option<i64>,
}

/// The live sessions of all streams.
#[derive(Debug, Default)]
pub struct Sessions {
    streams: Vec<Stream>,
    live: HashMap<(StreamId, SessionId), Session, FixedState>,
    connectors: HashMap<Vec<u8>, Arc<str>>,
    certificates: KnownCertificates,
    relay_watch: RelayWatch,
    /// Sessions let go because [`MAX_LIVE_SESSIONS`] was reached.
    pub evicted: u64,
}

impl Sessions {
    /// Adds a stream of the given server.
    pub fn open(&mut self, server: Arc<str>) -> StreamId {
        self.streams.push(Stream {
            server,
            duplicate_rows: 0,
            sequence_gaps: 0,
            last_millis: None,
        });
        StreamId(u32::try_from(self.streams.len() - 1).unwrap_or(u32::MAX))
    }

    /// What is known of a stream; `None` for an id of another table.
    pub fn stream(&self, stream: StreamId) -> Option<&Stream> {
        self.streams.get(stream.0 as usize)
    }

    /// From now on says [`Fact::Relayed`] when a session of this connector has a recipient accepted whose domain is
    /// none of the given ones nor below one of them. `None` ends the watch.
    pub fn watch_relay(&mut self, place: &Place, accepted_domains: Option<Arc<[String]>>) {
        match accepted_domains {
            Some(domains) => self.relay_watch.insert(place.clone(), domains),
            None => self.relay_watch.remove(place),
        };
    }

    /// Takes one row and hands out what it shows.
    pub fn row(&mut self, stream: StreamId, row: &Row<'_>, each: &mut impl FnMut(Observation<'_>)) {
        let key = (stream, row.session);
        let Some(source) = self.streams.get_mut(stream.0 as usize) else {
            return;
        };
        source.last_millis = source.last_millis.max(Some(row.millis));
        let known = self.live.get_mut(&key);
        let begins = known.is_none();
        let session = if let Some(session) = known {
            session
        } else {
            if self.live.len() >= MAX_LIVE_SESSIONS {
                self.evicted += make_room(&mut self.live);
            }
            let connector = connector_name(&mut self.connectors, row.connector);
            let session = Session::new(connector, row);
            self.live.entry(key).or_insert(session)
        };
        let order = if begins {
            Order::Next
        } else {
            session.order(row)
        };
        if order == Order::Duplicate {
            source.duplicate_rows += 1;
            return;
        }
        let mut scene = Scene {
            server: &source.server,
            certificates: &mut self.certificates,
            relay_watch: &self.relay_watch,
            each,
        };
        if begins {
            scene.say(session, row.time(), Fact::Started);
        }
        if order == Order::Gap {
            source.sequence_gaps += 1;
            // What follows lost rows may belong to another block, the peer's above all, or to another reply.
            session.flush(row.time(), &mut scene);
        }
        session.row(row, &mut scene);
        if row.event == Event::Disconnect {
            self.live.remove(&key);
        }
    }

    /// The stream has ended for good: says what its live sessions still hold, and forgets them.
    pub fn end(&mut self, stream: StreamId, each: &mut impl FnMut(Observation<'_>)) {
        let Some(Stream { server, .. }) = self.streams.get(stream.0 as usize) else {
            return;
        };
        let certificates = &mut self.certificates;
        let relay_watch = &self.relay_watch;
        self.live.retain(|(owner, _), session| {
            if *owner == stream {
                let mut scene = Scene {
                    server,
                    certificates: &mut *certificates,
                    relay_watch,
                    each: &mut *each,
                };
                session.flush(record::timestamp(session.last_millis), &mut scene);
            }
            *owner != stream
        });
    }

    /// How many sessions are live.
    pub fn live(&self) -> usize {
        self.live.len()
    }
}

/// Lets the quarter go whose last rows are the oldest; they are mostly failed connects, which never end in the log.
fn make_room(live: &mut HashMap<(StreamId, SessionId), Session, FixedState>) -> u64 {
    let age = |session: &Session| (session.last_millis, session.id.0);
    let mut ages: Vec<_> = live.values().map(age).collect();
    let quarter = ages.len() / 4;
    let (_, &mut oldest_kept, _) = ages.select_nth_unstable(quarter);
    let before = live.len();
    live.retain(|_, session| age(session) >= oldest_kept);
    (before - live.len()) as u64
}

/// One name is one allocation, however many sessions have it.
fn connector_name(names: &mut HashMap<Vec<u8>, Arc<str>>, cell: record::Cell<'_>) -> Arc<str> {
    const MAX_NAMES: usize = 4096;
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

#[cfg(test)]
mod tests;
