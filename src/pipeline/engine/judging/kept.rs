//! What is judged, over a restart.

use std::collections::BTreeMap;

use crate::pipeline::alert::Alerts;
use crate::pipeline::alert::EPISODES;
use crate::pipeline::engine::judging::Judging;
use crate::pipeline::engine::judging::watched::Watched;
use crate::pipeline::outbox::Outbox;
use crate::pipeline::saved::Changes;
use crate::pipeline::saved::Saved;
use crate::pipeline::saved::Table;
use crate::pipeline::saved::Unreadable;
use crate::pipeline::saved::Written;
use crate::pipeline::session::Place;
use crate::pipeline::session::StreamId;

const DISAGREEMENTS: &str = "disagreements";
const SUMMARIES: &str = "summaries";
const ELSEWHERE: &str = "elsewhere";
const CONDITIONS: &str = "conditions";
const NEWS: &str = "news";
const UNSEEN: &str = "unseen";

impl Judging {
    /// Adds what changed since the last time. Time alone changes findings, so all of them are looked at; they are some
    /// hundreds.
    pub(in crate::pipeline::engine) fn take_changes(&mut self, changes: &mut Changes) {
        self.take_changed_findings(changes);
        let written = &mut self.written;
        let firing = self.alerts.firing();
        let firing = firing.map(|firing| (firing.row_key(), firing));
        written.rows(Table::Alert, firing, changes);
        written.row(Table::Whole, DISAGREEMENTS, &self.disagreements, changes);
        written.row(Table::Whole, SUMMARIES, &self.summaries, changes);
        written.row(Table::Whole, ELSEWHERE, &self.elsewhere, changes);
        written.row(Table::Whole, CONDITIONS, &self.conditions, changes);
        written.row(Table::Whole, NEWS, &self.news, changes);
        written.row(Table::Whole, UNSEEN, &self.unseen, changes);
        written.row(Table::Whole, EPISODES, self.alerts.episodes(), changes);
        self.outbox.take_changes(written, changes);
        self.is_urgent = false;
    }

    /// They are compared with what is on disk: that takes a fraction of what writing all of them would, and is done every
    /// second.
    fn take_changed_findings(&mut self, changes: &mut Changes) {
        for (place, watched) in &self.watched {
            if self.kept.get(place) != Some(watched) {
                changes.put(Table::Finding, place.key(), watched);
                self.kept.insert(place.clone(), watched.clone());
            }
        }
        if self.kept.len() > self.watched.len() {
            self.kept.retain(|place, _| {
                let is_there = self.watched.contains_key(place);
                if !is_there {
                    changes.remove(Table::Finding, place.key());
                }
                is_there
            });
        }
    }

    /// Makes the next [`Self::take_changes`] give everything.
    pub(in crate::pipeline::engine) fn change_everything(&mut self) {
        self.kept.clear();
        self.written = Written::default();
        self.outbox.change_everything();
    }

    /// What was saved. No stream has been looked at since: as long as none has caught up, nothing is concluded from
    /// what was known.
    pub(in crate::pipeline::engine) fn restore(
        saved: &Saved,
        streams: Vec<StreamId>,
    ) -> Result<Self, Unreadable> {
        let mut watched = BTreeMap::new();
        for row in saved.rows::<Watched>(Table::Finding) {
            let (key, found) = row?;
            watched.insert(Place::of_row(Table::Finding, key)?, found);
        }
        let alerts = Alerts::restore(saved)?;
        let mut outbox = Outbox::restore(saved)?;
        outbox.stood(alerts.firing());
        Ok(Self {
            kept: watched.clone(),
            watched,
            alerts,
            outbox,
            disagreements: saved.row(Table::Whole, DISAGREEMENTS)?.unwrap_or_default(),
            summaries: saved.row(Table::Whole, SUMMARIES)?.unwrap_or_default(),
            elsewhere: saved.row(Table::Whole, ELSEWHERE)?.unwrap_or_default(),
            conditions: saved.row(Table::Whole, CONDITIONS)?.unwrap_or_default(),
            unseen: saved.row(Table::Whole, UNSEEN)?.unwrap_or_default(),
            news: saved.row(Table::Whole, NEWS)?.unwrap_or_default(),
            behind: streams,
            written: Written::of(saved),
            ..Self::default()
        })
    }
}
