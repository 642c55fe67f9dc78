//! Judged sessions → confirmed findings, for one connector of one server.
//!
//! One session is a hint, not a fact: a server may hold two certificates that match and present one of them at a time.
//! So a reason that rests on sessions counts when two sessions show it, or when one does and stays the only one for a
//! minute; and it is gone when two in a row no longer show it. But a reason that comes and goes is told once, not with
//! every turn: when it has come back within half an hour, it is gone only after half an hour without it. What the clock or a new configuration changes needs no
//! further session: the certificate is known already.

mod memory;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use jiff::SignedDuration;
use jiff::Timestamp;
use serde::Deserialize;
use serde::Serialize;

use crate::pipeline::alert::findings::memory::Memory;
use crate::pipeline::alert::recent::Recent;
use crate::pipeline::alert::recent::Session;
use crate::pipeline::alert::recent::is_apart;
use crate::pipeline::alert::recent::is_late;
use crate::pipeline::certificate::Certificate;
use crate::pipeline::certificate::Thumbprint;
use crate::pipeline::record::SessionId;
use crate::pipeline::session::Presentation;
use crate::pipeline::verdict::Before;
use crate::pipeline::verdict::Bench;
use crate::pipeline::verdict::Evidence;
use crate::pipeline::verdict::Judgement;
use crate::pipeline::verdict::Verdict;
use crate::pipeline::verdict::reason::AlertName;
use crate::pipeline::verdict::reason::Confirmation;
use crate::pipeline::verdict::reason::Reason;
use crate::pipeline::verdict::reason::ReasonCode;
use crate::pipeline::verdict::reason::Resolve;

/// Sessions that confirm a finding, and sessions without it that end it.
pub const CONFIRMING_SESSIONS: u32 = 2;
/// A single session confirms a finding when no other one comes for this long.
pub const LONE_SESSION: SignedDuration = SignedDuration::from_secs(60);
/// A reason that sessions show again within this time after others did not, or after its alert ended, comes and goes:
/// from then on it is gone only when no session has shown it for as long. A server that holds two certificates, or a
/// farm of proxies of which one was forgotten, presents now one, now the other, for days.
pub const UNSTEADY: SignedDuration = SignedDuration::from_mins(30);
/// A reason that counts, and since when by the log's own time.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Confirmed {
    /// The one alert that it belongs to.
    pub alert: AlertName,
    /// The reason.
    pub reason: Reason,
    /// Time of the first session that showed it.
    pub since: Timestamp,
}

/// What is known of one connector of one server.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Findings {
    latest: Option<Latest>,
    #[serde(default)]
    recent: Recent,
    /// The certificate before the one that is presented now, and when the change came.
    before: Option<(Arc<Certificate>, Timestamp)>,
    /// The address named last; it counts from the next session on.
    named: Option<IpAddr>,
    egress: Option<IpAddr>,
    denial: Option<Denial>,
    outcome: Arc<Judgement>,
    #[serde(skip)]
    memory: Memory,
    settled: Verdict,
    states: BTreeMap<ReasonCode, State>,
    /// When sessions ended a reason that had counted.
    #[serde(default)]
    ended: BTreeMap<ReasonCode, Timestamp>,
}

/// The newest session that leaves no doubt.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
struct Latest {
    presentation: Presentation,
    time: Timestamp,
}

/// How well a reason is established.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
struct State {
    reason: Reason,
    since: Timestamp,
    shown: u32,
    missed: u32,
    arrived: Timestamp,
    /// When it was first found, by the clock.
    found: Timestamp,
    confirmed: bool,
    /// Whether it comes and goes.
    #[serde(default)]
    unsteady: bool,
}

/// Exchange Online refused to relay, and nothing since has shown that it would now.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
struct Denial {
    reply: String,
    since: Timestamp,
    last: Timestamp,
    arrived: Timestamp,
    session: SessionId,
    sessions: u32,
    /// What the refused session presented; `None`: not known yet.
    presented: Option<Presentation>,
    confirmed: bool,
    /// Whether mail with the null sender was among what was refused.
    #[serde(default)]
    null_sender: bool,
    /// How many refusals were of mail with a sender, or of mail of which that is not known.
    #[serde(default = "not_known")]
    with_sender: u32,
    /// Whether it comes and goes.
    #[serde(default)]
    unsteady: bool,
}

