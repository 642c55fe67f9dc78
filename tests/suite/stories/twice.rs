//! Every story is told twice: to an engine that lives on, and to one that dies before each thing that happens and goes
//! on from what it had saved. Nobody may be able to tell them apart.

use certdrift::pipeline::engine::Engine;
use certdrift::pipeline::expectation::Expectations;
use certdrift::pipeline::file::LogFile;
use certdrift::pipeline::outbox::{Delivery, Outcome, Receiver};
use certdrift::pipeline::saved::Saved;
use certdrift::pipeline::session::StreamId;
use certdrift::pipeline::snapshot::Snapshot;
use jiff::Timestamp;

/// The two engines, and what the mortal one needs to go on.
pub(crate) struct Twice {
    lasting: Engine,
    mortal: Engine,
    saved: Saved,
    streams: Vec<(StreamId, &'static str, bool)>,
    expectations: Expectations,
    receivers: Vec<Receiver>,
    now: Timestamp,
}

impl Twice {
    pub(crate) fn new() -> Self {
        Self {
            lasting: Engine::default(),
            mortal: Engine::restore(&Saved::default()).unwrap(),
            saved: Saved::default(),
            streams: Vec::new(),
            expectations: Expectations::default(),
            receivers: Vec::new(),
            now: Timestamp::UNIX_EPOCH,
        }
    }

    pub(crate) fn open_stream(&mut self, server: &'static str) -> StreamId {
        let stream = self.lasting.open_stream(server);
        assert_eq!(self.mortal.resume_stream(server, server), stream);
        self.streams.push((stream, server, false));
        stream
    }

    pub(crate) fn set_expectations(&mut self, expectations: Expectations, now: Timestamp) {
        self.restart();
        self.now = now;
        self.lasting.set_expectations(expectations.clone(), now);
        self.mortal.set_expectations(expectations.clone(), now);
        self.expectations = expectations;
    }

    pub(crate) fn set_receivers(&mut self, receivers: Vec<Receiver>, now: Timestamp) {
        self.restart();
        self.now = now;
        self.lasting.set_receivers(receivers.clone(), now);
        self.mortal.set_receivers(receivers.clone(), now);
        self.receivers = receivers;
    }

    pub(crate) fn set_behind(&mut self, stream: StreamId, behind: bool) {
        self.restart();
        self.lasting.set_behind(stream, behind);
        self.mortal.set_behind(stream, behind);
        let mut streams = self.streams.iter_mut();
        streams.find(|known| known.0 == stream).unwrap().2 = behind;
    }

    pub(crate) fn feed(
        &mut self,
        stream: StreamId,
        file: &mut LogFile,
        chunk: &[u8],
        now: Timestamp,
    ) {
        self.restart();
        self.now = now;
        let mut second = file.clone();
        // A life may end in the middle of a session.
        let (first_half, second_half) = chunk.split_at(chunk.len() / 2);
        self.lasting.feed(stream, file, first_half, now);
        self.lasting.feed(stream, file, second_half, now);
        let whole_lines = first_half.iter().rposition(|&byte| byte == b'\n').unwrap() + 1;
        let (before, after) = chunk.split_at(whole_lines);
        self.mortal.feed(stream, &mut second, before, now);
        self.restart();
        self.mortal.feed(stream, &mut second, after, now);
    }

    pub(crate) fn tick(&mut self, now: Timestamp) -> Vec<Delivery> {
        self.restart();
        self.now = now;
        let due = self.lasting.tick(now);
        self.mortal.update(now);
        self.commit();
        let same = self.mortal.due(now);
        let told = |due: &[Delivery]| -> Vec<_> {
            let told = due.iter();
            told.map(|it| format!("{} {} {:?}", it.number, it.receiver, it.notice))
                .collect()
        };
        assert_eq!(told(&same), told(&due));
        due
    }

    pub(crate) fn answered(&mut self, number: u64, outcome: Outcome, now: Timestamp, spread: f64) {
        self.now = now;
        self.lasting.answered(number, outcome, now, spread);
        self.mortal.answered(number, outcome, now, spread);
    }

    pub(crate) fn snapshot(&self, now: Timestamp) -> Snapshot {
        let (lasting, mortal) = (self.lasting.snapshot(now), self.mortal.snapshot(now));
        assert_eq!(
            format!("{:?}", mortal.judged),
            format!("{:?}", lasting.judged)
        );
        assert_eq!(
            format!("{:?}", mortal.alerts),
            format!("{:?}", lasting.alerts)
        );
        assert_eq!(
            format!("{:?}", mortal.receivers),
            format!("{:?}", lasting.receivers)
        );
        lasting
    }

    fn commit(&mut self) {
        self.saved.apply(&self.mortal.take_changes());
        self.mortal.committed();
    }

    /// The mortal engine dies and goes on. It does not while a message waits: that one would be sent again, or sooner.
    fn restart(&mut self) {
        let waiting = self.lasting.snapshot(self.now).receivers;
        if waiting.iter().any(|receiver| receiver.waiting > 0) {
            return;
        }
        self.commit();
        self.mortal = Engine::restore(&self.saved).unwrap();
        self.mortal
            .set_expectations(self.expectations.clone(), self.now);
        self.mortal.set_receivers(self.receivers.clone(), self.now);
        for (stream, name, behind) in &self.streams {
            assert_eq!(self.mortal.resume_stream(name, name), *stream);
            self.mortal.set_behind(*stream, *behind);
        }
    }
}
