//! Turns taken by hand, with real logs and a disk that is full.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::fmt::Write as _;
use std::path::Path;

use super::*;
use crate::daemon::tail::Event;
use crate::pipeline::verdict::reason::AlertName;

/// Enough for more pages than a full disk has.
const SESSIONS: u32 = 300;

/// A daemon whose loop is this test.
struct Hand {
    daemon: Daemon,
    tailed: mpsc::Receiver<Message>,
    /// How long ago it began, by the clocks that it is shown.
    later: Duration,
    /// How far the wall clock was put forward.
    ahead: Duration,
}

impl Hand {
    fn begin(folder: &Path, configuration: &str) -> Self {
        let file = folder.join("certdrift.yml");
        std::fs::write(&file, configuration).unwrap();
        let config = crate::config::load(&file).unwrap();
        let options = Options {
            config_file: file,
            listen_addresses: Vec::new(),
            web_config_file: None,
            telemetry_path: "/metrics".to_owned(),
            storage_path: folder.join("state"),
            external_url: None,
        };
        let (messages, tailed) = mpsc::channel(crate::daemon::tail::MAX_MESSAGES);
        let (news, _) = mpsc::channel(expected::MAX_CHANGES);
        let follower = Follower::start(ExpectedFiles::new(&config), news).unwrap();
        let known = Known::default();
        let web = Web::open(None, web::Limits::default()).unwrap();
        let url = String::new();
        let daemon = Daemon::new(options, config, known, follower, url, web, messages);
        Self {
            daemon: daemon.unwrap(),
            tailed,
            later: Duration::ZERO,
            ahead: Duration::ZERO,
        }
    }

    /// Reads what the threads say until this holds. A full disk holds up reading, as in the loop.
    async fn until(&mut self, holds: impl Fn(&Daemon) -> bool) {
        while !holds(&self.daemon) {
            let mut message = self.tailed.recv().await.unwrap();
            // The threads live by the real clock.
            if let Event::Looked { began, .. } = &mut message.event {
                began.instant += self.later;
                began.wall += self.later + self.ahead;
            }
            let (now, instant) = self.present();
            self.daemon
                .read(message, &mut mpsc::channel(1).1, now, instant);
            assert_eq!(self.turn(1), Vec::<AlertName>::new());
        }
    }

    /// A turn so many seconds later. The alerts that are to be told.
    fn turn(&mut self, seconds: u64) -> Vec<AlertName> {
        self.later += Duration::from_secs(seconds);
        let (now, instant) = self.present();
        let errands = self.daemon.turn(now, instant).unwrap();
        let told = errands.into_iter().filter_map(|errand| match errand {
            Errand::Message(delivery) => Some(delivery.notice.name),
            Errand::Round(_) | Errand::Beat(_) => None,
        });
        told.collect()
    }

    fn present(&self) -> (Timestamp, Instant) {
        let now = clock::now() + self.later + self.ahead;
        (now, clock::instant() + self.later)
    }

    /// What whoever asks is shown: rows, sources that are up, alerts, ready, writable.
    fn shown(&self) -> (u64, usize, Vec<AlertName>, bool, bool) {
        let state = self.daemon.state.load();
        (
            state.sources.iter().map(|source| source.tally.rows).sum(),
            state.sources.iter().filter(|source| source.up).count(),
            state
                .snapshot
                .alerts
                .iter()
                .map(|alert| alert.name)
                .collect(),
            state.ready,
            state.writable,
        )
    }
}

const ROW: &str = "2026-01-01T00:00:00.000Z,c,08DE41A5B3C2D100,0,,,*,,attempting to connect\r\n";
const CONFIGURATION: &str = "\
sources:
  - { path: 'logs/{server}', first_read: all }
  - { path: away, server: EX02, first_read: all }
connectors:
  - name: Outbound
    expected:
      inbound_connectors: [{ name: Inbound, tls_sender_certificate_name: mail.contoso.com }]
receivers:
  - { name: oncall, webhook: { url: 'http://127.0.0.1:9/' } }
";

/// Sessions with Exchange Online that present nothing, and their number of rows.
fn sessions(now: Timestamp) -> (String, u64) {
    let rows = [
        "+,,",
        "<,220 x.mail.protection.outlook.com Microsoft ESMTP MAIL Service ready,",
        ">,EHLO ex01,",
        "<,250  x.mail.protection.outlook.com Hello [203.0.113.7] STARTTLS,",
        ">,STARTTLS,",
        "<,220 2.0.0 SMTP server ready,",
        "*,,TLS protocol SP_PROT_TLS1_2_CLIENT negotiation succeeded using bulk encryption algorithm CALG_AES_256 with strength 256 bits",
    ];
    let mut text = String::new();
    for session in 0..SESSIONS {
        for (sequence, row) in rows.iter().enumerate() {
            let _ = write!(
                text,
                "{now:.3},Outbound,{session:016X},{sequence},,,{row}\r\n"
            );
        }
    }
    (text, u64::from(SESSIONS) * rows.len() as u64)
}

