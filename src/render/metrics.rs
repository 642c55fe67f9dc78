//! State → Prometheus metric families, built fresh for every scrape. There is no series for what no longer holds.

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use jiff::Timestamp;
use prometheus::core::Collector;
use prometheus::core::Desc;
use prometheus::proto::Bucket;
use prometheus::proto::Counter;
use prometheus::proto::Gauge;
use prometheus::proto::Histogram;
use prometheus::proto::LabelPair;
use prometheus::proto::Metric;
use prometheus::proto::MetricFamily;
use prometheus::proto::MetricType;

use crate::pipeline::certificate::Certificate;
use crate::pipeline::certificate::dn::DistinguishedName;
use crate::pipeline::ledger::ConnectorLedger;
use crate::pipeline::ledger::Presented;
use crate::pipeline::outbox::FailureReason;
use crate::pipeline::outbox::LATENCY_BOUNDS;
use crate::pipeline::outbox::ReceiverStatus;
use crate::pipeline::reply::ReplyClass;
use crate::pipeline::session::Handshake;
use crate::pipeline::session::Place;
use crate::pipeline::shown::shown;
use crate::pipeline::snapshot::SourceStatus;
use crate::pipeline::snapshot::State;
use crate::pipeline::tls::KNOWN_ERRORS;
use crate::pipeline::verdict::Verdict;

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
    families.gauge(
        "build_info",
        "A constant 1, labelled with the version.",
        &[("version", env!("CARGO_PKG_VERSION"))],
        1.0,
    );
    families.counter(
        "sessions_evicted_total",
        "Sessions let go because too many were live at once; one that goes on counts again.",
        &[],
        state.snapshot.evicted_sessions,
    );
    families.configuration(state);
    for (place, entry) in state.snapshot.connectors() {
        families.connector(place, entry);
    }
    families.verdicts(state);
    families.expected(state);
    families.sources(&state.sources);
    families.alerts(state);
    for receiver in &state.snapshot.receivers {
        families.receiver(receiver);
    }
    families.finished()
}

/// Families under construction, by name.
#[derive(Default)]
struct Families {
    by_name: BTreeMap<String, MetricFamily>,
}

type Labels<'a> = &'a [(&'a str, &'a str)];

impl Families {
    fn finished(self) -> Vec<MetricFamily> {
        self.by_name.into_values().collect()
    }

    fn add(
        &mut self,
        name: &str,
        help: &str,
        kind: MetricType,
        labels: Labels<'_>,
        mut metric: Metric,
    ) {
        let pairs = labels.iter().map(|(name, value)| {
            let mut pair = LabelPair::default();
            pair.set_name((*name).to_owned());
            pair.set_value((*value).to_owned());
            pair
        });
        metric.set_label(pairs.collect());
        let name = format!("certdrift_{name}");
        let family = self.by_name.entry(name.clone()).or_insert_with(|| {
            let mut family = MetricFamily::default();
            family.set_name(name);
            family.set_help(help.to_owned());
            family.set_field_type(kind);
            family
        });
        family.mut_metric().push(metric);
    }

    fn gauge(&mut self, name: &str, help: &str, labels: Labels<'_>, value: f64) {
        let mut gauge = Gauge::default();
        gauge.set_value(value);
        self.add(
            name,
            help,
            MetricType::GAUGE,
            labels,
            Metric::from_gauge(gauge),
        );
    }

    fn counter(&mut self, name: &str, help: &str, labels: Labels<'_>, value: u64) {
        let mut counter = Counter::default();
        counter.set_value(float(value));
        let mut metric = Metric::default();
        metric.set_counter(counter);
        self.add(name, help, MetricType::COUNTER, labels, metric);
    }

    fn time(&mut self, name: &str, help: &str, labels: Labels<'_>, time: Option<Timestamp>) {
        if let Some(time) = time {
            self.gauge(name, help, labels, seconds(time));
        }
    }

    fn configuration(&mut self, state: &State) {
        let reload = state.reload;
        self.gauge(
            "config_last_reload_successful",
            "Whether the last attempt to read the configuration succeeded.",
            &[],
            f64::from(u8::from(reload.successful)),
        );
        self.gauge(
            "config_last_reload_success_timestamp_seconds",
            "When the configuration was last read successfully.",
            &[],
            seconds(reload.succeeded_at),
        );
    }

