//! Rows → observations: what one SMTP session says about the server's certificate.
//!
//! The rows of many sessions interleave, and a session can begin before the log does or go on in the next file. So each
//! live session keeps the little that later rows need: which handshake was asked for, what was offered since, whether
//! the peer is Exchange Online. Two things must never go wrong here. The certificate of the *peer*, or the one shown to
//! another Exchange server after `X-ANONYMOUSTLS`, must not be taken for the connector's. And a session counts as
//! "without certificate" only if every row from `STARTTLS` to the TLS row was seen, because a lost row looks the same.
//!
//! A session is judged when its TLS result is known; most connections stay open long after.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use foldhash::fast::FixedState;
use jiff::Timestamp;

use crate::pipeline::certificate;
use crate::pipeline::certificate::Block;
use crate::pipeline::certificate::BlockStep;
use crate::pipeline::certificate::Certificate;
use crate::pipeline::certificate::Label;
use crate::pipeline::certificate::known::KnownCertificates;
use crate::pipeline::record;
use crate::pipeline::record::Event;
use crate::pipeline::record::Row;
use crate::pipeline::record::SessionId;
use crate::pipeline::reply;
use crate::pipeline::reply::EnhancedCode;
use crate::pipeline::reply::Reply;
use crate::pipeline::reply::ReplyClass;
use crate::pipeline::tls;

/// How many sessions may be live at once. A server opens at most some thousands of connections; failed connects, which
/// the log never closes, fill the rest until the oldest are let go.
pub const MAX_LIVE_SESSIONS: usize = 16_384;

/// The longest connector name that is kept, in bytes; Exchange itself allows 64 characters.
pub const MAX_CONNECTOR_BYTES: usize = 512;

/// How many outstanding recipients of one session are followed at once.
const MAX_FOLLOWED_RECIPIENTS: usize = 256;

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
            // What follows lost rows may belong to another block or reply.
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

/// What a session needs from its surroundings while it takes a row.
struct Scene<'a, F> {
    server: &'a Arc<str>,
    certificates: &'a mut KnownCertificates,
    relay_watch: &'a RelayWatch,
    each: &'a mut F,
}

impl<F> Scene<'_, F> {
    fn place(&self, session: &Session) -> Place {
        Place {
            server: Arc::clone(self.server),
            connector: Arc::clone(&session.connector),
        }
    }
}

impl<F: FnMut(Observation<'_>)> Scene<'_, F> {
    fn say(&mut self, session: &Session, time: Timestamp, fact: Fact<'_>) {
        (self.each)(Observation {
            server: self.server,
            connector: &session.connector,
            session: session.id,
            time,
            exchange_online: session.exchange_online,
            fact,
        });
    }
}

/// How a row's sequence number follows the last one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Order {
    Next,
    Gap,
    Duplicate,
}

/// How far the current handshake has come.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Phase {
    /// No TLS command seen.
    #[default]
    Plain,
    /// The command was sent.
    Asked(Handshake),
    /// The peer answered 220: what follows is the handshake.
    Ready(Handshake),
    /// The TLS result is known.
    Settled,
}

impl Phase {
    fn handshake(self) -> Option<Handshake> {
        match self {
            Self::Asked(handshake) | Self::Ready(handshake) => Some(handshake),
            Self::Plain | Self::Settled => None,
        }
    }
}

#[derive(Debug)]
struct Session {
    id: SessionId,
    connector: Arc<str>,
    last_millis: i64,
    last_sequence: u32,
    /// Every row since the TLS command was seen.
    contiguous: bool,
    exchange_online: bool,
    phase: Phase,
    offered: Option<Arc<Certificate>>,
    presented: Option<Presentation>,
    block: Option<Box<OpenBlock>>,
    egress: Option<IpAddr>,
    dialogue: Dialogue,
    refusal: Option<Box<OpenRefusal>>,
}

/// A certificate block of form A, and the time of its first row.
#[derive(Debug)]
struct OpenBlock {
    block: Block,
    since: Timestamp,
}

/// A refusal of several lines whose last one is still to come.
#[derive(Debug)]
struct OpenRefusal {
    class: ReplyClass,
    code: u16,
    enhanced: Option<EnhancedCode>,
    text: String,
}

