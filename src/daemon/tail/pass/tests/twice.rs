//! One directory, found by several paths.

#![cfg(unix)]

use std::os::unix::fs::symlink;

use super::*;

/// Two sources, of which the second finds the directory of the first by a link.
struct Pair {
    first: Bench,
    second: Bench,
}

impl Pair {
    fn new() -> Self {
        let first = Bench::new("logs", "all");
        first.append("logs/SEND2026010100-1.LOG", &row(1));
        let link = first.path("link");
        symlink(first.path("logs"), &link).unwrap();
        let second = Bench::new(link.to_str().unwrap(), "all");
        let mut pair = Self { first, second };
        pair.meet();
        pair
    }

    /// They learn of each other, as at a start.
    fn meet(&mut self) {
        let places = Arc::new(Places::default());
        let at = if self.first.at.instant > self.second.at.instant {
            self.first.at
        } else {
            self.second.at
        };
        (self.first.at, self.second.at) = (at, at);
        for (number, bench) in [(1, &mut self.first), (2, &mut self.second)] {
            places.add(number, bench.at.instant);
            bench.pass.share(number, Arc::clone(&places));
        }
    }
}

#[test]
fn a_directory_that_is_found_twice_is_read_once() {
    let mut pair = Pair::new();
    let seen = pair.second.look(0);
    assert_eq!((seen.text(), seen.look), (String::new(), None), "it waits");
    assert_eq!(pair.first.look(0).text(), row(1));
    for round in 2..5 {
        let seen = pair.second.look(2);
        assert_eq!(seen.text(), "");
        let trouble = seen.trouble().unwrap();
        let path = |name: &str| pair.first.folder.path().join(name).display().to_string();
        let begin = format!("{}: the same directory as {}", path("link"), path("logs"));
        assert!(trouble.starts_with(&begin), "{trouble}");
        // Whoever looks first after a start, it is the same path that is read.
        let name = "logs/SEND2026010100-1.LOG";
        pair.first.append(name, &row(round));
        for bench in [&mut pair.first, &mut pair.second] {
            bench.restart();
        }
        pair.meet();
        assert_eq!(pair.second.look(2).text(), "");
        assert_eq!(pair.first.look(2).text(), row(round));
    }
}

#[test]
fn the_path_that_was_read_before_stays_the_one() {
    let mut pair = Pair::new();
    // As if the second one had been there alone.
    pair.second.pass.share(2, Arc::default());
    assert_eq!(pair.second.look(0).text(), row(1));
    pair.second.restart();
    pair.meet();
    assert_eq!(pair.first.look(2).text(), "");
    assert_eq!(pair.second.look(2).text(), "");
    let seen = pair.first.look(2);
    assert!(seen.text().is_empty() && seen.trouble().unwrap().contains("It is read as "));
    pair.first.append("logs/SEND2026010100-1.LOG", &row(2));
    assert_eq!(pair.first.look(2).text(), "");
    assert_eq!(pair.second.look(2).text(), row(2));
}

#[test]
fn a_directory_that_becomes_another_one_rests() {
    let mut pair = Pair::new();
    fs::remove_file(pair.first.path("link")).unwrap();
    pair.first.append("link/SEND2026010100-1.LOG", &row(8));
    assert_eq!(pair.second.look(0).text(), "");
    assert_eq!(pair.first.look(0).text(), row(1));
    assert_eq!(pair.second.look(0).text(), row(8));
    fs::rename(pair.first.path("link"), pair.first.path("aside")).unwrap();
    symlink(pair.first.path("logs"), pair.first.path("link")).unwrap();
    for _ in 0..400 {
        let seen = pair.second.look(60);
        assert_eq!(seen.text(), "");
        assert_eq!(seen.losses, []);
    }
    assert_eq!(pair.first.look(2).text(), "");
    fs::remove_file(pair.first.path("link")).unwrap();
    fs::rename(pair.first.path("aside"), pair.first.path("link")).unwrap();
    pair.first.append("link/SEND2026010100-1.LOG", &row(9));
    let seen = pair.second.look(2);
    assert_eq!((seen.text(), seen.trouble()), (row(9), None));
}
