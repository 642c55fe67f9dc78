//! What the open summaries tell, for a receiver that has not heard of them.

use crate::pipeline::alert::Notice;
use crate::pipeline::alert::summary::Summaries;

impl Summaries {
    /// What there is to tell of each summary that is open.
    pub fn standing(&self) -> impl Iterator<Item = &Notice> {
        self.open.values().map(|open| &open.notice)
    }

    /// Whether one of them tells of the alert with this key.
    pub fn tell_of(&self, key: &str) -> bool {
        self.summary_of(key).is_some()
    }
}