/// What was kept before certdrift asked says nothing of senders.
fn not_known() -> u32 {
    1
}

/// Exchange Online refused a command because no connector matched.
#[derive(Clone, Debug)]
pub struct Refusal<'a> {
    /// Its answer, without addresses.
    pub reply: String,
    /// What the session presented, if that was seen.
    pub presented: Option<&'a Presentation>,
    /// Whether the mail had the null sender.
    pub null_sender: bool,
    /// The session.
    pub session: SessionId,
    /// Time of the row.
    pub time: Timestamp,
}

impl Findings {
    /// A session with Exchange Online showed what the server presents.
    pub fn session(&mut self, presentation: &Presentation, time: Timestamp, bench: Bench<'_>) {
        self.recent
            .add(time.min(bench.now), thumbprint(presentation));
        if is_late(time, self.newest()) {
            self.count_towards_denial(presentation, time);
            self.must_judge_again();
            return;
        }
        let previous = self.latest.as_ref();
        // What time has ended must not wait for a second session.
        if previous.is_some() && !self.memory.is_judged_at(bench.now) {
            self.pass_time(&bench);
        }
        let previous = self.latest.as_ref();
        let as_before = previous.is_some_and(|latest| latest.presentation == *presentation)
            && self.egress == self.named;
        // A row from the future must not make everything after it look late.
        let newest = previous
            .map_or(time, |latest| latest.time.max(time))
            .min(bench.now);
        let old = self.latest.replace(Latest {
            presentation: presentation.clone(),
            time: newest,
        });
        self.memory.judged_at = bench.now;
        self.egress = self.named;
        self.count_towards_denial(presentation, time.min(bench.now));
        if let Some(old) = previous_certificate(old.as_ref(), presentation) {
            self.before = Some((old, time));
        }
        if !as_before {
            self.outcome = self.judge(&bench);
        }
        self.count(time, bench.now);
    }

    /// Exchange Online named the public address that it sees. It does so before TLS, so the session that shows it is
    /// still to come.
    pub fn egress(&mut self, address: IpAddr) {
        self.named = Some(address);
    }

    /// Exchange Online refused to relay.
    pub fn denied(&mut self, refusal: Refusal<'_>, now: Timestamp) {
        let Refusal {
            reply,
            session,
            time,
            ..
        } = refusal;
        // A row from the future must not put off the end.
        let seen = time.min(now);
        let late = is_late(seen, self.newest());
        if late && self.is_past(seen) {
            return;
        }
        let latest = self.latest.as_ref().filter(|_| !late);
        let latest = latest.map(|latest| &latest.presentation);
        let presented = refusal.presented.or(latest).cloned();
        let unsteady = self.was_there_lately(ReasonCode::RejectedByExchangeOnline, seen);
        let denial = self.denial.get_or_insert_with(|| Denial {
            reply: reply.clone(),
            since: time,
            last: seen,
            arrived: seen,
            session,
            sessions: 1,
            presented: None,
            confirmed: false,
            null_sender: false,
            with_sender: 0,
            unsteady,
        });
        if denial.session != session {
            denial.session = session;
            denial.sessions = denial.sessions.saturating_add(1);
        }
        denial.since = denial.since.min(time);
        if !late || denial.last <= seen {
            denial.reply = reply;
            denial.presented = presented;
        }
        denial.last = denial.last.max(seen);
        denial.null_sender |= refusal.null_sender;
        let with_sender = u32::from(!refusal.null_sender);
        denial.with_sender = denial.with_sender.saturating_add(with_sender);
        // What came after it may have been read before it.
        self.end_denial_that_is_over();
        self.must_judge_again();
    }

