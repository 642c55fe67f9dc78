//! Observations → what each server presented on each connector, and when.
//!
//! The ledger is plain data and knows no order of arrival: logs of several directories are read one after the other, so
//! every entry keeps its first and last time, and what is "current" follows from the times.

pub mod history;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use jiff::Timestamp;
use serde::Deserialize;
use serde::Serialize;

use crate::pipeline::certificate::Certificate;
use crate::pipeline::certificate::Thumbprint;
use crate::pipeline::ledger::history::History;
use crate::pipeline::reply::EnhancedCode;
use crate::pipeline::reply::ReplyClass;
use crate::pipeline::saved::Changes;
use crate::pipeline::saved::Saved;
use crate::pipeline::saved::Table;
use crate::pipeline::saved::Unreadable;
use crate::pipeline::session::Fact;
use crate::pipeline::session::Handshake;
use crate::pipeline::session::Observation;
use crate::pipeline::session::Place;
use crate::pipeline::session::Presentation;
use crate::pipeline::session::Refused;
use crate::pipeline::tls::Protocol;

/// How many connectors are kept, over all servers; sessions of further ones are counted under [`FOLDED`].
pub const MAX_CONNECTORS: usize = 2048;
/// How many certificates are kept for one connector of one server; the one not seen for longest goes first.
pub const MAX_CERTIFICATES: usize = 64;
/// How many addresses are kept for one connector of one server; the one not seen for longest goes first.
pub const MAX_ADDRESSES: usize = 64;
/// How many distinct reply texts are kept for one connector of one server; the rest is folded by class and code.
pub const MAX_REPLIES: usize = 64;
/// How many distinct TLS error words are kept for one connector of one server.
pub const MAX_TLS_ERRORS: usize = 32;

/// Of how many connectors it is remembered where they stand.
const HINTS: usize = 256;

/// Stands for a connector name, text or word beyond its limit.
pub const FOLDED: &str = "(others)";

/// Everything observed, by server and connector.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    /// In the order of their places. Each observation looks one up by names that it only borrows, and no connector
    /// is new for long.
    connectors: Vec<(Place, ConnectorLedger)>,
    /// Where the connector stands that was looked up last, of all whose names lie alike in memory. Whether it still does, its
    /// place tells.
    hints: Hints,
    /// Connectors that were forgotten and may still be on disk.
    forgotten: Vec<Place>,
}

/// Places, each where the address of a name gives it.
#[derive(Clone, Debug)]
struct Hints([usize; HINTS]);

impl Default for Hints {
    fn default() -> Self {
        Self([0; HINTS])
    }
}

impl Hints {
    /// Names lie at least 32 bytes apart.
    #[inline]
    fn of(&mut self, name: &Arc<str>) -> &mut usize {
        &mut self.0[name.as_ptr().addr() / 32 % HINTS]
    }
}

/// A count of sessions with the times of the first and the last one.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Span {
    /// How many.
    pub count: u64,
    /// Time of the first.
    pub first_seen: Timestamp,
    /// Time of the last.
    pub last_seen: Timestamp,
}

impl Span {
    fn at(time: Timestamp) -> Self {
        Self {
            count: 1,
            first_seen: time,
            last_seen: time,
        }
    }

    fn add(&mut self, time: Timestamp) {
        self.count += 1;
        self.touch(time);
    }

    fn touch(&mut self, time: Timestamp) {
        self.first_seen = self.first_seen.min(time);
        self.last_seen = self.last_seen.max(time);
    }
}

/// What one connector of one server showed.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct ConnectorLedger {
    /// Distinct session ids.
    pub sessions: Option<Span>,
    /// Certificates offered, by handshake, in no particular order.
    pub presented: Vec<Presented>,
    /// How often the certificate offered after `STARTTLS` was another than the one before.
    pub certificate_changes: u64,
    /// Sessions secured without a client certificate.
    pub without_certificate: Option<Span>,
    /// Time of the last of them whose peer was Exchange Online.
    pub last_without_certificate_online: Option<Timestamp>,
    /// Addresses that Exchange Online named, with the number of sessions.
    pub egress: Vec<(IpAddr, Span)>,
    /// Refusals, 4xx and 5xx.
    pub refusals: Vec<Refusal>,
    /// Refusals by class, whatever became of their texts.
    pub refusals_by_class: BTreeMap<ReplyClass, u64>,
    /// Sessions by TLS protocol.
    pub tls: BTreeMap<Protocol, u64>,
    /// Failed TLS negotiations by Exchange's word for the cause.
    pub tls_failures: BTreeMap<String, u64>,
    /// Sessions whose banner was masked by a firewall.
    pub masked_banners: Option<Span>,
    /// What was presented when, over the last months.
    #[serde(default)]
    pub history: History,
    /// Whether it is to be written anew.
    #[serde(skip)]
    changed: bool,
}

