//! One connector that is judged: what its sessions present, how they fail, and whether they stay away.

use crate::pipeline::alert::findings::Confirmed;
use crate::pipeline::alert::findings::Findings;
use crate::pipeline::alert::findings::Refusal;
use crate::pipeline::alert::rhythm::LEAST_SILENCE;
use crate::pipeline::alert::rhythm::Limit;
use crate::pipeline::alert::rhythm::Rhythm;
use crate::pipeline::alert::silence;
use crate::pipeline::alert::silence::Surroundings;
use crate::pipeline::alert::troubles::IN_CLEAR;
use crate::pipeline::alert::troubles::Troubles;
use crate::pipeline::expectation::Expectation;
use crate::pipeline::record;
use crate::pipeline::record::SessionId;
use crate::pipeline::reply::ReplyClass;
use crate::pipeline::session::Fact;
use crate::pipeline::session::Observation;
use crate::pipeline::session::Refused;
use crate::pipeline::session::Sessions;
use crate::pipeline::session::StreamId;
use crate::pipeline::verdict::Bench;
use crate::pipeline::verdict::one_command;
use crate::pipeline::verdict::reason::Reason;
use jiff::SignedDuration;
use jiff::Timestamp;
use serde::Deserialize;
use serde::Serialize;

/// A server's clock may be so far ahead of certdrift's (Kerberos allows as much): its rows keep their own time, so that
/// two machines that read them at different moments say the same. A row dated later counts as now.
const CLOCK_SKEW: SignedDuration = SignedDuration::from_mins(5);

/// A connector that is judged.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub(super) struct Watched {
    pub(super) findings: Findings,
    pub(super) troubles: Troubles,
    pub(super) rhythm: Rhythm,
    /// What the silence of the connector has led to; kept while nothing can be concluded.
    pub(super) silence: Option<Confirmed>,
    /// When its silence is too long, found out anew each hour, and for good when an hour of silence has passed.
    patience: Option<Patience>,
    /// The streams that told of it.
    pub(super) streams: Vec<StreamId>,
    /// Whether they are those of its server, because none has told of it since it is watched.
    #[serde(default)]
    pub(super) streams_are_guessed: bool,
    /// The fingerprint of what is expected of it.
    pub(super) expected: String,
    /// Whether relay is followed in the sessions.
    #[serde(skip)]
    pub(super) follows_relay: bool,
}

/// For how long a connector may be silent.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
struct Patience {
    /// The session after which the silence began.
    last: Timestamp,
    limit: Option<Limit>,
}

impl Watched {
    pub(super) fn new(expectation: &Expectation) -> Self {
        Self {
            expected: expectation.fingerprint(),
            ..Self::default()
        }
    }

    pub(super) fn told_by(&mut self, stream: StreamId) {
        if std::mem::take(&mut self.streams_are_guessed) {
            self.streams.clear();
        }
        if !self.streams.contains(&stream) {
            self.streams.push(stream);
        }
    }

    /// Whether one of the streams that told of it is among these.
    pub(super) fn is_among(&self, streams: &[StreamId]) -> bool {
        self.streams.iter().any(|stream| streams.contains(stream))
    }

    pub(super) fn enter(&mut self, observation: &Observation<'_>, bench: Bench<'_>) {
        let is_ahead = observation.time.duration_since(bench.now) > CLOCK_SKEW;
        let time = if is_ahead {
            bench.now
        } else {
            observation.time
        };
        match &observation.fact {
            Fact::Secured { presented, .. } => {
                self.rhythm.session(time, bench.now.max(time));
                self.troubles.secured(time);
                if let Some(presentation) = presented {
                    self.findings.session(presentation, time, bench);
                }
            }
            Fact::TlsFailed { error } => {
                self.rhythm.session(time, bench.now.max(time));
                self.troubles.tls_failed(error, time);
            }
            Fact::InClear => {
                self.rhythm.session(time, bench.now.max(time));
                if bench.expectation.expects_a_certificate() {
                    self.troubles.tls_failed(IN_CLEAR, time);
                }
            }
            Fact::Egress { address, .. } => self.findings.egress(*address),
            Fact::Refused(refused) => self.refused(refused, observation.session, time, bench),
            Fact::Relayed { null_sender } => self.findings.relayed(*null_sender, time),
            Fact::Started | Fact::Offered { .. } | Fact::BannerMasked => {}
        }
    }