    /// Whether a refusal that is read late belongs to a denial that was over before the one that stands began, or that
    /// something has ended since.
    fn is_past(&self, time: Timestamp) -> bool {
        let end = self.ended.get(&ReasonCode::RejectedByExchangeOnline);
        let denial = self.denial.as_ref();
        end.is_some_and(|end| time <= *end)
            || denial.is_some_and(|denial| is_apart(time, denial.since))
    }

    /// Exchange Online accepted a recipient that it does not host: it relays again, unless it has refused since. Mail that
    /// has a sender is recognised by the sender's domain, too, so it says nothing of mail that has none.
    pub fn relayed(&mut self, null_sender: bool, time: Timestamp) {
        if self.denial.as_ref().is_some_and(|denial| {
            denial.last <= time && (null_sender || !denial.null_sender) && denial.may_end(time)
        }) {
            self.end_denial(time);
            self.must_judge_again();
        }
    }

    /// Whether an acceptance outside the accepted domains would end a denial.
    pub fn is_denied(&self) -> bool {
        self.denial.is_some()
    }

    /// What is known or found urgent has changed: everything is judged anew when it is looked at next.
    pub fn forget_judgements(&mut self) {
        self.memory.forget();
    }

    /// Looks again at what is known, because time has passed. Call it after every pass over the logs.
    pub fn reconsider(&mut self, bench: Bench<'_>) {
        if let Some(denial) = &mut self.denial {
            let alone = bench.now.duration_since(denial.arrived) >= LONE_SESSION;
            denial.confirmed |= denial.sessions >= CONFIRMING_SESSIONS || alone;
        }
        self.pass_time(&bench);
        for (code, state) in &mut self.states {
            // A clock that was ahead and is set back must not make the wait longer.
            if state.since == state.found {
                state.since = state.since.min(bench.now);
            }
            state.arrived = state.arrived.min(bench.now);
            state.found = state.found.min(bench.now);
            let (long_enough, past) = match code.row().confirmation {
                Confirmation::Window => (bench.settings.rollout_window, state.found),
                _ => (LONE_SESSION, state.arrived),
            };
            state.confirmed |= state.missed == 0 && bench.now.duration_since(past) >= long_enough;
        }
        self.end_what_is_over(bench.now);
        self.settle();
    }

    /// Looks at what is known in the light of another expectation: findings of the old one that it does not share are
    /// gone, a denial with them. The others have been so for as long as before.
    pub fn expectation_changed(&mut self, bench: Bench<'_>) {
        self.denial = None;
        self.ended.clear();
        self.outcome = Arc::default();
        self.settled = Verdict::default();
        self.memory.forget();
        self.pass_time(&bench);
        let hold = codes(&self.outcome);
        self.states.retain(|code, _| hold.contains(code));
        self.reconsider(bench);
    }

    /// The reasons that count and belong to an alert.
    pub fn confirmed(&self) -> Vec<Confirmed> {
        self.states
            .values()
            .filter(|state| state.confirmed)
            .filter_map(|state| {
                Some(Confirmed {
                    alert: state.reason.alert()?,
                    reason: state.reason.clone(),
                    since: state.since,
                })
            })
            .collect()
    }

    /// The confirmed verdict: the worst of the reasons that hold.
    pub fn verdict(&self) -> Verdict {
        if self.confirmed().is_empty() {
            return self.settled;
        }
        let verdicts = self.reasons().into_iter().map(|reason| reason.verdict());
        verdicts.max().unwrap_or(self.settled)
    }

    /// The reasons that hold: confirmed ones, and those of the newest session that only inform.
    pub fn reasons(&self) -> Vec<Reason> {
        let confirmed = self.confirmed().into_iter().map(|found| found.reason);
        let informing = self
            .outcome
            .reasons
            .iter()
            .filter(|reason| reason.alert().is_none());
        let mut reasons: Vec<Reason> = confirmed.chain(informing.cloned()).collect();
        reasons.sort_by_key(|reason| (std::cmp::Reverse(reason.severity), reason.code));
        reasons
    }