/// A certificate that was offered.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Presented {
    /// The certificate, as completely as it was ever logged.
    pub certificate: Arc<Certificate>,
    /// In which handshake; `None`: the command was not seen.
    pub handshake: Option<Handshake>,
    /// Whether it was ever offered to Exchange Online.
    pub exchange_online: bool,
    /// Sessions that offered it.
    pub span: Span,
}

/// Refusals that read the same.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Refusal {
    /// What they mean for the connector.
    pub class: ReplyClass,
    /// Basic reply code.
    pub code: u16,
    /// Enhanced status code.
    pub enhanced: Option<EnhancedCode>,
    /// Text without addresses and ids.
    pub text: Box<str>,
    /// How many, and when.
    pub span: Span,
}

impl Ledger {
    /// Enters one observation.
    pub fn enter(&mut self, observation: &Observation<'_>) {
        self.entry(observation.server, observation.connector)
            .enter(observation);
    }

    /// Sessions share their names, so mostly those of the connector itself are given.
    #[inline]
    fn entry(&mut self, server: &Arc<str>, connector: &Arc<str>) -> &mut ConnectorLedger {
        let hint = *self.hints.of(connector);
        let is_same = self.connectors.get(hint).is_some_and(|(place, _)| {
            Arc::ptr_eq(&place.connector, connector) && Arc::ptr_eq(&place.server, server)
        });
        let index = if is_same {
            hint
        } else {
            self.find_or_insert(server, connector)
        };
        &mut self.connectors[index].1
    }

    #[cold]
    fn find_or_insert(&mut self, server: &Arc<str>, connector: &Arc<str>) -> usize {
        let index = self.find(server, connector).unwrap_or_else(|index| {
            if self.connectors.len() < MAX_CONNECTORS {
                return self.insert(index, server, Arc::clone(connector));
            }
            let folded = Arc::from(FOLDED);
            self.find(server, &folded)
                .unwrap_or_else(|index| self.insert(index, server, folded))
        });
        *self.hints.of(connector) = index;
        index
    }

    fn insert(&mut self, index: usize, server: &Arc<str>, connector: Arc<str>) -> usize {
        let place = Place {
            server: Arc::clone(server),
            connector,
        };
        self.connectors
            .insert(index, (place, ConnectorLedger::default()));
        index
    }

    /// Where a connector stands, or where it would.
    fn find(&self, server: &Arc<str>, connector: &Arc<str>) -> Result<usize, usize> {
        self.connectors.binary_search_by(|(place, _)| {
            (&place.server, &place.connector).cmp(&(server, connector))
        })
    }

    /// All connectors, ordered by server and connector.
    pub fn connectors(&self) -> impl Iterator<Item = (&Place, &ConnectorLedger)> {
        self.connectors.iter().map(|(place, entry)| (place, entry))
    }

    /// Adds the connectors about which something was entered since the last time. A ledger that is shared is copied
    /// only if there are any.
    pub fn take_changes(this: &mut Arc<Self>, changes: &mut Changes) {
        let is_changed = this.connectors.iter().any(|(_, entry)| entry.changed);
        if !is_changed && this.forgotten.is_empty() {
            return;
        }
        let this = Arc::make_mut(this);
        for place in this.forgotten.drain(..) {
            changes.remove(Table::Ledger, place.key());
        }
        for (place, entry) in &mut this.connectors {
            if std::mem::take(&mut entry.changed) {
                changes.put(Table::Ledger, place.key(), entry);
            }
        }
    }

    /// Forgets what of the history is too long ago by now. A ledger that is shared is copied only if there is any.
    pub fn forget_history(this: &mut Arc<Self>, now: Timestamp) {
        let is_stale = |entry: &ConnectorLedger| entry.history.is_stale(now);
        if !this.connectors.iter().any(|(_, entry)| is_stale(entry)) {
            return;
        }
        for (_, entry) in &mut Arc::make_mut(this).connectors {
            entry.changed |= entry.history.forget(now);
        }
    }