    fn refused(
        &mut self,
        refused: &Refused<'_>,
        session: SessionId,
        time: Timestamp,
        bench: Bench<'_>,
    ) {
        let reply = reply_text(refused);
        if refused.class == ReplyClass::Attribution {
            let refusal = Refusal {
                reply,
                presented: refused.presented,
                null_sender: refused.null_sender,
                session,
                time,
            };
            self.findings.denied(refusal, bench.now);
        } else {
            self.troubles
                .refused(refused.class, refused.code, reply, session, time);
        }
    }

    /// Whether the connector has been silent for too long. Its logs have been read up to `until`: the clock may be hours
    /// ahead of that, when it was put forward or the machine was stopped.
    pub(super) fn listen(&mut self, bench: Bench<'_>, sessions: &Sessions, until: Timestamp) {
        let newest = |stream: &StreamId| sessions.stream(*stream)?.last_millis;
        let last_row = self.streams.iter().filter_map(newest).max();
        let Some(last) = self.rhythm.last() else {
            return;
        };
        let is_silent = until.duration_since(last) >= LEAST_SILENCE;
        let found_for = |patience: &Patience| {
            let same_hour = last.as_second() / 3600 == patience.last.as_second() / 3600;
            patience.last == last || (same_hour && !is_silent)
        };
        if !self.patience.as_ref().is_some_and(found_for) {
            let limit = self.rhythm.limit(silence::configured(bench.expectation));
            self.patience = Some(Patience { last, limit });
        }
        let limit = self.patience.as_ref().and_then(|patience| patience.limit);
        let surroundings = Surroundings {
            connector: bench.connector,
            expectation: bench.expectation,
            last_row: last_row.map(record::timestamp),
            now: until,
        };
        self.silence = silence::silence(last, limit, &surroundings);
    }

    /// Something that its patience depends on has changed: it is found out anew.
    pub(super) fn forget_patience(&mut self) {
        self.patience = None;
    }

    /// For how long it may be silent, as far as that is known.
    pub(super) fn silent_after(&self) -> Option<SignedDuration> {
        let patience = self.patience.as_ref()?;
        Some(patience.limit?.at.duration_since(patience.last))
    }

    /// Everything that counts and belongs to an alert.
    pub(super) fn confirmed(&self, connector: &str) -> Vec<Confirmed> {
        let mut confirmed = self.findings.confirmed();
        confirmed.extend(self.troubles.confirmed(connector));
        confirmed.extend(self.silence.clone());
        confirmed
    }

    /// Everything that holds, gravest first.
    pub(super) fn reasons(&self, connector: &str) -> Vec<Reason> {
        let mut reasons = self.findings.reasons();
        let others = self.troubles.confirmed(connector).into_iter();
        reasons.extend(others.chain(self.silence.clone()).map(|it| it.reason));
        reasons.sort_by_key(|reason| (std::cmp::Reverse(reason.severity), reason.code));
        one_command(reasons.iter_mut().map(|reason| &mut reason.action));
        reasons
    }
}

impl Fact<'_> {
    /// Whether something may rest on it.
    pub(super) fn is_evidence(&self) -> bool {
        match self {
            Fact::Secured { .. }
            | Fact::TlsFailed { .. }
            | Fact::InClear
            | Fact::Egress { .. }
            | Fact::Relayed { .. } => true,
            Fact::Refused(refused) => match refused.class {
                ReplyClass::Attribution | ReplyClass::Version | ReplyClass::Tls => true,
                ReplyClass::Blocked | ReplyClass::Other => false,
            },
            Fact::Started | Fact::Offered { .. } | Fact::BannerMasked => false,
        }
    }
}

/// A reply as one line, without addresses and ids.
fn reply_text(refused: &Refused<'_>) -> String {
    match refused.enhanced {
        Some(enhanced) => format!("{} {enhanced} {}", refused.code, refused.text),
        None => format!("{} {}", refused.code, refused.text),
    }
}