    fn judge(&mut self, bench: &Bench<'_>) -> Arc<Judgement> {
        let denial = self.denial.as_ref().filter(|denial| denial.confirmed);
        let evidence = Evidence {
            presentation: self.latest.as_ref().map(|latest| &latest.presentation),
            before: self.before.as_ref().map(|(certificate, until)| Before {
                certificate,
                until: *until,
            }),
            egress: self.egress,
            rejected: denial.map(|denial| denial.reply.as_str()),
            only_null_sender: denial.is_some_and(|denial| denial.with_sender == 0),
        };
        self.memory.judge(&evidence, bench)
    }

    /// What has changed without a session: the certificate is known already, so a reason that is new counts and one that
    /// is missing is gone.
    fn pass_time(&mut self, bench: &Bench<'_>) {
        let before: Vec<ReasonCode> = codes(&self.outcome);
        self.outcome = self.judge(bench);
        self.memory.judged_at = bench.now;
        let after = codes(&self.outcome);
        self.states
            .retain(|code, _| after.contains(code) || !before.contains(code));
        let outcome = Arc::clone(&self.outcome);
        for reason in &outcome.reasons {
            if !before.contains(&reason.code) {
                self.establish(reason, bench.now);
            } else if let Some(state) = self.states.get_mut(&reason.code)
                && state.reason != *reason
            {
                state.reason.clone_from(reason);
            }
        }
    }

    fn must_judge_again(&mut self) {
        self.memory.judged_at = Timestamp::MIN;
    }

    /// One more session for every reason: shown or missed. One that leaves the verdict unknown is no proof that a reason
    /// is gone.
    fn count(&mut self, time: Timestamp, now: Timestamp) {
        let shown = codes(&self.outcome);
        let is_known = self.outcome.verdict != Verdict::Unknown;
        let at_once = |code: &ReasonCode, state: &State| {
            code.row().resolve == Resolve::Relay || state.reason.alert().is_none()
        };
        for (code, state) in &mut self.states {
            if !shown.contains(code) && (is_known || at_once(code, state)) {
                state.missed += 1;
            }
        }
        self.states
            .retain(|code, state| state.missed == 0 || !at_once(code, state));
        self.end_what_is_over(time.min(now));
        // What is known of a reason mostly stays as it is, and nothing of it is copied.
        let outcome = Arc::clone(&self.outcome);
        for reason in &outcome.reasons {
            // A denial is established without a session.
            let unsteady = self.was_there_lately(reason.code, time);
            let state = self.states.entry(reason.code).or_insert_with(|| State {
                reason: reason.clone(),
                since: reason.since.unwrap_or(time),
                shown: 0,
                missed: 0,
                arrived: time.min(now),
                found: now,
                confirmed: false,
                unsteady,
            });
            state.unsteady |= state.missed >= CONFIRMING_SESSIONS;
            if state.reason != *reason {
                state.reason = reason.clone();
            }
            state.shown = state.shown.saturating_add(1);
            state.missed = 0;
            state.arrived = time.min(now);
            let by_sessions = state.reason.code.row().confirmation != Confirmation::Window;
            state.confirmed |= by_sessions && state.shown >= CONFIRMING_SESSIONS;
        }
        self.settle();
    }

    /// A reason that needs no further session; but a rollout may take its time.
    fn establish(&mut self, reason: &Reason, now: Timestamp) {
        let since = match &self.denial {
            Some(denial) if reason.code.row().resolve == Resolve::Relay => denial.since,
            _ => reason.since.unwrap_or(now),
        };
        let known = self.states.remove(&reason.code);
        let known = known.as_ref();
        let state = State {
            since: known.map_or(since, |known| known.since),
            shown: CONFIRMING_SESSIONS,
            missed: 0,
            arrived: now,
            found: known.map_or(now, |known| known.found),
            confirmed: reason.code.row().confirmation != Confirmation::Window
                || known.is_some_and(|known| known.confirmed),
            unsteady: known.is_some_and(|known| known.unsteady),
            reason: reason.clone(),
        };
        self.states.insert(reason.code, state);
    }

    /// Forgets the reasons that enough sessions no longer show.
    fn end_what_is_over(&mut self, now: Timestamp) {
        let ended = &mut self.ended;
        self.states.retain(|code, state| {
            let is_over = state.is_over(now);
            if is_over && state.confirmed {
                ended.insert(*code, now);
            }
            !is_over
        });
        ended.retain(|_, end| now.duration_since(*end) < UNSTEADY);
    }

