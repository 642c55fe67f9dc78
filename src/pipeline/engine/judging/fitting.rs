//! Which expectation counts for which connector, found once: to try a name on patterns takes longer than most of what is
//! done with an observation.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::FixedState;

use crate::pipeline::expectation::Expectation;
use crate::pipeline::expectation::Expectations;
use crate::pipeline::ledger::MAX_CONNECTORS;

/// Positions of expectations by connector, of as many connectors as are judged; none for those of which nothing is
/// expected. When other things are expected, it begins anew.
#[derive(Debug, Default)]
pub(super) struct Fitting(HashMap<Arc<str>, Option<usize>, FixedState>);

impl Fitting {
    /// What [`Expectations::for_connector`] says; they must be the same as at the calls before.
    pub(super) fn find<'a>(
        &mut self,
        expectations: &'a Expectations,
        connector: &Arc<str>,
    ) -> Option<&'a Expectation> {
        let known = self.0.get(connector).copied();
        let position = known.unwrap_or_else(|| {
            let position = expectations.position(connector);
            if self.0.len() < MAX_CONNECTORS {
                self.0.insert(Arc::clone(connector), position);
            }
            position
        });
        expectations.entries().get(position?)
    }
}
