//! What each stage of reading costs by itself, on an hour of the sample log:
//!
//! ```sh
//! cargo bench
//! ```
//! Times are for the whole log; the throughput beside them is bytes, or rows and certificates as items.

use std::hint::black_box;

use certdrift::pipeline::certificate::known::KnownCertificates;
use certdrift::pipeline::certificate::row::parse_row;
use certdrift::pipeline::file::LogFile;
use certdrift::pipeline::lines::Line;
use certdrift::pipeline::lines::Lines;
use certdrift::pipeline::outline::Outline;
use certdrift::pipeline::outline::Outlines;
use certdrift::pipeline::record::Row;
use certdrift::pipeline::record::RowReader;
use certdrift::pipeline::session::Sessions;
use divan::Bencher;
use divan::counter::BytesCount;
use divan::counter::ItemsCount;

const LOG: &[u8] = include_bytes!("../quickstart/EX01/SmtpSend/SEND2026112309-1.LOG");

fn main() {
    divan::main();
}

/// The rows of the log as lines.
fn row_lines() -> Vec<&'static [u8]> {
    let lines = LOG.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii_end);
    lines.filter(|line| line.starts_with(b"2026")).collect()
}

/// Every row of the log, read.
fn rows() -> Vec<Row<'static>> {
    let mut reader = RowReader::default();
    let lines = row_lines().into_iter();
    lines.filter_map(|line| reader.read(line).ok()).collect()
}

/// The rows that hold a certificate of ours.
fn certificates() -> Vec<Row<'static>> {
    let is_own = |row: &Row<'_>| row.context().raw().starts_with(b"Sending certificate ");
    rows().into_iter().filter(is_own).collect()
}

#[divan::bench]
fn lines(bencher: Bencher<'_, '_>) {
    bencher.counter(BytesCount::of_slice(LOG)).bench(|| {
        let mut count = 0;
        Lines::default().feed(black_box(LOG), |line: Line<'_>| {
            count += usize::from(matches!(line, Line::Text(..)));
        });
        count
    });
}

#[divan::bench]
fn record(bencher: Bencher<'_, '_>) {
    let outlined = |line: &'static [u8]| {
        let mut outlines = Outlines::default();
        outlines.find(&[line, b"\r\n"].concat());
        let outline = outlines
            .lines()
            .next()
            .and_then(|(_, outline)| outline.copied());
        (line, outline)
    };
    let lines: Vec<_> = row_lines().into_iter().map(outlined).collect();
    bencher.counter(ItemsCount::new(lines.len())).bench(|| {
        let mut reader = RowReader::default();
        let mut read = |(line, outline): &(&'static [u8], Option<Outline>)| {
            let row = reader.outlined(black_box(line), outline.as_ref()?)?;
            Some(row.sequence())
        };
        lines.iter().filter_map(&mut read).count()
    });
}

#[divan::bench]
fn outlines(bencher: Bencher<'_, '_>) {
    bencher.counter(BytesCount::of_slice(LOG)).bench_local(|| {
        let mut outlines = Outlines::default();
        let (mut at, mut count) = (0, 0);
        while at < LOG.len() {
            let looked_at = outlines.find(black_box(&LOG[at..]));
            count += outlines
                .lines()
                .filter(|(_, outline)| outline.is_some())
                .count();
            let last = outlines.lines().last();
            at += last.map_or(looked_at, |(newline, _)| newline + 1);
        }
        count
    });
}

#[divan::bench]
fn certificate_parsed(bencher: Bencher<'_, '_>) {
    let rows = certificates();
    bencher.counter(ItemsCount::new(rows.len())).bench(|| {
        for row in &rows {
            black_box(parse_row(&black_box(row.data()).bytes()));
        }
    });
}

#[divan::bench]
fn certificate_known(bencher: Bencher<'_, '_>) {
    let rows = certificates();
    let mut known = KnownCertificates::default();
    bencher
        .counter(ItemsCount::new(rows.len()))
        .bench_local(|| {
            for row in &rows {
                black_box(known.row(black_box(row.data())));
            }
        });
}

#[divan::bench]
fn session(bencher: Bencher<'_, '_>) {
    let rows = rows();
    bencher.counter(ItemsCount::new(rows.len())).bench(|| {
        let mut sessions = Sessions::default();
        let stream = sessions.open("EX01".into());
        let mut observations = 0;
        for row in &rows {
            sessions.row(stream, black_box(row), &mut |_| observations += 1);
        }
        observations
    });
}

#[divan::bench]
fn file_to_observations(bencher: Bencher<'_, '_>) {
    bencher.counter(BytesCount::of_slice(LOG)).bench(|| {
        let mut sessions = Sessions::default();
        let stream = sessions.open("EX01".into());
        let mut observations = 0;
        LogFile::default().feed(black_box(LOG), |row| {
            sessions.row(stream, row, &mut |_| observations += 1);
        });
        observations
    });
}