    fn end_denial(&mut self, time: Timestamp) {
        if self.denial.take().is_some_and(|denial| denial.confirmed) {
            self.ended
                .insert(ReasonCode::RejectedByExchangeOnline, time);
        }
    }

    /// Whether a reason that had counted ended a short while before.
    fn was_there_lately(&self, code: ReasonCode, time: Timestamp) -> bool {
        let ended = self.ended.get(&code);
        ended.is_some_and(|end| time.duration_since(*end) < UNSTEADY)
    }

    /// A verdict without anything to confirm holds at once; a bad one waits for its reasons.
    fn settle(&mut self) {
        let alarming = self
            .outcome
            .reasons
            .iter()
            .any(|reason| reason.alert().is_some());
        if !alarming {
            self.settled = self.outcome.verdict;
        }
    }

    /// This session may end a denial.
    fn count_towards_denial(&mut self, presentation: &Presentation, time: Timestamp) {
        if let Some(denial) = &mut self.denial
            && denial.presented.is_none()
            && denial.last <= time
        {
            denial.presented = Some(presentation.clone());
        }
        self.end_denial_that_is_over();
    }

    /// Ends a denial when the sessions after it, whenever they were read, are enough for that.
    fn end_denial_that_is_over(&mut self) {
        let denial = self.denial.as_ref();
        if let Some(end) = denial.and_then(|denial| denial.end(&self.recent)) {
            self.end_denial(end);
        }
    }

    fn newest(&self) -> Option<Timestamp> {
        self.latest.as_ref().map(|latest| latest.time)
    }
}

impl State {
    /// Whether enough sessions no longer show it.
    fn is_over(&self, now: Timestamp) -> bool {
        let is_steady = self.confirmed && !self.unsteady;
        let is_long_ago = now.duration_since(self.arrived) >= UNSTEADY;
        self.missed >= CONFIRMING_SESSIONS && (is_steady || is_long_ago)
    }
}

impl Denial {
    /// When it was over by what came after it: two sessions in a row with another certificate, or a quiet period.
    fn end(&self, recent: &Recent) -> Option<Timestamp> {
        let is_another = |it: &Session| {
            let refused = self.presented.as_ref();
            let differs = |refused| thumbprint(refused) != it.thumbprint;
            it.thumbprint.is_some() && refused.is_some_and(differs)
        };
        let mut pairs = recent.after(self.last).windows(2);
        let changed = pairs.find(|pair| pair.iter().all(is_another) && self.may_end(pair[1].time));
        changed
            .map(|pair| pair[1].time)
            .or_else(|| recent.quiet_since(self.last))
    }

    /// Whether what speaks against it counts by now.
    fn may_end(&self, time: Timestamp) -> bool {
        !self.unsteady || time.duration_since(self.last) >= UNSTEADY
    }
}

/// The certificate that was presented until now, if this one is another. A session without one is no change, nor is a
/// block that was cut short.
fn previous_certificate(
    old: Option<&Latest>,
    presentation: &Presentation,
) -> Option<Arc<Certificate>> {
    let old = &old?.presentation;
    let Presentation::Certificate(certificate) = old else {
        return None;
    };
    let both_known = certificate.thumbprint.is_some();
    (both_known && is_another_certificate(presentation, old)).then(|| Arc::clone(certificate))
}

fn is_another_certificate(presentation: &Presentation, other: &Presentation) -> bool {
    let thumbprints = (thumbprint(presentation), thumbprint(other));
    thumbprints.0.is_some() && thumbprints.0 != thumbprints.1
}

fn thumbprint(presentation: &Presentation) -> Option<Thumbprint> {
    match presentation {
        Presentation::Certificate(certificate) => certificate.thumbprint,
        Presentation::NoCertificate => None,
    }
}

fn codes(judgement: &Judgement) -> Vec<ReasonCode> {
    judgement.reasons.iter().map(|reason| reason.code).collect()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests;
