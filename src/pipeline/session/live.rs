//! One live session: its rows, in order, and what they show.

use std::net::IpAddr;
use std::sync::Arc;

use jiff::Timestamp;
use serde::Deserialize;
use serde::Serialize;

use crate::pipeline::certificate::Certificate;
use crate::pipeline::certificate::block::Block;
use crate::pipeline::certificate::block::BlockStep;
use crate::pipeline::certificate::block::Field;
use crate::pipeline::certificate::known::KnownCertificates;
use crate::pipeline::certificate::label::Label;
use crate::pipeline::certificate::label::label;
use crate::pipeline::record::Event;
use crate::pipeline::record::Row;
use crate::pipeline::record::SessionId;
use crate::pipeline::reply;
use crate::pipeline::reply::EnhancedCode;
use crate::pipeline::reply::Reply;
use crate::pipeline::reply::ReplyClass;
use crate::pipeline::session::Fact;
use crate::pipeline::session::Handshake;
use crate::pipeline::session::Listener;
use crate::pipeline::session::Observation;
use crate::pipeline::session::Place;
use crate::pipeline::session::Presentation;
use crate::pipeline::session::Refused;
use crate::pipeline::session::RelayWatch;
use crate::pipeline::session::dialogue::Dialogue;
use crate::pipeline::session::dialogue::is_command;
use crate::pipeline::session::dialogue::is_null_sender;
use crate::pipeline::session::dialogue::is_outside;
use crate::pipeline::session::greetings::Greetings;
use crate::pipeline::tls;

/// How many outstanding recipients of one session are followed at once.
const MAX_FOLLOWED_RECIPIENTS: usize = 256;
/// How many bytes of a refusal's lines are put together.
const MAX_REFUSAL_BYTES: usize = 1024;

/// The first letters of commands that are looked at: MAIL, STARTTLS, X-ANONYMOUSTLS.
const NOTABLE: [bool; 256] = {
    let mut notable = [false; 256];
    notable[b'M' as usize] = true;
    notable[b'S' as usize] = true;
    notable[b'X' as usize] = true;
    notable
};

/// What a session needs from its surroundings while it takes a row.
#[derive(Debug)]
pub(super) struct Scene<'a, L> {
    pub(super) server: Arc<str>,
    pub(super) certificates: &'a mut KnownCertificates,
    pub(super) greetings: &'a mut Greetings,
    pub(super) relay_watch: &'a mut RelayWatch,
    pub(super) listener: L,
}

impl<L> Scene<'_, L> {
    fn place(&self, session: &Session) -> Place {
        Place {
            server: Arc::clone(&self.server),
            connector: Arc::clone(&session.connector),
        }
    }
}