    /// Marks every connector as changed.
    pub fn change_everything(this: &mut Arc<Self>) {
        for (_, entry) in &mut Arc::make_mut(this).connectors {
            entry.changed = true;
        }
    }

    /// What was saved.
    ///
    /// # Errors
    /// When a row holds something else.
    pub fn restore(saved: &Saved) -> Result<Self, Unreadable> {
        let mut connectors = Vec::new();
        for row in saved.rows::<ConnectorLedger>(Table::Ledger) {
            let (key, entry) = row?;
            connectors.push((Place::of_row(Table::Ledger, key)?, entry));
        }
        connectors.sort_by(|(a, _), (b, _)| a.cmp(b));
        Ok(Self {
            connectors,
            ..Self::default()
        })
    }

    /// Nobody reads the logs of this server any more.
    pub fn forget(&mut self, server: &str) {
        let gone = self
            .connectors
            .extract_if(.., |(place, _)| &*place.server == server);
        self.forgotten.extend(gone.map(|(place, _)| place));
    }

    /// One connector of one server.
    pub fn connector(&self, place: &Place) -> Option<&ConnectorLedger> {
        let index = self.find(&place.server, &place.connector).ok()?;
        Some(&self.connectors[index].1)
    }
}

impl ConnectorLedger {
    fn enter(&mut self, observation: &Observation<'_>) {
        self.changed = true;
        let time = observation.time;
        match &observation.fact {
            Fact::Started => count(&mut self.sessions, time),
            Fact::Offered {
                certificate,
                handshake,
            } => self.offered(certificate, *handshake, observation),
            Fact::Secured {
                protocol,
                presented,
            } => {
                *self.tls.entry(*protocol).or_default() += 1;
                if *presented == Some(&Presentation::NoCertificate) {
                    count(&mut self.without_certificate, time);
                    if observation.exchange_online {
                        self.history.presented(None, time);
                        let last = &mut self.last_without_certificate_online;
                        *last = (*last).max(Some(time));
                    }
                }
            }
            Fact::TlsFailed { error } => self.tls_failed(error),
            Fact::Egress { address, first } => self.egress(*address, *first, time),
            Fact::BannerMasked => count(&mut self.masked_banners, time),
            Fact::Refused(refused) => self.refused(refused, time),
            Fact::InClear | Fact::Relayed { .. } => {}
        }
        if let Some(sessions) = &mut self.sessions {
            sessions.touch(time);
        }
    }

    /// The certificate offered last in the given handshake. One that was cut short before its thumbprint may be any, so
    /// it is the current one only where there is no other.
    pub fn current(&self, handshake: Option<Handshake>) -> Option<&Presented> {
        self.presented
            .iter()
            .filter(|presented| presented.handshake == handshake)
            .max_by_key(|presented| {
                let is_identified = presented.certificate.thumbprint.is_some();
                (is_identified, presented.span.last_seen)
            })
    }

    /// What the newest `STARTTLS` session with Exchange Online presented, and when.
    pub fn last_presentation(&self) -> Option<(Presentation, Timestamp)> {
        let offered = self
            .current(Some(Handshake::StartTls))
            .filter(|presented| presented.exchange_online)
            .map(|presented| {
                let certificate = Arc::clone(&presented.certificate);
                (
                    Presentation::Certificate(certificate),
                    presented.span.last_seen,
                )
            });
        let without = self
            .last_without_certificate_online
            .map(|time| (Presentation::NoCertificate, time));
        offered
            .into_iter()
            .chain(without)
            .max_by_key(|(_, time)| *time)
    }

    /// The address that Exchange Online named last.
    pub fn current_egress(&self) -> Option<IpAddr> {
        let (address, _) = self.egress.iter().max_by_key(|(_, span)| span.last_seen)?;
        Some(*address)
    }