/// Which command a reply answers. SMTP pipelining lets commands run ahead, so a reply belongs to the oldest command
/// without one (RFC 2920).
#[derive(Debug, Default)]
struct Dialogue {
    /// Commands sent.
    sent: u32,
    /// Commands answered.
    answered: u32,
    /// Whether the counts can be trusted: every row since the first was seen.
    aligned: bool,
    /// Which commands are recipients outside the accepted domains, oldest first.
    outside: Vec<u32>,
    /// Whether the last command was EHLO or HELO.
    greeting: bool,
}

impl Session {
    fn new(connector: Arc<str>, first: &Row<'_>) -> Self {
        Self {
            id: first.session,
            connector,
            last_millis: first.millis,
            last_sequence: first.sequence,
            contiguous: false,
            exchange_online: false,
            phase: Phase::Plain,
            offered: None,
            presented: None,
            block: None,
            egress: None,
            dialogue: Dialogue {
                aligned: first.sequence == 0,
                ..Dialogue::default()
            },
            refusal: None,
        }
    }

    fn order(&mut self, row: &Row<'_>) -> Order {
        if row.sequence <= self.last_sequence {
            return Order::Duplicate;
        }
        let next = row.sequence == self.last_sequence + 1;
        self.last_sequence = row.sequence;
        self.last_millis = row.millis;
        if next {
            return Order::Next;
        }
        self.contiguous = false;
        self.dialogue.aligned = false;
        Order::Gap
    }

    fn row<F: FnMut(Observation<'_>)>(&mut self, row: &Row<'_>, scene: &mut Scene<'_, F>) {
        match row.event {
            Event::Information => self.information(row, scene),
            Event::Send => {
                self.end_block(scene);
                self.command(row, scene);
            }
            Event::Receive => {
                self.end_block(scene);
                self.reply(row, scene);
            }
            Event::Connect => self.end_block(scene),
            Event::Disconnect => self.flush(row.time(), scene),
        }
    }

    /// Says what is still held back, because the rows that would complete it do not come.
    fn flush<F: FnMut(Observation<'_>)>(&mut self, time: Timestamp, scene: &mut Scene<'_, F>) {
        self.end_block(scene);
        self.end_refusal(time, scene);
    }

    fn information<F: FnMut(Observation<'_>)>(&mut self, row: &Row<'_>, scene: &mut Scene<'_, F>) {
        let context = row.context.bytes();
        match certificate::label(&context) {
            Label::OwnBlockStart => {
                self.end_block(scene);
                self.block = Some(Box::new(OpenBlock {
                    block: Block::start(),
                    since: row.time(),
                }));
            }
            Label::BlockRow => self.block_row(row, scene),
            Label::OwnRow => {
                self.end_block(scene);
                let certificate = scene.certificates.row(row.data);
                self.offer(certificate, row.time(), scene);
            }
            Label::TlsSucceeded => {
                self.end_block(scene);
                self.secured(&context, row.time(), scene);
            }
            Label::TlsFailed => {
                self.end_block(scene);
                self.phase = Phase::Settled;
                let error = tls::failure(&context);
                scene.say(self, row.time(), Fact::TlsFailed { error });
            }
            Label::Foreign | Label::Other => self.end_block(scene),
        }
    }

    /// A labelled row of form A. Without an open block it belongs to the peer's certificate.
    fn block_row<F: FnMut(Observation<'_>)>(&mut self, row: &Row<'_>, scene: &mut Scene<'_, F>) {
        let Some(open) = &mut self.block else { return };
        match open.block.row(&row.context.bytes(), &row.data.bytes()) {
            BlockStep::Continues => {}
            BlockStep::Complete(certificate) => {
                let since = open.since;
                self.block = None;
                let certificate = scene.certificates.block(certificate);
                self.offer(certificate, since, scene);
            }
            BlockStep::NotPart => self.end_block(scene),
        }
    }

    /// The session moves on: a block that was cut short says what it has.
    fn end_block<F: FnMut(Observation<'_>)>(&mut self, scene: &mut Scene<'_, F>) {
        let Some(open) = self.block.take() else {
            return;
        };
        let certificate = scene.certificates.block(open.block.finish());
        self.offer(certificate, open.since, scene);
    }

