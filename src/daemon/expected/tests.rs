//! Files come, break, go and come back; the test says when somebody looks.

use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;
use std::time::SystemTime;

use jiff::Timestamp;

use crate::config;
use crate::config::Config;
use crate::daemon::expected::ExpectedFiles;
use crate::daemon::expected::Follower;
use crate::daemon::expected::Known;
use crate::daemon::expected::MAX_CHANGES;

const DOMAINS: &str = r#"[{"DomainName":"contoso.com"}]"#;
/// Of the same length.
const OTHERS: &str = r#"[{"DomainName":"adatum.com "}]"#;
const CERTIFICATES: &[u8] = include_bytes!("../../../tests/cases/exports/certificates/base64.json");

/// A folder with files, and a clock that stands at the number of the look.
struct Story {
    folder: tempfile::TempDir,
    files: ExpectedFiles,
    looks: i64,
}

impl Story {
    fn new(keys: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let files = ExpectedFiles::new(&configuration(folder.path(), keys));
        Self {
            folder,
            files,
            looks: 0,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::write(self.path(name), content).unwrap();
    }

    fn look(&mut self) -> Option<Known> {
        self.looks += 1;
        self.files.look(Timestamp::from_second(self.looks).unwrap())
    }

    /// Domains, and problems with the second since when, without their remedies.
    fn told(&mut self) -> String {
        self.look().map_or("-".to_owned(), |known| told(&known))
    }
}

fn configuration(folder: &Path, keys: &str) -> Config {
    let text = format!("sources: [{{ path: logs }}]\n{keys}");
    config::parse(&text, &folder.join("certdrift.yml"), None).unwrap()
}

fn told(known: &Known) -> String {
    let domains = known.exports.accepted_domains.iter().flatten();
    let mut words: Vec<String> = domains.cloned().collect();
    words.extend(known.inventory.certificates().iter().map(|known| {
        let server = known.server.as_deref().unwrap_or("?");
        format!("{}@{server}", known.origin)
    }));
    words.extend(known.status.exports.iter().filter_map(|status| {
        let problem = status.problem.as_ref()?;
        let what = problem.split([';', '.']).next().unwrap();
        Some(format!(
            "{} since {}: {what}",
            status.name,
            status.since?.as_second()
        ))
    }));
    words.join(", ")
}

const ACCEPTED: &str = "exports: { accepted_domains: domains.json }\n";

#[test]
fn a_broken_export_keeps_the_old_one_and_is_told_at_the_second_look() {
    let mut story = Story::new(ACCEPTED);
    story.write("domains.json", DOMAINS);
    assert_eq!(story.told(), "contoso.com");
    assert_eq!(story.told(), "-");

    story.write("domains.json", &DOMAINS[..20]);
    assert_eq!(story.told(), "-");
    assert_eq!(
        story.told(),
        "contoso.com, accepted_domains since 3: line 1, column 20: ends in the middle"
    );
    assert_eq!(story.told(), "-");

    story.write("domains.json", r#"[{"DomainName":"fabrikam.com"}]"#);
    assert_eq!(story.told(), "fabrikam.com");
}

/// A state, and what a configuration with exports and certificate files has kept in it.
fn kept() -> (Story, PathBuf, String) {
    let keys = format!("{ACCEPTED}inventory: ['certificates/{{server}}/*.cer']\n");
    let mut story = Story::new(&keys);
    story.write("domains.json", DOMAINS);
    fs::create_dir_all(story.path("certificates/EX01")).unwrap();
    story.write("certificates/EX01/a.cer", raw_certificate());
    let state = story.path("state");
    fs::create_dir(&state).unwrap();
    let told = story.told();
    assert_eq!(told, "contoso.com, a.cer@EX01");
    story.files.keep_in(&state);
    (story, state, keys)
}

/// The program ends and starts again.
fn restart(story: &mut Story, state: &Path, keys: &str) {
    let config = configuration(story.folder.path(), keys);
    let now = Timestamp::from_second(story.looks).unwrap();
    story.files = ExpectedFiles::resumed(&config, state, now);
}

#[test]
fn what_is_in_force_outlasts_a_restart_though_its_files_are_away() {
    let (mut story, state, keys) = kept();
    let modified = story.files.status().exports[0].exported_at;
    assert!(modified.is_some());
    fs::remove_file(story.path("domains.json")).unwrap();
    fs::rename(story.path("certificates"), story.path("away")).unwrap();
    for seconds in [2, 3] {
        restart(&mut story, &state, &keys);
        let told = story.told();
        assert_eq!(
            told.split(" accepted_domains since").next(),
            Some("contoso.com, a.cer@EX01,"),
            "{told}"
        );
        let problem = format!("accepted_domains since {seconds}: does not exist");
        assert!(told.contains(&problem), "at the first look already: {told}");
        assert!(told.contains("inventory since"), "{told}");
        assert_eq!(story.files.status().exports[0].exported_at, modified);
        story.files.keep_in(&state);
    }
    story.write("domains.json", OTHERS);
    fs::rename(story.path("away"), story.path("certificates")).unwrap();
    assert_eq!(story.told(), "adatum.com, a.cer@EX01");
    fs::remove_file(story.path("domains.json")).unwrap();
    restart(&mut story, &state, &keys);
    assert!(story.told().starts_with("adatum.com"));
}

#[test]
fn what_nobody_can_look_at_is_told_with_what_it_said_before() {
    let (mut story, state, keys) = kept();
    restart(&mut story, &state, &keys);
    let files = std::mem::take(&mut story.files);
    let known = files.unanswered(Timestamp::from_second(9).unwrap());
    let what = "since 9: nobody could look at it yet";
    assert_eq!(
        told(&known),
        format!("contoso.com, a.cer@EX01, accepted_domains {what}, inventory {what}")
    );
}

#[test]
fn copies_of_what_is_no_longer_named_go() {
    let (mut story, state, _) = kept();
    restart(&mut story, &state, ACCEPTED);
    story.files.keep_in(&state);
    assert_eq!(fs::read_dir(state.join("expected")).unwrap().count(), 1);
    // One that somebody has spoilt is as good as none.
    let copy = fs::read_dir(state.join("expected")).unwrap().next();
    fs::write(copy.unwrap().unwrap().path(), "{}\n[").unwrap();
    fs::remove_file(story.path("domains.json")).unwrap();
    restart(&mut story, &state, ACCEPTED);
    assert!(story.told().starts_with("accepted_domains since"));
}

#[test]
fn a_file_that_is_being_written_is_nobodys_business() {
    let mut story = Story::new(ACCEPTED);
    story.write("domains.json", DOMAINS);
    story.look();
    story.write("domains.json", "");
    assert_eq!(story.told(), "-");
    story.write("domains.json", r#"[{"DomainName":"fabrikam.com"}]"#);
    assert_eq!(story.told(), "fabrikam.com");
}

#[test]
fn a_broken_file_is_told_at_once_when_nothing_stands_in_for_it() {
    let mut story = Story::new(ACCEPTED);
    assert_eq!(story.told(), "accepted_domains since 1: does not exist");
    assert_eq!(story.told(), "-");
    story.write("domains.json", "[]");
    assert_eq!(story.told(), "accepted_domains since 1: holds no object");
    story.write("domains.json", DOMAINS);
    assert_eq!(story.told(), "contoso.com");
}

#[test]
fn a_file_that_comes_back_unchanged_is_well_again() {
    let mut story = Story::new(ACCEPTED);
    story.write("domains.json", DOMAINS);
    story.look();
    fs::remove_file(story.path("domains.json")).unwrap();
    story.look();
    assert_eq!(
        story.told(),
        "contoso.com, accepted_domains since 2: does not exist"
    );
    story.write("domains.json", DOMAINS);
    assert_eq!(story.told(), "contoso.com");
}

#[test]
fn the_same_content_in_a_newer_file_was_exported_anew() {
    let mut story = Story::new(ACCEPTED);
    let exported_at = |known: Option<Known>| known.unwrap().status.exports[0].exported_at.unwrap();
    for second in [1_764_000_000, 1_764_003_600] {
        story.write("domains.json", DOMAINS);
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(second);
        let file = fs::File::options()
            .write(true)
            .open(story.path("domains.json"));
        file.unwrap().set_modified(time).unwrap();
        assert_eq!(
            exported_at(story.look()).as_second(),
            i64::try_from(second).unwrap()
        );
    }
    let marked = format!(r#"{{"ExportedAt":"2025-01-01T00:00:00Z","value":{DOMAINS}}}"#);
    story.write("domains.json", marked);
    assert_eq!(
        exported_at(story.look()).to_string(),
        "2025-01-01T00:00:00Z"
    );
}

#[test]
fn a_change_that_size_and_time_hide_is_found_in_the_end() {
    let mut story = Story::new(ACCEPTED);
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_764_000_000);
    let write = |story: &Story, content| {
        story.write("domains.json", content);
        let file = fs::File::options()
            .write(true)
            .open(story.path("domains.json"));
        file.unwrap().set_modified(time).unwrap();
    };
    write(&story, DOMAINS);
    story.look();
    write(&story, OTHERS);
    let told: Vec<String> = (0..30).map(|_| story.told()).collect();
    assert!(told.iter().any(|told| told == "adatum.com"), "{told:?}");
}

#[test]
fn another_configuration_keeps_what_it_still_names() {
    let mut story = Story::new(ACCEPTED);
    story.write("domains.json", DOMAINS);
    story.look();
    fs::remove_file(story.path("domains.json")).unwrap();
    let same = configuration(story.folder.path(), ACCEPTED);
    story.files.reconfigure(&same.exports, same.inventory);
    assert_eq!(story.told(), "contoso.com");

    let other = "exports: { accepted_domains: others.json, certificates: certificates.json }\n";
    story.write("certificates.json", CERTIFICATES);
    let other = configuration(story.folder.path(), other);
    story.files.reconfigure(&other.exports, other.inventory);
    assert_eq!(
        story.told(),
        "certificates.json@?, certificates.json@EX01, certificates.json@ex02.contoso.com, certificates.json@ex03, \
         accepted_domains since 3: does not exist"
    );

    let none = configuration(story.folder.path(), "");
    story.files.reconfigure(&none.exports, none.inventory);
    assert_eq!(story.told(), "");
}

#[test]
fn certificate_files_come_and_go() {
    let der = raw_certificate();
    let mut story = Story::new("inventory: ['certs/{server}/*.cer', mail.cer]\n");
    assert_eq!(
        story.told().split(" since").next().unwrap(),
        "inventory",
        "the folder is missing"
    );
    fs::create_dir_all(story.path("certs/EX01/deep")).unwrap();
    story.write("certs/EX01/a.cer", &der);
    story.write("certs/EX01/deep/b.cer", &der);
    story.write("certs/EX01/a.txt", "no certificate");
    story.write("mail.cer", &der);
    assert_eq!(story.told(), "mail.cer@?, a.cer@EX01");
    assert_eq!(story.told(), "-");

    story.write("mail.cer", "no certificate");
    story.look();
    let told = story.told();
    assert!(
        told.starts_with("mail.cer@?, a.cer@EX01, inventory since 4: "),
        "{told}"
    );

    fs::remove_file(story.path("certs/EX01/a.cer")).unwrap();
    story.write("mail.cer", &der);
    assert_eq!(story.told(), "mail.cer@?");
}

#[test]
fn a_certificate_without_bytes_is_left_out_with_a_remark() {
    let mut story = Story::new("exports: { certificates: some.json }\n");
    story.write(
        "some.json",
        include_bytes!("../../../tests/cases/exports/certificates/one-without-raw-data.json"),
    );
    let known = story.look().unwrap();
    assert_eq!(told(&known), "some.json@EX01");
    assert_eq!(known.remarks.len(), 1);
    assert!(known.remarks[0].starts_with("some.json: 1 certificates without RawData"));
}

#[test]
fn a_directory_is_no_export() {
    let mut story = Story::new(ACCEPTED);
    fs::create_dir(story.path("domains.json")).unwrap();
    assert_eq!(
        story.told(),
        "accepted_domains since 1: cannot be read: it is no file"
    );
}

#[test]
fn whoever_looks_once_is_told_of_every_broken_file() {
    let folder = tempfile::tempdir().unwrap();
    let keys =
        "exports: { accepted_domains: a.json, send_connectors: b.json }\ninventory: [c.cer]\n";
    let config = configuration(folder.path(), keys);
    let message = ExpectedFiles::read_once(&config, Timestamp::UNIX_EPOCH).unwrap_err();
    let lines: Vec<&str> = message.lines().collect();
    assert_eq!(lines.len(), 3, "{message}");
    for (line, name) in lines.iter().zip(["a.json", "b.json", "c.cer"]) {
        assert!(line.contains(&format!("{name}: does not exist")), "{line}");
    }
    fs::write(folder.path().join("a.json"), DOMAINS).unwrap();
    fs::write(folder.path().join("b.json"), "[]").unwrap();
    fs::write(folder.path().join("c.cer"), raw_certificate()).unwrap();
    let known = ExpectedFiles::read_once(&config, Timestamp::UNIX_EPOCH).unwrap();
    assert_eq!(told(&known), "contoso.com, c.cer@?");
}

#[test]
fn the_thread_tells_what_it_finds_first_and_what_another_configuration_means() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("domains.json"), DOMAINS).unwrap();
    let (news, mut heard) = tokio::sync::mpsc::channel(MAX_CHANGES);
    let config = configuration(folder.path(), ACCEPTED);
    let follower = Follower::start(ExpectedFiles::new(&config), news).unwrap();
    assert_eq!(told(&heard.blocking_recv().unwrap()), "contoso.com");
    follower.reconfigure(&configuration(folder.path(), ""));
    assert_eq!(told(&heard.blocking_recv().unwrap()), "");
    drop(follower);
    assert!(heard.blocking_recv().is_none(), "the thread has ended");
}

fn raw_certificate() -> Vec<u8> {
    let mut exports = crate::pipeline::export::Exports::default();
    let kind = crate::pipeline::export::Kind::Certificates;
    exports.take(kind, CERTIFICATES).unwrap();
    exports.certificates.unwrap()[0].der.clone().unwrap()
}
