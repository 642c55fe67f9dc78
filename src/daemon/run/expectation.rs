//! What the files of Exchange say goes into the engine, and into the log what has become of them.

use std::sync::Arc;

use jiff::Timestamp;
use tracing::info;
use tracing::warn;

use crate::config;
use crate::config::Config;

use crate::daemon::expected::Known;
use crate::pipeline::engine::Engine;
use crate::pipeline::export::Kind;
use crate::pipeline::snapshot::ExportStatus;

/// What is expected: what the configuration says of it, and what the files say.
#[derive(Debug)]
pub(super) struct Expectation {
    config: Config,
    known: Known,
    /// What both mean, without secrets.
    summary: Arc<str>,
}

impl Expectation {
    pub(super) fn new(config: Config, known: Known, engine: &mut Engine, now: Timestamp) -> Self {
        let mut expectation = Self {
            config,
            known: Known::default(),
            summary: Arc::from(""),
        };
        expectation.files_changed(known, engine, now);
        expectation
    }

    pub(super) fn known(&self) -> &Known {
        &self.known
    }

    /// What the configuration and the exports mean together, without secrets.
    pub(super) fn summary(&self) -> Arc<str> {
        Arc::clone(&self.summary)
    }

    pub(super) fn files_changed(&mut self, known: Known, engine: &mut Engine, now: Timestamp) {
        log_changes(&self.known, &known);
        self.known = known;
        self.apply(engine, now);
    }

    /// What the files said stays in force until they have been read again, as far as they are still wanted.
    pub(super) fn configuration_changed(
        &mut self,
        config: Config,
        engine: &mut Engine,
        now: Timestamp,
    ) {
        for kind in Kind::ALL {
            if config.exports.file(kind).is_none() {
                self.known.exports.forget(kind);
            }
        }
        self.config = config;
        self.apply(engine, now);
    }

    fn apply(&mut self, engine: &mut Engine, now: Timestamp) {
        self.summary = Arc::from(config::describe(&self.config, &self.known.exports));
        engine.set_settings(self.config.settings);
        engine.set_inventory(self.known.inventory.clone());
        let expectations = self.config.expectations(&self.known.exports);
        engine.set_expectations(expectations, now);
    }
}

/// One line for each file that was read, is broken, or is well again.
fn log_changes(before: &Known, after: &Known) {
    for status in &after.status.exports {
        let is_same =
            |other: &&ExportStatus| other.name == status.name && other.file == status.file;
        let earlier = before.status.exports.iter().find(is_same);
        let earlier_problem = earlier.and_then(|earlier| earlier.problem.as_ref());
        let (export, file) = (status.name, status.file.display());
        match &status.problem {
            Some(problem) if earlier_problem != Some(problem) => {
                warn!(export, %file, "an export is not used: {problem}");
            }
            None if earlier_problem.is_some()
                || earlier.and_then(|earlier| earlier.exported_at) != status.exported_at =>
            {
                info!(export, %file, "an export was read");
            }
            _ => {}
        }
    }
    for earlier in &before.status.exports {
        let is_same =
            |other: &&ExportStatus| other.name == earlier.name && other.file == earlier.file;
        if earlier.problem.is_some() && !after.status.exports.iter().any(|other| is_same(&other)) {
            let (export, file) = (earlier.name, earlier.file.display());
            info!(export, %file, "the file is well again, or no longer wanted");
        }
    }
    for remark in &after.remarks {
        if !before.remarks.contains(remark) {
            warn!("a certificate was left out: {remark}");
        }
    }
}