    fn offer<F: FnMut(Observation<'_>)>(
        &mut self,
        certificate: Arc<Certificate>,
        time: Timestamp,
        scene: &mut Scene<'_, F>,
    ) {
        let handshake = self.phase.handshake();
        self.offered = Some(Arc::clone(&certificate));
        let fact = Fact::Offered {
            certificate,
            handshake,
        };
        scene.say(self, time, fact);
    }

    fn secured<F: FnMut(Observation<'_>)>(
        &mut self,
        context: &[u8],
        time: Timestamp,
        scene: &mut Scene<'_, F>,
    ) {
        let phase = std::mem::replace(&mut self.phase, Phase::Settled);
        let presented = match (phase, self.offered.take()) {
            (
                Phase::Asked(Handshake::StartTls) | Phase::Ready(Handshake::StartTls),
                Some(certificate),
            ) => Some(Presentation::Certificate(certificate)),
            (Phase::Ready(Handshake::StartTls), None) if self.contiguous => {
                Some(Presentation::NoCertificate)
            }
            _ => None,
        };
        self.presented.clone_from(&presented);
        let fact = Fact::Secured {
            protocol: tls::protocol(context),
            presented,
        };
        scene.say(self, time, fact);
    }

    fn command<F>(&mut self, row: &Row<'_>, scene: &Scene<'_, F>) {
        let data = row.data.raw();
        let index = self.dialogue.sent;
        self.dialogue.sent = index.saturating_add(1);
        self.dialogue.greeting = false;
        match data.first().map(u8::to_ascii_uppercase) {
            Some(b'E' | b'H') => self.dialogue.greeting = true,
            Some(b'S') if is_command(data, b"STARTTLS") => self.ask(Handshake::StartTls),
            Some(b'X') if is_command(data, b"X-ANONYMOUSTLS") => self.ask(Handshake::AnonymousTls),
            Some(b'R') if !scene.relay_watch.is_empty() => {
                if let Some(accepted) = scene.relay_watch.get(&scene.place(self))
                    && self.dialogue.outside.len() < MAX_FOLLOWED_RECIPIENTS
                    && is_outside(&row.data.bytes(), accepted)
                {
                    self.dialogue.outside.push(index);
                }
            }
            _ => {}
        }
    }

    fn ask(&mut self, handshake: Handshake) {
        self.phase = Phase::Asked(handshake);
        self.contiguous = true;
        self.offered = None;
    }

    fn reply<F: FnMut(Observation<'_>)>(&mut self, row: &Row<'_>, scene: &mut Scene<'_, F>) {
        let data = row.data.raw();
        let Some((code, more)) = Reply::code(data) else {
            return;
        };
        if self.refusal.as_ref().is_some_and(|open| open.code != code) {
            self.end_refusal(row.time(), scene);
        }
        match code {
            400..=599 => self.refused(&row.data.bytes(), row.time(), scene),
            220 if self.phase == Phase::Plain && self.dialogue.sent == 0 => {
                self.banner(&row.data.bytes(), row.time(), scene);
            }
            250 if self.dialogue.greeting => self.hello(&row.data.bytes(), row.time(), scene),
            _ => {}
        }
        if let Phase::Asked(handshake) = self.phase
            && !more
        {
            self.phase = if code == 220 {
                Phase::Ready(handshake)
            } else {
                Phase::Plain
            };
        }
        if !more && code != 354 {
            self.answered(code, row.time(), scene);
        }
    }

    /// The last line of a reply: the oldest command without an answer has its answer now. (354 is not one: the reply
    /// to the message itself follows.)
    fn answered<F: FnMut(Observation<'_>)>(
        &mut self,
        code: u16,
        time: Timestamp,
        scene: &mut Scene<'_, F>,
    ) {
        let dialogue = &mut self.dialogue;
        if dialogue.answered >= dialogue.sent {
            return;
        }
        let index = dialogue.answered;
        dialogue.answered += 1;
        if dialogue.outside.first() == Some(&index) {
            dialogue.outside.remove(0);
            if dialogue.aligned && matches!(code, 250 | 251) {
                scene.say(self, time, Fact::Relayed);
            }
        }
    }