impl<L: Listener> Scene<'_, L> {
    pub(super) fn say(&mut self, session: &Session, time: Timestamp, fact: Fact<'_>) {
        self.listener.hear(Observation {
            server: &self.server,
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
pub(super) enum Order {
    Next,
    Gap,
    Duplicate,
}

/// How far the current handshake has come.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
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

/// A session while its rows come in.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Session {
    #[serde(skip)]
    pub(super) id: SessionId,
    /// What is on disk of it.
    #[serde(skip)]
    pub(super) kept: Kept,
    pub(super) connector: Arc<str>,
    pub(super) last_millis: i64,
    last_sequence: u32,
    /// Every row since the TLS command was seen.
    contiguous: bool,
    exchange_online: bool,
    phase: Phase,
    /// Whether it has been said that mail goes out in clear.
    #[serde(default)]
    in_clear: bool,
    #[serde(skip)]
    pub(super) offered: Option<Arc<Certificate>>,
    #[serde(skip)]
    pub(super) presented: Option<Presentation>,
    #[serde(skip_serializing_if = "Option::is_none")]
    block: Option<Box<OpenBlock>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    egress: Option<IpAddr>,
    dialogue: Dialogue,
    #[serde(skip_serializing_if = "Option::is_none")]
    refusal: Option<Box<OpenRefusal>>,
}

/// What is on disk of a session.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Kept {
    /// Whether anything is.
    pub(super) stored: bool,
    /// Whether it is to be written anew.
    pub(super) changed: bool,
}

/// A certificate block of form A, and the time of its first row.
#[derive(Debug, Deserialize, Serialize)]
struct OpenBlock {
    block: Block,
    since: Timestamp,
}

/// A refusal of several lines whose last one is still to come.
#[derive(Debug, Deserialize, Serialize)]
struct OpenRefusal {
    class: ReplyClass,
    code: u16,
    enhanced: Option<EnhancedCode>,
    text: String,
}

impl Session {
    pub(super) fn new(connector: Arc<str>, first: &Row<'_>) -> Self {
        Self {
            id: first.session(),
            kept: Kept::default(),
            connector,
            last_millis: first.millis,
            last_sequence: first.sequence(),
            contiguous: false,
            exchange_online: false,
            phase: Phase::Plain,
            in_clear: false,
            offered: None,
            presented: None,
            block: None,
            egress: None,
            dialogue: Dialogue {
                aligned: first.sequence() == 0,
                ..Dialogue::default()
            },
            refusal: None,
        }
    }

    #[cfg(test)]
    pub(super) fn last_sequence(&self) -> u32 {
        self.last_sequence
    }

    pub(super) fn order(&mut self, row: &Row<'_>) -> Order {
        if row.sequence() <= self.last_sequence {
            return Order::Duplicate;
        }
        let next = row.sequence() == self.last_sequence + 1;
        self.last_sequence = row.sequence();
        self.last_millis = row.millis;
        if next {
            return Order::Next;
        }
        self.contiguous = false;
        self.dialogue.aligned = false;
        self.dialogue.null_sender = false;
        Order::Gap
    }

    #[expect(
        clippy::inline_always,
        reason = "called once in a row at one place; the call alone would be a fiftieth of all that a row costs"
    )]
    #[inline(always)]
    pub(super) fn row<L: Listener>(&mut self, row: &Row<'_>, scene: &mut Scene<'_, L>) {
        // Asked one after the other: where a jump goes that has five ends, no processor foresees.
        if matches!(row.event, Event::Send | Event::Receive) {
            self.end_block(scene);
            if row.event == Event::Send {
                self.command(row, scene);
            } else {
                self.reply(row, scene);
            }
        } else if row.event == Event::Information {
            self.information(row, scene);
        } else if row.event == Event::Connect {
            self.end_block(scene);
        } else {
            self.flush(row.time(), scene);
        }
    }

    /// Says what is still held back, because the rows that would complete it do not come.
    #[inline(never)]
    pub(super) fn flush<L: Listener>(&mut self, time: Timestamp, scene: &mut Scene<'_, L>) {
        self.end_block(scene);
        self.end_refusal(time, scene);
    }

    #[inline(never)]
    fn information<L: Listener>(&mut self, row: &Row<'_>, scene: &mut Scene<'_, L>) {
        let context = row.context();
        match label(context.raw()) {
            Label::OwnBlockStart => {
                self.end_block(scene);
                self.block = Some(Box::new(OpenBlock {
                    block: Block::start(),
                    since: row.time(),
                }));
            }
            Label::BlockRow(field) => self.block_row(field, row, scene),
            Label::OwnRow => {
                self.end_block(scene);
                let certificate = scene.certificates.row(row.data());
                self.offer(certificate, row.time(), scene);
            }
            Label::TlsSucceeded => {
                self.end_block(scene);
                self.secured(&context.bytes(), row.time(), scene);
            }
            Label::TlsFailed => {
                self.end_block(scene);
                self.phase = Phase::Settled;
                let error = tls::failure(&context.bytes());
                scene.say(self, row.time(), Fact::TlsFailed { error });
            }
            Label::Foreign | Label::Other => self.end_block(scene),
        }
    }

    /// A labelled row of form A. Without an open block it belongs to the peer's certificate.
    fn block_row<L: Listener>(&mut self, field: Field, row: &Row<'_>, scene: &mut Scene<'_, L>) {
        let Some(open) = &mut self.block else { return };
        match open.block.row(field, row.data()) {
            BlockStep::Continues => {}
            BlockStep::Complete | BlockStep::NotPart => self.end_block(scene),
        }
    }

    /// A block is complete, or the session moves on: then one that was cut short says what it has.
    #[inline]
    fn end_block<L: Listener>(&mut self, scene: &mut Scene<'_, L>) {
        if let Some(open) = self.block.take() {
            self.say_block(*open, scene);
        }
    }

    #[inline(never)]
    fn say_block<L: Listener>(&mut self, open: OpenBlock, scene: &mut Scene<'_, L>) {
        let certificate = scene.certificates.block(open.block);
        self.offer(certificate, open.since, scene);
    }

    fn offer<L: Listener>(
        &mut self,
        certificate: Arc<Certificate>,
        time: Timestamp,
        scene: &mut Scene<'_, L>,
    ) {
        let handshake = self.phase.handshake();
        self.offered = Some(certificate);
        if let Some(certificate) = &self.offered {
            let fact = Fact::Offered {
                certificate,
                handshake,
            };
            scene.say(self, time, fact);
        }
    }

    fn secured<L: Listener>(&mut self, context: &[u8], time: Timestamp, scene: &mut Scene<'_, L>) {
        let phase = std::mem::replace(&mut self.phase, Phase::Settled);
        self.presented = match (phase, self.offered.take()) {
            (
                Phase::Asked(Handshake::StartTls) | Phase::Ready(Handshake::StartTls),
                Some(certificate),
            ) => Some(Presentation::Certificate(certificate)),
            (Phase::Ready(Handshake::StartTls), None) if self.contiguous => {
                Some(Presentation::NoCertificate)
            }
            _ => None,
        };
        let fact = Fact::Secured {
            protocol: tls::protocol(context),
            presented: self.presented.as_ref(),
        };
        scene.say(self, time, fact);
    }

    /// A command. Of most of them nothing follows, and what the next one is, no processor foresees.
    #[inline]
    fn command<L: Listener>(&mut self, row: &Row<'_>, scene: &mut Scene<'_, L>) {
        let index = self.dialogue.sent;
        self.dialogue.sent = index.saturating_add(1);
        let first = row.data().raw().first().map_or(0, u8::to_ascii_uppercase);
        self.dialogue.greeting = matches!(first, b'E' | b'H');
        let is_recipient = first == b'R' && !scene.relay_watch.0.is_empty();
        if NOTABLE[usize::from(first)] | is_recipient {
            self.notable_command(first, index, row, scene);
        }
    }

    #[inline(never)]
    fn notable_command<L: Listener>(
        &mut self,
        first: u8,
        index: u32,
        row: &Row<'_>,
        scene: &mut Scene<'_, L>,
    ) {
        let data = row.data().raw();
        match first {
            b'M' => {
                if let Some(null_sender) = is_null_sender(data) {
                    self.mail(null_sender, row.time(), scene);
                }
            }
            b'R' => {
                if let Some(accepted) = scene.relay_watch.0.get(&scene.place(self))
                    && self.dialogue.outside.len() < MAX_FOLLOWED_RECIPIENTS
                    && is_outside(&row.data().bytes(), accepted)
                {
                    self.dialogue.outside.push(index);
                }
            }
            b'S' if is_command(data, b"STARTTLS") => self.ask(Handshake::StartTls),
            b'X' if is_command(data, b"X-ANONYMOUSTLS") => self.ask(Handshake::AnonymousTls),
            _ => {}
        }
    }

    fn mail<L: Listener>(&mut self, null_sender: bool, time: Timestamp, scene: &mut Scene<'_, L>) {
        self.dialogue.null_sender = null_sender;
        // What an answer to an earlier recipient would mean is not known any more.
        self.dialogue.outside.clear();
        if self.phase == Phase::Plain && self.dialogue.aligned && !self.in_clear {
            self.in_clear = true;
            scene.say(self, time, Fact::InClear);
        }
    }

    fn ask(&mut self, handshake: Handshake) {
        self.phase = Phase::Asked(handshake);
        self.contiguous = true;
        self.offered = None;
    }

    /// A line of a reply. Most say no more than that a command was done.
    #[inline]
    fn reply<L: Listener>(&mut self, row: &Row<'_>, scene: &mut Scene<'_, L>) {
        let Some((code, more)) = Reply::code(row.data().raw()) else {
            return;
        };
        if !more && code != 354 {
            self.answered(code, row, scene);
        }
        let is_plain = (code < 400 && code != 220 && !self.dialogue.greeting)
            && !matches!(self.phase, Phase::Asked(_))
            && self.refusal.is_none();
        if !is_plain {
            self.notable_reply(code, more, row, scene);
        }
    }

    #[inline(never)]
    fn notable_reply<L: Listener>(
        &mut self,
        code: u16,
        more: bool,
        row: &Row<'_>,
        scene: &mut Scene<'_, L>,
    ) {
        if self.refusal.as_ref().is_some_and(|open| open.code != code) {
            self.end_refusal(row.time(), scene);
        }
        match code {
            400..=599 => self.refused(&row.data().bytes(), row.time(), scene),
            220 if self.phase == Phase::Plain && self.dialogue.sent == 0 => {
                self.banner(&row.data().bytes(), row.time(), scene);
            }
            250 if self.dialogue.greeting => {
                // The lines behind the first name extensions (RFC 5321, section 4.1.1.1).
                self.dialogue.greeting = false;
                self.hello(row, scene);
            }
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
    }

    /// The last line of a reply: the oldest command without an answer has its answer now. (354 is not one: the reply
    /// to the message itself follows.)
    #[inline]
    fn answered<L: Listener>(&mut self, code: u16, row: &Row<'_>, scene: &mut Scene<'_, L>) {
        let index = self.dialogue.answered;
        if index >= self.dialogue.sent {
            return;
        }
        self.dialogue.answered = index + 1;
        if self.dialogue.outside.first() == Some(&index) {
            self.answered_outside(code, row, scene);
        }
    }

    /// The command was a recipient outside the accepted domains.
    #[cold]
    #[inline(never)]
    fn answered_outside<L: Listener>(
        &mut self,
        code: u16,
        row: &Row<'_>,
        scene: &mut Scene<'_, L>,
    ) {
        self.dialogue.outside.remove(0);
        if self.dialogue.aligned && matches!(code, 250 | 251) {
            let null_sender = self.dialogue.null_sender;
            scene.say(self, row.time(), Fact::Relayed { null_sender });
        }
    }

    fn banner<L: Listener>(&mut self, data: &[u8], time: Timestamp, scene: &mut Scene<'_, L>) {
        if reply::banner_is_masked(data) {
            scene.say(self, time, Fact::BannerMasked);
        } else if reply::banner_host(data).is_some_and(reply::is_exchange_online) {
            self.exchange_online = true;
        }
    }

    /// The first line of an EHLO answer.
    fn hello<L: Listener>(&mut self, row: &Row<'_>, scene: &mut Scene<'_, L>) {
        let Some(greeting) = scene.greetings.read(row.data()) else {
            return;
        };
        self.exchange_online = true;
        if let Some(address) = greeting.client {
            let first = self.egress.replace(address) != Some(address);
            scene.say(self, row.time(), Fact::Egress { address, first });
        }
    }

    /// One line of a refusal. A refusal of several lines counts once, with its lines put together and the gravest class
    /// of any.
    fn refused<L: Listener>(&mut self, data: &[u8], time: Timestamp, scene: &mut Scene<'_, L>) {
        let Some(reply) = Reply::parse(data) else {
            return;
        };
        let class = reply::classify(&reply);
        match &mut self.refusal {
            Some(open) => {
                open.class = open.class.min(class);
                open.enhanced = open.enhanced.or(reply.enhanced);
                if open.text.len() < MAX_REFUSAL_BYTES {
                    open.text.push(' ');
                    open.text.push_str(&reply::fold_text(&reply));
                }
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

    fn end_refusal<L: Listener>(&mut self, time: Timestamp, scene: &mut Scene<'_, L>) {
        let Some(open) = self.refusal.take() else {
            return;
        };
        let refused = Refused {
            class: open.class,
            code: open.code,
            enhanced: open.enhanced,
            text: &open.text,
            presented: self.presented.as_ref(),
            null_sender: self.dialogue.null_sender,
        };
        scene.say(self, time, Fact::Refused(refused));
    }
}
