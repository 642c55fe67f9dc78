//! Metric families under construction.

use std::collections::BTreeMap;

use jiff::Timestamp;
use prometheus::proto::Counter;
use prometheus::proto::Gauge;
use prometheus::proto::LabelPair;
use prometheus::proto::Metric;
use prometheus::proto::MetricFamily;
use prometheus::proto::MetricType;

/// Families under construction, by name.
#[derive(Default)]
pub(super) struct Families {
    by_name: BTreeMap<String, MetricFamily>,
}

pub(super) type Labels<'a> = &'a [(&'a str, &'a str)];

impl Families {
    pub(super) fn finished(self) -> Vec<MetricFamily> {
        self.by_name.into_values().collect()
    }

    pub(super) fn add(
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

    pub(super) fn gauge(&mut self, name: &str, help: &str, labels: Labels<'_>, value: f64) {
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

    pub(super) fn counter(&mut self, name: &str, help: &str, labels: Labels<'_>, value: u64) {
        let mut counter = Counter::default();
        counter.set_value(float(value));
        let mut metric = Metric::default();
        metric.set_counter(counter);
        self.add(name, help, MetricType::COUNTER, labels, metric);
    }

    pub(super) fn time(
        &mut self,
        name: &str,
        help: &str,
        labels: Labels<'_>,
        time: Option<Timestamp>,
    ) {
        if let Some(time) = time {
            self.gauge(name, help, labels, seconds(time));
        }
    }
}

pub(super) fn seconds(time: Timestamp) -> f64 {
    time.as_duration().as_secs_f64()
}

#[expect(
    clippy::cast_precision_loss,
    reason = "Prometheus has no other numbers; it is exact up to 2^53"
)]
pub(super) fn float(value: u64) -> f64 {
    value as f64
}
