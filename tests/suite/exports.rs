//! Exports as they are found in the wild: what stands in `tests/cases/exports/KIND/NAME.json` is read as the file
//! `NAME.txt` beside it says, one line per object, or refused with that message.

use std::fmt::Debug;
use std::fs;
use std::path::{Path, PathBuf};

use certdrift::pipeline::export::{Exports, Kind};

#[test]
fn every_export_is_read_or_refused_as_the_file_beside_it_says() {
    let mut differences = Vec::new();
    for kind in Kind::ALL {
        let cases = cases(kind);
        assert!(cases.len() >= 8, "{}: {} cases", kind.as_str(), cases.len());
        for case in cases {
            let expected = fs::read_to_string(case.with_extension("txt")).unwrap_or_default();
            let actual = outcome(kind, &fs::read(&case).unwrap());
            let is_broken = actual.starts_with("refused: ");
            let name = case.file_stem().unwrap().to_string_lossy();
            if actual != expected || is_broken != name.starts_with("broken-") {
                let case = case.display();
                differences.push(format!(
                    "--- {case}\nexpected:\n{expected}actual:\n{actual}"
                ));
            }
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

fn cases(kind: Kind) -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/exports");
    let files = fs::read_dir(root.join(kind.as_str())).unwrap();
    let files = files.map(|entry| entry.unwrap().path());
    let mut cases: Vec<PathBuf> = files
        .filter(|path| path.extension().is_some_and(|end| end == "json"))
        .collect();
    cases.sort();
    cases
}

fn outcome(kind: Kind, bytes: &[u8]) -> String {
    let mut exports = Exports::default();
    let exported_at = match exports.take(kind, bytes) {
        Ok(exported_at) => exported_at,
        Err(problem) => return format!("refused: {problem}\n"),
    };
    let certificates = exports.certificates.map(|certificates| {
        let line = |certificate: &certdrift::pipeline::export::certificates::RawCertificate| {
            let length = certificate.der.as_ref().map_or(0, Vec::len);
            let server = &certificate.server;
            format!("{length} bytes, server {server:?}")
        };
        certificates.iter().map(line).collect::<Vec<_>>()
    });
    let mut text: String = [
        lines(exports.inbound_connectors),
        lines(exports.accepted_domains),
        lines(exports.send_connectors),
        lines(certificates),
    ]
    .concat();
    if let Some(time) = exported_at {
        text += "exported at ";
        text += &time.to_string();
        text.push('\n');
    }
    text
}

fn lines<T: Debug>(objects: Option<Vec<T>>) -> String {
    let objects = objects.into_iter().flatten();
    let lines = objects.map(|object| format!("{object:?}"));
    lines.flat_map(|line| [line, "\n".to_owned()]).collect()
}
