//! What was judged a moment ago. A server that holds two certificates presents now one, now the other, and each turn
//! leads back to something that has been judged already.

use std::net::IpAddr;
use std::sync::Arc;

use crate::pipeline::session::Presentation;
use crate::pipeline::verdict;
use crate::pipeline::verdict::Bench;
use crate::pipeline::verdict::Evidence;
use crate::pipeline::verdict::Judgement;

/// So many judgements on one connector are kept: more certificates do not take turns.
const MAX_JUDGED: usize = 6;

/// The judgements of one second. What is expected must be the same for all of them: when it has changed, they have to be
/// forgotten.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// Since 1970.
    second: i64,
    judged: Vec<(Known, Arc<Judgement>)>,
}

/// Evidence that was judged.
#[derive(Debug)]
struct Known {
    presentation: Option<Presentation>,
    egress: Option<IpAddr>,
    rejected: Option<String>,
    only_null_sender: bool,
}

impl Memory {
    pub(super) fn forget(&mut self) {
        self.judged.clear();
    }

    /// What [`verdict::judge`] says.
    pub(super) fn judge(&mut self, evidence: &Evidence<'_>, bench: &Bench<'_>) -> Arc<Judgement> {
        // Only today's changes are told, and told with their time: no two of them are alike.
        if evidence.has_news(bench) {
            return Arc::new(verdict::judge(evidence, bench));
        }
        let second = bench.now.as_second();
        if self.second != second {
            self.second = second;
            self.judged.clear();
        }
        if let Some((_, judgement)) = self.judged.iter().find(|(known, _)| known.is(evidence)) {
            return Arc::clone(judgement);
        }
        let judgement = Arc::new(verdict::judge(evidence, bench));
        if self.judged.len() == MAX_JUDGED {
            self.judged.remove(0);
        }
        self.judged
            .push((Known::from(evidence), Arc::clone(&judgement)));
        judgement
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
