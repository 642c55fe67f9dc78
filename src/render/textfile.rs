//! `certdrift check --format=prometheus`: the daemon's metrics, for the textfile collector of `node_exporter`.

use prometheus::Encoder;
use prometheus::TextEncoder;

use crate::render::metrics;
use crate::render::report::Report;

/// Prometheus' text format, version 0.0.4. No sample has a time of its own: the collector refuses a file that gives one.
pub fn check(report: &Report) -> String {
    let mut text = Vec::new();
    // Writing to memory cannot fail, and a family is there only for a sample.
    let _ = TextEncoder::new().encode(&metrics::families_of_report(report), &mut text);
    String::from_utf8(text).unwrap_or_default()
}