#[tokio::test]
async fn while_nothing_can_be_written_nobody_is_told_anything_and_afterwards_once() {
    let folder = tempfile::tempdir().unwrap();
    let logs = folder.path().join("logs/EX01");
    std::fs::create_dir_all(&logs).unwrap();
    let log = logs.join("SEND2026010100-1.LOG");
    std::fs::write(&log, ROW).unwrap();
    let mut hand = Hand::begin(folder.path(), CONFIGURATION);
    hand.until(|daemon| daemon.state.load().ready).await;
    assert_eq!(hand.shown(), (1, 1, Vec::new(), true, true));

    hand.daemon.commits.store().limit_pages(Some(1));
    let (text, rows) = sessions(clock::now());
    let mut file = std::fs::OpenOptions::new().append(true).open(&log).unwrap();
    std::io::Write::write_all(&mut file, text.as_bytes()).unwrap();
    hand.until(|daemon| daemon.commits.is_failing()).await;
    // What was wrong with the other source, and not for long enough to be told, is mended.
    let away = folder.path().join("away");
    std::fs::create_dir_all(&away).unwrap();
    std::fs::write(away.join("SEND2026010100-1.LOG"), ROW).unwrap();
    for _ in 0..60 {
        assert_eq!(hand.turn(60), [], "nothing goes out that is not on disk");
        assert!(hand.daemon.commits.is_failing());
        assert_eq!(hand.shown(), (1, 1, Vec::new(), false, false));
    }

    hand.daemon.commits.store().limit_pages(None);
    let missing = AlertName::ConnectorCertificateMissing;
    assert_eq!(hand.turn(60), [missing]);
    let all = (1 + rows, 1, vec![missing], true, true);
    assert_eq!(hand.shown(), all);
    // The threads were not heard of for an hour, and that is nobody's fault.
    for _ in 0..3 {
        assert_eq!(hand.turn(1), [], "it is told once");
        assert_eq!(hand.shown(), all);
    }
    let is_up = |daemon: &Daemon| daemon.state.load().sources.iter().all(|source| source.up);
    hand.until(is_up).await;
    assert_eq!(hand.shown(), (2 + rows, 2, vec![missing], true, true));
}

/// The machine was stopped for two hours, say, and its logs went on.
#[tokio::test]
async fn a_clock_that_is_put_forward_makes_no_silence() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(folder.path().join("logs")).unwrap();
    let log = |name: &str, now| {
        let (text, _) = sessions(now);
        std::fs::write(folder.path().join("logs").join(name), text).unwrap();
    };
    log("SEND2026010100-1.LOG", clock::now());
    let configuration = "\
sources:
  - { path: logs, server: EX01, first_read: all }
connectors:
  - name: Outbound
    silent_after: 1h
    expected:
      inbound_connectors: [{ name: Inbound, sender_ip_addresses: [203.0.113.7] }]
receivers:
  - { name: oncall, webhook: { url: 'http://127.0.0.1:9/' } }
";
    let mut hand = Hand::begin(folder.path(), configuration);
    hand.until(|daemon| daemon.state.load().ready).await;
    let (_, rows) = sessions(clock::now());
    assert_eq!(hand.shown(), (rows, 1, Vec::new(), true, true));

    hand.ahead = Duration::from_secs(2 * 3600);
    for _ in 0..3 {
        assert_eq!(hand.turn(1), [], "nobody has looked since");
    }
    log("SEND2026010102-1.LOG", hand.present().0);
    let is_read = |daemon: &Daemon| daemon.state.load().sources[0].tally.rows == 2 * rows;
    hand.until(is_read).await;
    assert_eq!(hand.turn(1), []);
    // A silence of which the logs are known is one.
    hand.ahead = Duration::from_secs(4 * 3600);
    let message = hand.tailed.recv().await.unwrap();
    let mut look = message.event;
    while !matches!(look, Event::Looked { .. }) {
        look = hand.tailed.recv().await.unwrap().event;
    }
    let (now, instant) = hand.present();
    if let Event::Looked { began, .. } = &mut look {
        began.wall = now;
    }
    let source = message.source;
    let message = Message {
        source,
        event: look,
    };
    hand.daemon
        .read(message, &mut mpsc::channel(1).1, now, instant);
    assert_eq!(hand.turn(1), [AlertName::ConnectorSilent]);
}

#[tokio::test]
async fn a_state_that_was_recovered_while_the_clock_was_ahead_is_told_for_a_day() {
    let folder = tempfile::tempdir().unwrap();
    let logs = folder.path().join("logs/EX01");
    std::fs::create_dir_all(&logs).unwrap();
    std::fs::write(logs.join("SEND2026010100-1.LOG"), ROW).unwrap();
    let mut hand = Hand::begin(folder.path(), CONFIGURATION);
    hand.until(|daemon| daemon.state.load().ready).await;
    let day = 24 * 3600;
    hand.daemon.recovered_at = Some(clock::now() + Duration::from_secs(2 * day));
    for (seconds, is_told) in [(1, true), (day - 60, true), (120, false)] {
        hand.turn(seconds);
        let (_, _, alerts, _, _) = hand.shown();
        let recovered = alerts.contains(&AlertName::StateRecovered);
        assert_eq!(recovered, is_told, "{seconds} s later");
    }
}