    fn connector(&mut self, place: &Place, entry: &ConnectorLedger) {
        let (server, connector) = (shown(&place.server), shown(&place.connector));
        let at: [(&str, &str); 2] = [("server", &server), ("connector", &connector)];
        if let Some(sessions) = entry.sessions {
            self.counter(
                "sessions_total",
                "Distinct SMTP sessions, failed connects included.",
                &at,
                sessions.count,
            );
            self.time(
                "last_session_timestamp_seconds",
                "Time of the newest row of a session.",
                &at,
                Some(sessions.last_seen),
            );
        }
        let without = entry.without_certificate.map_or(0, |span| span.count);
        self.counter(
            "sessions_without_certificate_total",
            "STARTTLS sessions secured without a client certificate.",
            &at,
            without,
        );
        self.counter(
            "presented_certificate_changes_total",
            "How often another certificate was presented than before.",
            &at,
            entry.certificate_changes,
        );
        for (protocol, sessions) in &entry.tls {
            self.counter(
                "tls_sessions_total",
                "Sessions by negotiated TLS protocol.",
                &[at[0], at[1], ("protocol", protocol.as_str())],
                *sessions,
            );
        }
        for (error, count) in closed_errors(entry) {
            self.counter(
                "tls_failures_total",
                "Failed TLS negotiations by Exchange's word for the cause.",
                &[at[0], at[1], ("error", error)],
                count,
            );
        }
        for class in ReplyClass::ALL {
            let count = entry.refusals_by_class.get(&class).copied().unwrap_or(0);
            self.counter(
                "rejected_replies_total",
                "4xx and 5xx replies by what they mean for the connector.",
                &[at[0], at[1], ("class", class.as_str())],
                count,
            );
        }
        if let Some(address) = entry.current_egress() {
            self.gauge(
                "egress_address_info",
                "The public address that Exchange Online saw last.",
                &[at[0], at[1], ("address", &address.to_string())],
                1.0,
            );
        }
        if let Some(presented) = entry.current(Some(Handshake::StartTls)) {
            self.certificate(at, presented);
        }
    }

    fn certificate(&mut self, at: [(&str, &str); 2], presented: &Presented) {
        let certificate = &presented.certificate;
        let thumbprint = certificate
            .thumbprint
            .map(|it| it.to_string())
            .unwrap_or_default();
        let subject = shown(&certificate.common_name().unwrap_or_default());
        let issuer = shown(&issuer_common_name(certificate).unwrap_or_default());
        let serial = certificate.serial.as_deref().unwrap_or_default();
        self.gauge(
            "presented_certificate_info",
            "The client certificate presented last.",
            &[
                at[0],
                at[1],
                ("thumbprint", &thumbprint),
                ("subject_cn", &subject),
                ("issuer_cn", &issuer),
                ("serial", serial),
            ],
            1.0,
        );
        let span = presented.span;
        for (name, help, time) in [
            (
                "not_after",
                "End of validity of the certificate presented last; from the log, exact to 14 hours only.",
                certificate.not_after,
            ),
            (
                "not_before",
                "Start of validity of the certificate presented last; from the log, exact to 14 hours only.",
                certificate.not_before,
            ),
            (
                "first_seen",
                "When the certificate presented last was first seen.",
                Some(span.first_seen),
            ),
            (
                "last_seen",
                "When the certificate presented last was last seen.",
                Some(span.last_seen),
            ),
        ] {
            self.time(
                &format!("presented_certificate_{name}_timestamp_seconds"),
                help,
                &at,
                time,
            );
        }
    }

    fn verdicts(&mut self, state: &State) {
        for judged in &state.snapshot.judged {
            let (server, connector) = (shown(&judged.place.server), shown(&judged.place.connector));
            let at: [(&str, &str); 2] = [("server", &server), ("connector", &connector)];
            for verdict in Verdict::ALL {
                let holds = f64::from(u8::from(judged.verdict == verdict));
                self.gauge(
                    "connector_verdict",
                    "1 for the confirmed verdict on the connector, 0 for the others.",
                    &[at[0], at[1], ("verdict", verdict.as_str())],
                    holds,
                );
            }
            for reason in &judged.reasons {
                self.gauge(
                    "connector_reason",
                    "1 for every reason that holds.",
                    &[
                        at[0],
                        at[1],
                        ("reason", reason.code.as_str()),
                        ("severity", reason.severity.as_str()),
                    ],
                    1.0,
                );
            }
        }
    }

    fn expected(&mut self, state: &State) {
        for expected in &state.snapshot.expected {
            let labels = [
                ("connector", expected.connector.as_str()),
                ("inbound_connector", expected.inbound_connector.as_str()),
                (
                    "tls_sender_certificate_name",
                    expected.tls_sender_certificate_name.as_str(),
                ),
            ];
            self.gauge(
                "expected_connector_info",
                "An inbound connector that a send connector is expected to match.",
                &labels,
                1.0,
            );
        }
    }

    fn sources(&mut self, sources: &[SourceStatus]) {
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

    fn alerts(&mut self, state: &State) {
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

    fn receiver(&mut self, receiver: &ReceiverStatus) {
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

/// Failures by a word of the closed list, everything else as `other`: a log must not invent label values.
fn closed_errors(entry: &ConnectorLedger) -> BTreeMap<&'static str, u64> {
    let mut counts = BTreeMap::new();
    for (error, count) in &entry.tls_failures {
        let known = KNOWN_ERRORS.iter().find(|known| *known == error);
        *counts.entry(*known.unwrap_or(&"other")).or_default() += count;
    }
    counts
}

fn issuer_common_name(certificate: &Certificate) -> Option<String> {
    let issuer = DistinguishedName::parse(certificate.issuer.as_deref()?)?;
    issuer.common_name().map(str::to_owned)
}

fn seconds(time: Timestamp) -> f64 {
    time.as_duration().as_secs_f64()
}

#[expect(
    clippy::cast_precision_loss,
    reason = "Prometheus has no other numbers; it is exact up to 2^53"
)]
fn float(value: u64) -> f64 {
    value as f64
}
