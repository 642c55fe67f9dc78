//! Sources that are looked at by hand, look by look.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

mod effects;
mod forgotten;
mod model;
mod twice;
mod world;

use std::fs;
use std::io::Write as _;

use super::*;
use crate::daemon::clock;
use crate::daemon::tail::Loss;
use crate::daemon::tail::LossReason;
use crate::daemon::tail::disk::LocalDisk;

const ROW: &str = "2026-01-01T00:00:01.000Z,c,08DE41A5B3C2D100,0,,,*,,attempting to connect\r\n";

/// A source on the disk of this machine that is looked at by hand.
struct Bench {
    folder: tempfile::TempDir,
    source: SourceConfig,
    pass: Pass<LocalDisk>,
    at: Moment,
    saved: BTreeMap<FileId, Position>,
}

/// What one look gave.
#[derive(Default)]
struct Seen {
    texts: Vec<(String, String)>,
    losses: Vec<Loss>,
    look: Option<Look>,
    more: Vec<bool>,
}

impl Bench {
    fn new(path: &str, first_read: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let text = format!("sources: [{{ path: \"{path}\", first_read: {first_read} }}]");
        let file = folder.path().join("certdrift.yml");
        let source = crate::config::parse(&text, &file, None).unwrap().sources[0].clone();
        let at = Moment {
            instant: clock::instant(),
            wall: "2026-01-01T00:00:00Z".parse().unwrap(),
        };
        Self {
            pass: Pass::new(LocalDisk, source.clone(), Vec::new(), Vec::new(), at),
            folder,
            source,
            at,
            saved: BTreeMap::new(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        path
    }

    fn append(&self, name: &str, text: &str) {
        let mut file = fs::OpenOptions::new();
        let mut file = file
            .create(true)
            .append(true)
            .open(self.path(name))
            .unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    /// A look after this many seconds.
    fn look(&mut self, seconds: u64) -> Seen {
        let time = Duration::from_secs(seconds);
        self.at.instant += time;
        self.at.wall += time;
        let mut seen = Seen::default();
        let saved = &mut self.saved;
        assert!(self.pass.look(self.at, Some(Hint::Made), &mut |event| {
            match event {
                Event::Bytes {
                    bytes,
                    more,
                    position,
                    ..
                } => {
                    let text = String::from_utf8(bytes).unwrap();
                    seen.texts.push((position.name.to_string(), text));
                    seen.more.push(more);
                    saved.insert(position.file, position);
                }
                Event::Lost { loss, position, .. } => {
                    seen.losses.push(loss);
                    saved.insert(position.file, position);
                }
                Event::Finished { position, .. } | Event::Changed { position, .. } => {
                    saved.insert(position.file, position);
                }
                Event::PassedOver { positions } => positions.into_iter().for_each(|position| {
                    saved.insert(position.file, position);
                }),
                Event::Looked { look, .. } => seen.look = Some(look),
                Event::Forgotten { file } => {
                    saved.remove(&file);
                }
                Event::CaughtUp { .. } | Event::Alive => {}
            }
            true
        }));
        seen
    }

    fn restart(&mut self) {
        let saved = self.saved.values().cloned().collect();
        let (source, earlier) = (self.source.clone(), self.pass.earlier.clone());
        let (number, places) = (self.pass.number, Arc::clone(&self.pass.places));
        self.pass = Pass::new(LocalDisk, source, earlier, saved, self.at);
        self.pass.share(number, places);
    }
}

impl Seen {
    fn text(&self) -> String {
        self.texts.iter().map(|(_, text)| text.as_str()).collect()
    }

    fn trouble(&self) -> Option<&str> {
        self.look.as_ref()?.troubles().next()
    }
}

fn row(number: u32) -> String {
    ROW.replace("D100", &format!("{number:04X}"))
}

#[test]
fn only_whole_lines_are_read_and_each_once() {
    let mut bench = Bench::new("logs", "all");
    bench.append(
        "logs/SEND2026010100-1.LOG",
        &format!("{}{}", row(1), &row(2)[..30]),
    );
    assert_eq!(bench.look(0).text(), row(1));
    assert_eq!(bench.look(2).text(), "");
    bench.append("logs/SEND2026010100-1.LOG", &row(2)[30..]);
    bench.restart();
    assert_eq!(bench.look(2).text(), row(2));
    bench.restart();
    assert_eq!(bench.look(2).text(), "");
}

#[test]
fn files_are_read_in_the_order_of_their_numbers() {
    let mut bench = Bench::new("logs", "all");
    for (number, name) in ["00-10", "01-1", "00-9"].into_iter().enumerate() {
        let text = row(u32::try_from(number).unwrap());
        bench.append(&format!("logs/SEND20260101{name}.LOG"), &text);
    }
    let seen = bench.look(0);
    assert_eq!(seen.text(), [row(2), row(0), row(1)].concat());
    assert_eq!(seen.more, [true, true, false]);
}

#[test]
fn every_server_has_a_directory_of_its_own() {
    let mut bench = Bench::new("logs/{server}/SmtpSend", "all");
    for server in ["EX01", "EX02"] {
        bench.append(&format!("logs/{server}/SmtpSend/SEND2026010100-1.LOG"), ROW);
    }
    let seen = bench.look(0);
    assert_eq!(seen.text(), [ROW, ROW].concat(), "a row of each server");
    let directories = seen.look.unwrap().directories;
    let servers: Vec<&str> = directories
        .iter()
        .map(|look| &*look.directory.server)
        .collect();
    assert_eq!(servers, ["EX01", "EX02"]);
}

#[test]
fn what_an_earlier_source_reads_is_left_to_it() {
    let mut bench = Bench::new("logs/EX0*", "all");
    bench.append("logs/EX01/SEND2026010100-1.LOG", ROW);
    assert_eq!(bench.look(0).text(), ROW);
    // Now another source stands before it.
    let text = "sources: [{ path: \"logs/{server}\" }, { path: \"other/EX01\" }]";
    let file = bench.folder.path().join("certdrift.yml");
    let sources = crate::config::parse(text, &file, None).unwrap().sources;
    for (earlier, read) in [(&sources[1], ROW), (&sources[0], "")] {
        bench.pass.earlier = vec![earlier.path.clone()];
        bench.restart();
        bench.append("logs/EX01/SEND2026010100-1.LOG", ROW);
        let seen = bench.look(2);
        assert_eq!(seen.text(), read);
        assert_eq!(seen.trouble().is_none(), !read.is_empty());
        let trouble = seen.trouble().unwrap_or("logs/{server} logs/EX0*");
        assert!(trouble.contains("logs/{server}") && trouble.contains("logs/EX0*"));
    }
}

#[test]
fn the_first_read_passes_over_old_files_but_not_over_what_comes_later() {
    let mut bench = Bench::new("logs", "24h");
    bench.append("logs/SEND2020010100-1.LOG", &row(1));
    assert_eq!(bench.look(0).text(), "");
    bench.restart();
    bench.append("logs/SEND2020010100-1.LOG", &row(2));
    bench.append("logs/SEND2019010100-1.LOG", &row(3));
    assert_eq!(bench.look(2).text(), [row(3), row(2)].concat());
}

/// After how many looks, one a second, a late row is read from a file that has been still for so long, while another
/// file is the newest.
fn looks_until_a_late_row(still: u64) -> u64 {
    let mut bench = Bench::new("logs", "all");
    bench.append("logs/SEND2026010100-1.LOG", &row(1));
    bench.append("logs/SEND2026010100-2.LOG", &row(2));
    for _ in 0..still {
        bench.look(1);
    }
    bench.append("logs/SEND2026010100-1.LOG", &row(3));
    bench.append("logs/SEND2026010100-2.LOG", &row(4));
    let mut seen = bench.look(1).text();
    assert!(seen.contains(&row(4)), "the newest, at once");
    let mut looks = 1;
    while !seen.contains(&row(3)) {
        seen = bench.look(1).text();
        looks += 1;
    }
    looks
}

#[test]
fn a_file_that_has_long_been_still_is_looked_at_less_often_than_the_newest() {
    for still in [1, 4, 20, 60, 100] {
        let looks = looks_until_a_late_row(still);
        assert!(looks <= 2 + still / 3, "{looks} looks after {still} s");
    }
    let most = (90..100).map(looks_until_a_late_row).max().unwrap();
    assert!(most >= 10, "{most} looks at most after 90 to 100 s");
}

#[test]
fn a_copy_is_not_read() {
    let mut bench = Bench::new("logs/{server}", "all");
    bench.append("logs/EX01/SmtpSend/SEND2026010100-1.LOG", &row(1));
    assert_eq!(bench.look(0).text(), row(1));
    for copy in [
        "SmtpSend/SEND2026010100-1 - Copy.LOG",
        "backup/SEND2026010100-1.LOG",
    ] {
        bench.append(&format!("logs/EX01/{copy}"), &row(1));
    }
    assert_eq!(bench.look(2).text(), "");
    bench.restart();
    assert_eq!(bench.look(2).text(), "");
}

#[test]
fn a_missing_directory_is_trouble_and_heals() {
    let mut bench = Bench::new("logs", "all");
    let seen = bench.look(0);
    assert!(seen.trouble().unwrap().contains("does not exist"));
    bench.append("logs/SEND2026010100-1.LOG", ROW);
    let seen = bench.look(2);
    assert_eq!((seen.text().as_str(), seen.trouble()), (ROW, None));
}

#[test]
fn logs_of_another_kind_are_named() {
    let mut bench = Bench::new("logs", "all");
    bench.append("logs/EX01/readme.txt", "");
    let seen = bench.look(0);
    assert!(
        seen.trouble()
            .unwrap()
            .contains("no SEND*.LOG below it yet")
    );
    bench.append("logs/EX01/SmtpReceive/RECV2026010100-1.LOG", ROW);
    let seen = bench.look(60);
    assert!(
        seen.trouble()
            .unwrap()
            .contains("Give the SmtpSend folder instead of SmtpReceive")
    );
    bench.append("logs/EX01/SmtpSend/SEND2026010100-1.LOG", ROW);
    let seen = bench.look(60);
    assert_eq!((seen.text().as_str(), seen.trouble()), (ROW, None));
}

#[test]
fn the_trouble_of_one_server_is_not_that_of_another() {
    let mut bench = Bench::new("logs/{server}", "all");
    for server in ["EX01", "EX02"] {
        bench.append(&format!("logs/{server}/SEND2026010100-1.LOG"), ROW);
    }
    bench.look(0);
    let path = bench.path("logs/EX02");
    fs::rename(&path, bench.path("away")).unwrap();
    let look = bench.look(2).look.unwrap();
    assert_eq!(look.trouble_of("EX01"), None);
    assert!(look.trouble_of("EX02").unwrap().contains("EX02"));
    fs::rename(bench.path("logs"), bench.path("logs away")).unwrap();
    let look = bench.look(32).look.unwrap();
    assert!(look.trouble_of("EX01").is_some(), "all of it is away");
}

/// Looks at two servers, of which one then changes, until well over an hour later.
fn an_hour_after(change: impl Fn(&Path)) -> (Vec<Loss>, Option<String>) {
    let mut bench = Bench::new("logs/{server}/SmtpSend", "all");
    for server in ["EX01", "EX02"] {
        let name = format!("logs/{server}/SmtpSend/SEND2026010100-1.LOG");
        bench.append(&name, &format!("{ROW}{}", &ROW[..30]));
    }
    bench.look(0);
    change(&bench.path("logs/EX02"));
    let mut losses = Vec::new();
    let mut trouble = bench.look(2).trouble().map(str::to_owned);
    assert!(trouble.is_some());
    for _ in 0..45 {
        let seen = bench.look(90);
        losses.extend(&seen.losses);
        trouble = seen.trouble().map(str::to_owned);
    }
    (losses, trouble)
}

#[test]
fn the_directory_of_a_server_that_is_no_more_is_forgotten_after_an_hour() {
    for depth in ["", "SmtpSend"] {
        let (losses, trouble) = an_hour_after(|server| {
            let other = server.join("FrontEnd");
            fs::create_dir(other).unwrap();
            fs::remove_dir_all(server.join(depth)).unwrap();
        });
        assert_eq!(trouble, None, "{depth}");
        let bytes: Vec<u64> = losses.iter().map(|loss| loss.bytes).collect();
        assert_eq!(bytes, [30], "half a row went with it");
    }
}

#[test]
fn the_directory_of_a_share_that_is_not_mounted_is_never_given_up() {
    for depth in ["", "SmtpSend"] {
        let (losses, trouble) = an_hour_after(|server| {
            let mounted = server.join(depth);
            fs::remove_dir_all(&mounted).unwrap();
            fs::create_dir(&mounted).unwrap();
        });
        assert!(trouble.is_some(), "{depth}");
        assert_eq!(losses, [], "{depth}");
    }
}

#[test]
fn nothing_is_concluded_when_every_file_vanishes() {
    let mut bench = Bench::new("logs", "all");
    let path = bench.path("logs/SEND2026010100-1.LOG");
    fs::write(&path, row(1)).unwrap();
    bench.look(0);
    fs::remove_file(&path).unwrap();
    let seen = bench.look(2);
    assert!(seen.trouble().unwrap().contains("vanished at once"));
    bench.restart();
    bench.look(2);
    fs::write(&path, [row(1), row(2)].concat()).unwrap();
    let seen = bench.look(2);
    assert_eq!((seen.text(), seen.trouble()), (row(2), None));
}

#[test]
fn a_line_over_the_limit_is_left_out_without_being_kept() {
    let mut bench = Bench::new("logs", "all");
    let long = 3 << 20;
    bench.append("logs/SEND2026010100-1.LOG", &row(1));
    bench.append("logs/SEND2026010100-1.LOG", &"x".repeat(long));
    assert_eq!(bench.look(0).text(), row(1));
    bench.append("logs/SEND2026010100-1.LOG", &format!("\r\n{}", row(2)));
    let seen = bench.look(2);
    assert_eq!(seen.text(), row(2));
    let loss = Loss {
        from: ROW.len() as u64,
        bytes: long as u64 + 2,
        reason: LossReason::LongLine,
    };
    assert_eq!(seen.losses, [loss]);
}

#[test]
fn nul_bytes_at_the_end_are_given_up_after_ten_minutes() {
    let mut bench = Bench::new("logs", "all");
    bench.append("logs/SEND2026010100-1.LOG", &row(1));
    bench.append("logs/SEND2026010100-1.LOG", &"\0".repeat(2 << 20));
    assert_eq!(bench.look(0).text(), row(1));
    assert_eq!(bench.look(599).losses, []);
    let loss = Loss {
        from: ROW.len() as u64,
        bytes: 2 << 20,
        reason: LossReason::Nul,
    };
    assert_eq!(bench.look(1).losses, [loss]);
    bench.append("logs/SEND2026010100-1.LOG", &row(2));
    assert_eq!(bench.look(2).text(), row(2));
}

#[test]
fn what_is_gone_is_forgotten_after_ninety_days() {
    let mut bench = Bench::new("logs", "all");
    for number in [1, 2] {
        bench.append(&format!("logs/SEND2026010100-{number}.LOG"), &row(number));
    }
    bench.look(0);
    fs::remove_file(bench.path("logs/SEND2026010100-1.LOG")).unwrap();
    bench.look(2);
    assert_eq!(bench.pass.absent.len(), 1);
    bench.look(89 * 86_400);
    assert_eq!(bench.pass.absent.len(), 1);
    bench.look(86_400);
    assert_eq!(bench.pass.absent.len(), 0);
}

#[test]
fn a_file_of_header_lines_takes_nothing_with_it() {
    for (text, lost) in [
        ("#Software: Exchange\r\n#Fields: date-time", 0),
        ("#Software: Exchange\r\n2026-01-01T00", 34),
    ] {
        let mut bench = Bench::new("logs", "all");
        bench.append("logs/SEND2026010100-1.LOG", text);
        bench.append("logs/SEND2026010100-2.LOG", &row(1));
        bench.look(0);
        bench.look(130);
        fs::remove_file(bench.path("logs/SEND2026010100-1.LOG")).unwrap();
        let lost_bytes: u64 = bench.look(2).losses.iter().map(|loss| loss.bytes).sum();
        assert_eq!(lost_bytes, lost, "{text}");
    }
}

#[cfg(unix)]
#[test]
fn a_pipe_with_the_name_of_a_log_holds_up_nobody() {
    let mut bench = Bench::new("logs", "all");
    bench.append("logs/SEND2026010100-2.LOG", ROW);
    let pipe = bench.path("logs/SEND2026010100-1.LOG");
    let made = std::process::Command::new("mkfifo")
        .arg(&pipe)
        .status()
        .unwrap();
    assert!(made.success() && pipe.exists());
    assert_eq!(bench.look(0).text(), ROW);
}
