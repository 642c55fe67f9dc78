//! How certdrift itself is doing: its sources, its configuration, its messages.

use std::collections::BTreeMap;

use prometheus::proto::Bucket;
use prometheus::proto::Histogram;
use prometheus::proto::Metric;
use prometheus::proto::MetricType;

use crate::pipeline::outbox::FailureReason;
use crate::pipeline::outbox::LATENCY_BOUNDS;
use crate::pipeline::outbox::ReceiverStatus;
use crate::pipeline::shown::shown;
use crate::pipeline::snapshot::SourceStatus;
use crate::pipeline::snapshot::State;
use crate::render::metrics::families::Families;
use crate::render::metrics::families::float;
use crate::render::metrics::families::seconds;

impl Families {
    pub(super) fn configuration(&mut self, state: &State) {
        let reload = state.reload;
        self.gauge(
            "config_last_reload_successful",
            "Whether the last attempt to read the configuration succeeded.",
            &[],
            f64::from(u8::from(reload.successful)),
        );
        self.gauge(
            "state_writable",
            "Whether the last attempt to write the state to disk succeeded. Nothing is read while it does not.",
            &[],
            f64::from(u8::from(state.writable)),
        );
        self.time(
            "state_recovered_timestamp_seconds",
            "When a damaged state was last moved aside; what could be was read from the logs again.",
            &[],
            state.recovered_at,
        );
        self.gauge(
            "config_last_reload_success_timestamp_seconds",
            "When the configuration was last read successfully.",
            &[],
            seconds(reload.succeeded_at),
        );
    }

    /// The certificate of the web server; without TLS there is none.
    pub(super) fn web_certificate(&mut self, state: &State) {
        let validity = state.web_certificate;
        self.time(
            "web_certificate_not_before_timestamp_seconds",
            "Start of validity of the certificate that certdrift's own web server presents.",
            &[],
            validity.map(|it| it.not_before),
        );
        self.time(
            "web_certificate_not_after_timestamp_seconds",
            "End of validity of the certificate that certdrift's own web server presents.",
            &[],
            validity.map(|it| it.not_after),
        );
    }

    /// When each export in force was written.
    pub(super) fn exports(&mut self, state: &State) {
        for export in &state.expectation.exports {
            self.time(
                "expectation_exported_timestamp_seconds",
                "When the export in force was written.",
                &[("export", export.name)],
                export.exported_at,
            );
        }
    }

    pub(super) fn sources(&mut self, sources: &[SourceStatus]) {
        for source in sources {
            let (path, server) = (shown(&source.source), shown(&source.server));
            let at: [(&str, &str); 2] = [("source", &path), ("server", &server)];
            self.gauge(
                "source_up",
                "Whether the last look at the source's logs succeeded.",
                &at,
                f64::from(u8::from(source.up)),
            );
            self.counter(
                "source_bytes_read_total",
                "Bytes read.",
                &at,
                source.tally.bytes,
            );
            self.counter(
                "source_rows_total",
                "Well-formed rows read.",
                &at,
                source.tally.rows,
            );
            self.counter(
                "source_rows_malformed_total",
                "Lines that are no rows.",
                &at,
                source.tally.malformed_rows,
            );
            self.gauge(
                "source_lag_bytes",
                "Bytes there but not yet read.",
                &at,
                float(source.lag_bytes),
            );
            self.time(
                "source_last_row_timestamp_seconds",
                "Time of the newest row.",
                &at,
                source.last_row,
            );
            for (reason, bytes) in [
                ("nul_damage", source.tally.lost_bytes),
                ("long_line", source.long_line_bytes),
                ("deleted_unread", source.deleted_unread_bytes),
                ("rewritten_unread", source.rewritten_unread_bytes),
            ] {
                self.counter(
                    "source_lost_bytes_total",
                    "Bytes that could not be read.",
                    &[at[0], at[1], ("reason", reason)],
                    bytes,
                );
            }
            self.counter(
                "source_duplicate_rows_total",
                "Rows dropped because their session had shown their sequence number.",
                &at,
                source.duplicate_rows,
            );
            self.counter(
                "source_sequence_gaps_total",
                "Jumps in the sequence numbers of sessions: rows that the log lost.",
                &at,
                source.sequence_gaps,
            );
        }
    }

    pub(super) fn alerts(&mut self, state: &State) {
        let mut counts: BTreeMap<(&str, &str), u32> = BTreeMap::new();
        for alert in &state.snapshot.alerts {
            *counts
                .entry((alert.name.as_str(), alert.severity.as_str()))
                .or_default() += 1;
        }
        for ((name, severity), count) in counts {
            self.gauge(
                "alerts",
                "Alerts that are firing.",
                &[("alertname", name), ("severity", severity)],
                f64::from(count),
            );
        }
    }

    pub(super) fn receiver(&mut self, receiver: &ReceiverStatus) {
        let at: [(&str, &str); 2] = [
            ("receiver", &receiver.name),
            ("integration", receiver.integration),
        ];
        self.counter(
            "notifications_total",
            "Notifications that the receiver took.",
            &at,
            receiver.delivered,
        );
        for reason in FailureReason::ALL {
            let count = receiver.failed.get(&reason).copied().unwrap_or(0);
            self.counter(
                "notifications_failed_total",
                "Failed tries by reason; a notification is tried again.",
                &[at[0], at[1], ("reason", reason.as_str())],
                count,
            );
        }
        self.counter(
            "notifications_given_up_total",
            "Notifications that the receiver will never get.",
            &at,
            receiver.given_up,
        );
        let waiting = u64::try_from(receiver.waiting).unwrap_or(u64::MAX);
        self.gauge(
            "notification_queue_length",
            "Notifications that wait.",
            &at,
            float(waiting),
        );
        self.time(
            "notification_oldest_pending_timestamp_seconds",
            "Since when the oldest of them has waited.",
            &at,
            receiver.oldest_waiting,
        );
        self.time(
            "notification_last_success_timestamp_seconds",
            "When the receiver last took a notification.",
            &at,
            receiver.last_success,
        );
        self.latency(at, receiver);
    }

    fn latency(&mut self, at: [(&str, &str); 2], receiver: &ReceiverStatus) {
        let mut cumulative = 0;
        let buckets = LATENCY_BOUNDS
            .iter()
            .zip(receiver.latency)
            .map(|(&bound, count)| {
                cumulative += count;
                let mut bucket = Bucket::default();
                bucket.set_upper_bound(bound);
                bucket.set_cumulative_count(cumulative);
                bucket
            });
        let mut histogram = Histogram::default();
        histogram.set_bucket(buckets.collect());
        histogram.set_sample_count(receiver.latency.iter().sum());
        histogram.set_sample_sum(receiver.latency_sum);
        let mut metric = Metric::default();
        metric.set_histogram(histogram);
        self.add(
            "notification_latency_seconds",
            "From the decision to notify to the receiver's answer.",
            MetricType::HISTOGRAM,
            &at,
            metric,
        );
    }
}