    fn banner<F: FnMut(Observation<'_>)>(
        &mut self,
        data: &[u8],
        time: Timestamp,
        scene: &mut Scene<'_, F>,
    ) {
        if reply::banner_is_masked(data) {
            scene.say(self, time, Fact::BannerMasked);
        } else if reply::banner_host(data).is_some_and(reply::is_exchange_online) {
            self.exchange_online = true;
        }
    }

    /// A line of an EHLO answer. The address in brackets is believed only when the host is Exchange Online's.
    fn hello<F: FnMut(Observation<'_>)>(
        &mut self,
        data: &[u8],
        time: Timestamp,
        scene: &mut Scene<'_, F>,
    ) {
        let Some(hello) = reply::hello(data) else {
            return;
        };
        if !reply::is_exchange_online(hello.host) {
            return;
        }
        self.exchange_online = true;
        if let Some(address) = hello.client {
            let first = self.egress.replace(address) != Some(address);
            scene.say(self, time, Fact::Egress { address, first });
        }
    }

    /// One line of a refusal. A refusal of several lines counts once, with the text of its first line and the gravest
    /// class of any.
    fn refused<F: FnMut(Observation<'_>)>(
        &mut self,
        data: &[u8],
        time: Timestamp,
        scene: &mut Scene<'_, F>,
    ) {
        let Some(reply) = Reply::parse(data) else {
            return;
        };
        let class = reply::classify(&reply);
        match &mut self.refusal {
            Some(open) => {
                open.class = open.class.min(class);
                open.enhanced = open.enhanced.or(reply.enhanced);
            }
            None => {
                self.refusal = Some(Box::new(OpenRefusal {
                    class,
                    code: reply.code,
                    enhanced: reply.enhanced,
                    text: reply::fold_text(&reply),
                }));
            }
        }
        if !reply.more {
            self.end_refusal(time, scene);
        }
    }

    fn end_refusal<F: FnMut(Observation<'_>)>(
        &mut self,
        time: Timestamp,
        scene: &mut Scene<'_, F>,
    ) {
        let Some(open) = self.refusal.take() else {
            return;
        };
        let refused = Refused {
            class: open.class,
            code: open.code,
            enhanced: open.enhanced,
            text: &open.text,
            presented: self.presented.as_ref(),
        };
        scene.say(self, time, Fact::Refused(refused));
    }
}

fn is_command(data: &[u8], command: &[u8]) -> bool {
    data.trim_ascii_end().eq_ignore_ascii_case(command)
}

/// The domain of the path between the angle brackets. What stands behind it, like the `ORCPT=` of a message that was
/// forwarded, names other addresses.
fn recipient_domain(command: &[u8]) -> Option<&str> {
    let path = &command[memchr::memchr(b'<', command)? + 1..];
    let mut quoted = false;
    let end = path.iter().position(|&byte| {
        quoted ^= byte == b'"';
        byte == b'>' && !quoted
    })?;
    let at = memchr::memrchr(b'@', &path[..end])?;
    std::str::from_utf8(&path[at + 1..end]).ok()
}

/// Whether a `RCPT TO:<user@domain>` names a domain that the tenant surely does not host. Tenants own names below
/// onmicrosoft.com without listing them everywhere, so those never count. The address itself goes nowhere.
fn is_outside(command: &[u8], accepted_domains: &[String]) -> bool {
    let Some(domain) = recipient_domain(command) else {
        return false;
    };
    let below = |parent: &str| {
        domain.len() >= parent.len()
            && domain.is_char_boundary(domain.len() - parent.len())
            && domain[domain.len() - parent.len()..].eq_ignore_ascii_case(parent)
            && (domain.len() == parent.len()
                || domain.as_bytes()[domain.len() - parent.len() - 1] == b'.')
    };
    let tenant_default = ["onmicrosoft.com", "onmicrosoft.us", "partner.onmschina.cn"];
    // A domain in another script cannot be compared with accepted domains, which are known by their A-labels.
    !domain.is_empty()
        && domain.is_ascii()
        && !tenant_default.into_iter().any(below)
        && !accepted_domains.iter().any(|parent| below(parent))
}

#[cfg(test)]
mod tests;