    fn offered(
        &mut self,
        certificate: &Arc<Certificate>,
        handshake: Option<Handshake>,
        observation: &Observation<'_>,
    ) {
        let time = observation.time;
        if handshake == Some(Handshake::StartTls) {
            self.count_change(certificate.thumbprint, time);
            if certificate.thumbprint.is_some() {
                self.history.presented(certificate.thumbprint, time);
            }
        }
        let known = self.presented.iter_mut().find(|presented| {
            presented.handshake == handshake && is_same(&presented.certificate, certificate)
        });
        if let Some(presented) = known {
            presented.span.add(time);
            presented.exchange_online |= observation.exchange_online;
            if presented.certificate.is_cut_short() && !certificate.is_cut_short() {
                presented.certificate = Arc::clone(certificate);
            }
            return;
        }
        drop_oldest(&mut self.presented, MAX_CERTIFICATES, |presented| {
            presented.span.last_seen
        });
        self.presented.push(Presented {
            certificate: Arc::clone(certificate),
            handshake,
            exchange_online: observation.exchange_online,
            span: Span::at(time),
        });
    }

    /// A change is one only against what was offered before it, so rows that come late from another file are none. A
    /// block that was cut short before its thumbprint tells nothing either way.
    fn count_change(&mut self, thumbprint: Option<Thumbprint>, time: Timestamp) {
        let identified = self.presented.iter().filter(|presented| {
            presented.handshake == Some(Handshake::StartTls)
                && presented.certificate.thumbprint.is_some()
        });
        if let Some(current) = identified.max_by_key(|presented| presented.span.last_seen)
            && current.certificate.thumbprint != thumbprint
            && thumbprint.is_some()
            && current.span.last_seen <= time
        {
            self.certificate_changes += 1;
        }
    }

    fn tls_failed(&mut self, error: &str) {
        let known = self.tls_failures.contains_key(error);
        let key = if known || self.tls_failures.len() < MAX_TLS_ERRORS {
            error
        } else {
            FOLDED
        };
        *self.tls_failures.entry(key.to_owned()).or_default() += 1;
    }

    fn egress(&mut self, address: IpAddr, first: bool, time: Timestamp) {
        let known = self.egress.iter_mut().find(|(known, _)| *known == address);
        match known {
            Some((_, span)) if first => span.add(time),
            Some((_, span)) => span.touch(time),
            None => {
                drop_oldest(&mut self.egress, MAX_ADDRESSES, |(_, span)| span.last_seen);
                self.egress.push((address, Span::at(time)));
            }
        }
    }

    fn refused(&mut self, refused: &Refused<'_>, time: Timestamp) {
        *self.refusals_by_class.entry(refused.class).or_default() += 1;
        if refused.class == ReplyClass::Attribution {
            self.history.rejected(time);
        }
        let fits = |known: &Refusal, text: &str| {
            known.class == refused.class
                && known.code == refused.code
                && known.enhanced == refused.enhanced
                && &*known.text == text
        };
        let full = self.refusals.len() >= MAX_REPLIES;
        let known = self
            .refusals
            .iter()
            .position(|known| fits(known, refused.text))
            .or_else(|| {
                let folded = |known: &Refusal| {
                    known.class == refused.class
                        && known.code == refused.code
                        && &*known.text == FOLDED
                };
                self.refusals.iter().position(folded).filter(|_| full)
            });
        match known {
            Some(index) => self.refusals[index].span.add(time),
            None => self.refusals.push(Refusal {
                class: refused.class,
                code: refused.code,
                enhanced: refused.enhanced.filter(|_| !full),
                text: if full { FOLDED } else { refused.text }.into(),
                span: Span::at(time),
            }),
        }
    }
}

/// Certificates are the same when their thumbprints are; without one, only when all that is known is equal.
fn is_same(known: &Arc<Certificate>, found: &Arc<Certificate>) -> bool {
    Arc::ptr_eq(known, found)
        || match (known.thumbprint, found.thumbprint) {
            (Some(known), Some(found)) => known == found,
            (None, None) => known == found,
            _ => false,
        }
}

fn count(span: &mut Option<Span>, time: Timestamp) {
    match span {
        Some(span) => span.add(time),
        None => *span = Some(Span::at(time)),
    }
}

/// Makes room for one more entry.
fn drop_oldest<T>(entries: &mut Vec<T>, limit: usize, last_seen: impl Fn(&T) -> Timestamp) {
    if entries.len() < limit {
        return;
    }
    let oldest = (0..entries.len()).min_by_key(|&index| last_seen(&entries[index]));
    if let Some(oldest) = oldest {
        entries.swap_remove(oldest);
    }
}

#[cfg(test)]
mod tests;
