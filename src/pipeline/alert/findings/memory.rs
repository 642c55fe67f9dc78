//! What was judged before and still holds. Time alone changes a judgement at certain moments only; and a server that holds
//! two certificates presents now one, now the other, so that each turn leads back to something that has been judged already.

use std::net::IpAddr;
use std::sync::Arc;

use jiff::Timestamp;

use crate::pipeline::session::Presentation;
use crate::pipeline::verdict;
use crate::pipeline::verdict::Bench;
use crate::pipeline::verdict::Evidence;
use crate::pipeline::verdict::Judgement;

/// So many judgements on one connector are kept: more certificates do not take turns.
const MAX_JUDGED: usize = 6;

/// Judgements that still hold. What is expected, known and found urgent must be the same for all of them: when it has
/// changed, they have to be forgotten.
///
/// None of it is kept over a restart, after which everything is judged anew; so it is no part of what findings are.
#[derive(Debug, Default)]
pub(super) struct Memory {
    judged: Vec<Judged>,
    /// When the newest session was judged.
    pub(super) judged_at: Timestamp,
}

#[derive(Debug)]
struct Judged {
    evidence: Known,
    from: Timestamp,
    /// From here on it does not hold any more.
    until: Timestamp,
    judgement: Arc<Judgement>,
}

/// Evidence that was judged.
#[derive(Debug)]
struct Known {
    presentation: Option<Presentation>,
    egress: Option<IpAddr>,
    rejected: Option<String>,
    only_null_sender: bool,
}

impl Clone for Memory {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl PartialEq for Memory {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Memory {
    /// Whether the newest session was judged in this second. What time decides is a matter of hours and days.
    pub(super) fn is_judged_at(&self, now: Timestamp) -> bool {
        self.judged_at.as_second() == now.as_second()
    }

    pub(super) fn forget(&mut self) {
        self.judged.clear();
    }

    /// What [`verdict::judge`] says.
    pub(super) fn judge(&mut self, evidence: &Evidence<'_>, bench: &Bench<'_>) -> Arc<Judgement> {
        // Only today's changes are told, and told with their time: no two of them are alike.
        if evidence.has_news(bench) {
            return Arc::new(verdict::judge(evidence, bench));
        }
        let is_of = |known: &Judged| known.evidence.is(evidence);
        let place = self.judged.iter().position(is_of);
        if let Some(known) = place.map(|place| &self.judged[place])
            && known.holds_at(bench.now)
        {
            return Arc::clone(&known.judgement);
        }
        if let Some(place) = place.or((self.judged.len() == MAX_JUDGED).then_some(0)) {
            self.judged.remove(place);
        }
        let judgement = Arc::new(verdict::judge(evidence, bench));
        self.judged.push(Judged {
            evidence: Known::from(evidence),
            from: bench.now,
            until: evidence.holds_until(bench),
            judgement: Arc::clone(&judgement),
        });
        judgement
    }
}

impl Judged {
    /// The clock may also have been set back.
    fn holds_at(&self, now: Timestamp) -> bool {
        self.from <= now && now < self.until
    }
}

impl Known {
    fn from(evidence: &Evidence<'_>) -> Self {
        Self {
            presentation: evidence.presentation.cloned(),
            egress: evidence.egress,
            rejected: evidence.rejected.map(str::to_owned),
            only_null_sender: evidence.only_null_sender,
        }
    }

    /// The certificate before is left out: it is no news.
    fn is(&self, evidence: &Evidence<'_>) -> bool {
        self.presentation.as_ref() == evidence.presentation
            && self.egress == evidence.egress
            && self.rejected.as_deref() == evidence.rejected
            && self.only_null_sender == evidence.only_null_sender
    }
}
