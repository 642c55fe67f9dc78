//! State → Prometheus metric families, built fresh for every scrape. There is no series for what no longer holds.

mod connectors;
mod families;
mod operation;

use std::sync::Arc;

use arc_swap::ArcSwap;
use prometheus::core::Collector;
use prometheus::core::Desc;
use prometheus::proto::MetricFamily;

use crate::pipeline::snapshot::Snapshot;
use crate::pipeline::snapshot::SourceStatus;
use crate::pipeline::snapshot::State;
use crate::render::metrics::families::Families;
use crate::render::report::Report;

/// Gives the `prometheus` crate's registry the metrics of whatever state is current.
pub struct StateCollector {
    state: Arc<ArcSwap<State>>,
}

impl StateCollector {
    /// A collector of the state that the cell holds at the time of a scrape.
    pub fn new(state: Arc<ArcSwap<State>>) -> Self {
        Self { state }
    }
}

impl Collector for StateCollector {
    /// None: the families depend on the state, so they cannot be told in advance.
    fn desc(&self) -> Vec<&Desc> {
        Vec::new()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        families(&self.state.load())
    }
}

/// All metric families, without empty ones, ordered by name.
pub fn families(state: &State) -> Vec<MetricFamily> {
    let mut families = Families::default();
    families.observed(&state.snapshot, &state.sources);
    families.judged(&state.snapshot);
    families.configuration(state);
    families.web_certificate(state);
    families.exports(state);
    families.alerts(state);
    for receiver in &state.snapshot.receivers {
        families.receiver(receiver);
    }
    families.finished()
}

/// The families of one reading of logs, ordered by name: those of the daemon, without what only a daemon has (alerts,
/// receivers, reloads), and without verdicts when there was no configuration to judge by.
pub fn families_of_report(report: &Report) -> Vec<MetricFamily> {
    let mut families = Families::default();
    families.observed(&report.snapshot, &report.sources);
    if report.judged {
        families.judged(&report.snapshot);
    }
    families.finished()
}

impl Families {
    fn observed(&mut self, snapshot: &Snapshot, sources: &[SourceStatus]) {
        self.gauge(
            "build_info",
            "A constant 1, labelled with the version.",
            &[("version", env!("CARGO_PKG_VERSION"))],
            1.0,
        );
        self.counter(
            "sessions_evicted_total",
            "Sessions let go because too many were live at once; one that goes on counts again.",
            &[],
            snapshot.evicted_sessions,
        );
        for (place, entry) in snapshot.connectors() {
            self.connector(place, entry, &snapshot.inventory);
        }
        self.sources(sources);
    }

    /// What is expected, and the verdicts.
    fn judged(&mut self, snapshot: &Snapshot) {
        self.verdicts(snapshot);
        self.expected(snapshot);
        self.inventory(&snapshot.inventory);
    }
}
