//! The rules of the tree, as data: who may import whom, what the pipeline must not touch, how files are named.
//!
//! Each rule carries a planted sample that breaks it, so no rule can go blind unnoticed.

use std::path::Path;
use std::process::Command;

/// The stages of the pipeline in the order of the data flow. A stage may import itself and what stands before it.
const STAGES: &[&str] = &[
    "shown",
    "saved",
    "outline",
    "lines",
    "record",
    "file",
    "reply",
    "tls",
    "certificate",
    "session",
    "inventory",
    "ledger",
    "export",
    "expectation",
    "verdict",
    "preflight",
    "alert",
    "outbox",
    "snapshot",
    "health",
    "engine",
];

/// Which room may import from which other rooms (and always from itself). `main.rs` and `lib.rs` are rooms here.
const ROOMS: &[(&str, &[&str])] = &[
    ("lib", &[]),
    ("main", &["cli"]),
    ("pipeline", &[]),
    ("render", &["pipeline"]),
    ("config", &["pipeline"]),
    ("daemon", &["pipeline", "render", "config", "cli"]),
    ("cli", &["pipeline", "render", "config", "daemon"]),
];

/// What the pipeline must not name: it is a function of its input and of the `now` that it is given.
const IMPURE: &[&str] = &[
    // A group right behind `std::` could hide any of the others.
    "std::{",
    "std::env",
    "std::fs",
    "std::io",
    "std::process",
    "std::thread",
    "std::os",
    "TcpListener",
    "TcpStream",
    "UdpSocket",
    "ToSocketAddrs",
    "SystemTime",
    "Instant",
    "Timestamp::now",
    "Zoned::now",
    "async",
    "await",
    "axum",
    "rand",
    "reqwest",
    "tokio",
    "tracing",
    "print",
    "println",
    "eprint",
    "eprintln",
    "dbg",
];

/// The visible folders at the top of the repository.
const TOP_FOLDERS: &[&str] = &["src", "deploy", "config", "tests", "systemd"];

/// Names that say nothing about what lives in the room.
const NOUNLESS: &[&str] = &["utils", "util", "helpers", "common", "manager", "handler"];

/// Paths of somebody's machine. Put together here so that this file does not break its own rule.
const MACHINE_PATHS: &[&str] = &[
    concat!("../", "shared"),
    concat!("/work/", "shared"),
    concat!("/work/", "wt"),
    concat!("/work/", "main"),
    concat!("/ro", "ot/"),
    concat!("/ho", "me/"),
];

/// What one holds in mind.
const MAX_LINES: usize = 600;

struct Rule {
    name: &'static str,
    check: fn(&[File]) -> Vec<String>,
    /// Samples, path and text, that each break the rule alone.
    broken: &'static [(&'static str, &'static str)],
    /// Samples that look alike and are fine.
    fine: &'static [(&'static str, &'static str)],
}

const RULES: &[Rule] = &[
    Rule {
        name: "rooms import only what the matrix allows",
        check: imports_of_rooms,
        broken: &[
            ("src/render/page.rs", "use crate::daemon::clock::Clock;\n"),
            ("src/config.rs", "fn f() { crate::cli::check::run(); }\n"),
            ("src/pipeline/verdict.rs", "use crate::config::Expected;\n"),
            ("src/pipeline/verdict.rs", "use crate::{config, render};\n"),
            ("src/daemon/tail.rs", "use crate::{pipeline, render};\n"),
            ("src/daemon/tail.rs", "use crate::*;\n"),
            ("src/attic/tail.rs", "use crate::pipeline::lines::Lines;\n"),
            ("src/main.rs", "fn main() { certdrift::daemon::run(); }\n"),
            ("src/main.rs", "use certdrift::{cli, daemon};\n"),
            ("src/lib.rs", "pub use crate::cli::main;\n"),
        ],
        fine: &[
            ("src/main.rs", "fn main() { certdrift::cli::main(); }\n"),
            (
                "src/render/page.rs",
                "use crate::pipeline::snapshot::Snapshot;\nuse crate::render::text::escape;\n",
            ),
            (
                "src/config.rs",
                "// like crate::daemon\nconst A: &str = \"crate::daemon\";\n",
            ),
            (
                "src/cli/run.rs",
                "use crate::daemon::{clock::Clock, run};\n",
            ),
        ],
    },
    Rule {
        name: "the pipeline flows one way",
        check: imports_of_stages,
        broken: &[
            (
                "src/pipeline/record.rs",
                "use crate::pipeline::session::Session;\n",
            ),
            (
                "src/pipeline/certificate/dn.rs",
                "use crate::pipeline::verdict::Reason;\n",
            ),
            (
                "src/pipeline/record.rs",
                "use crate::pipeline::{lines, session};\n",
            ),
            ("src/pipeline/record.rs", "use crate::pipeline;\n"),
            ("src/pipeline/record.rs", "use crate::pipeline::*;\n"),
            (
                "src/pipeline/record.rs",
                "use crate::pipeline::surprise::Thing;\n",
            ),
            ("src/pipeline/surprise.rs", "pub struct Thing;\n"),
        ],
        fine: &[
            (
                "src/pipeline/session.rs",
                "use crate::pipeline::record::{Event, Record};\n",
            ),
            (
                "src/pipeline/certificate.rs",
                "use crate::pipeline::certificate::dn::cut;\n",
            ),
            (
                "src/pipeline/expectation.rs",
                "use crate::pipeline::certificate::Thumbprint;\n",
            ),
            (
                "src/pipeline/record.rs",
                "fn f() {}\n\n#[cfg(test)]\nmod tests {\n    use crate::pipeline::session::Session;\n}\n",
            ),
        ],
    },
    Rule {
        name: "imports are written in full",
        check: relative_imports,
        broken: &[("src/pipeline/record.rs", "use super::lines::Lines;\n")],
        fine: &[
            (
                "src/pipeline/record.rs",
                "#[cfg(test)]\nmod tests {\n    use super::*;\n}\n",
            ),
            ("src/pipeline/record/tests.rs", "use super::*;\n"),
        ],
    },
    Rule {
        name: "tests stand last in a file",
        check: code_behind_tests,
        broken: &[(
            "src/cli.rs",
            "#[cfg(test)]\nmod tests {\n}\n\npub fn main() {}\n",
        )],
        fine: &[(
            "src/cli.rs",
            "pub fn main() {}\n\n#[cfg(test)]\nmod tests {\n    fn f() {}\n}\n",
        )],
    },
    Rule {
        name: "the pipeline is pure",
        check: impurities,
        broken: &[
            ("src/pipeline/engine.rs", "use std::fs::File;\n"),
            ("src/pipeline/engine.rs", "use std::{fmt, io};\n"),
            (
                "src/pipeline/engine.rs",
                "use std::net::{IpAddr, TcpStream};\n",
            ),
            (
                "src/pipeline/engine.rs",
                "use std::time::{Duration, Instant};\n",
            ),
            (
                "src/pipeline/engine.rs",
                "fn f() { jiff::Timestamp::now(); }\n",
            ),
            ("src/pipeline/engine.rs", "fn f() { println!(\"seen\"); }\n"),
            ("src/pipeline.rs", "async fn f() {}\n"),
        ],
        fine: &[
            (
                "src/pipeline/engine.rs",
                "use std::net::IpAddr;\nuse std::time::Duration;\n",
            ),
            (
                "src/pipeline/engine.rs",
                "/// Like tokio, std::fs and an Instant.\nfn operands() {}\n",
            ),
            (
                "src/pipeline/engine.rs",
                "const HELLO: &[u8] = b\"std::fs \\\" tokio\";\n",
            ),
            ("src/daemon/clock.rs", "use std::time::Instant;\n"),
        ],
    },
    Rule {
        name: "lints are expected with a reason, never allowed",
        check: allowed_lints,
        broken: &[
            ("src/cli.rs", "#[allow(dead_code)]\nfn f() {}\n"),
            ("tests/suite/main.rs", "#![allow(clippy::panic)]\n"),
        ],
        fine: &[(
            "src/cli.rs",
            "#[expect(dead_code, reason = \"soon\")]\nfn f() {}\n",
        )],
    },
    Rule {
        name: "modules are foo.rs and foo/, named by a noun",
        check: file_names,
        broken: &[
            ("src/pipeline/mod.rs", ""),
            ("src/daemon/utils.rs", ""),
            ("src/common/lines.rs", ""),
        ],
        fine: &[
            ("src/pipeline.rs", ""),
            ("tests/cases/common/expected.json", ""),
        ],
    },
    Rule {
        name: "files can be held in mind",
        check: long_files,
        broken: &[("src/pipeline/engine.rs", LONG_SAMPLE)],
        fine: &[
            ("src/pipeline/engine.rs", "//! Short.\n"),
            ("Cargo.lock", LONG_SAMPLE),
        ],
    },
    Rule {
        name: "the top level shows the known folders only",
        check: top_folders,
        broken: &[("scripts/build.sh", ""), ("docs/guide.md", "")],
        fine: &[("src/lib.rs", ""), (".ci/run", ""), ("README.md", "")],
    },
    Rule {
        name: "nothing refers to somebody's machine",
        check: machine_paths,
        broken: &[("README.md", concat!("See ../", "shared/design.md\n"))],
        fine: &[("README.md", "Shared notes; work is done.\n")],
    },
    Rule {
        name: "no script hangs up on a program that it asked",
        check: hung_up,
        broken: &[
            (
                "tests/e2e/web",
                "#!/usr/bin/env bash\nset -euo pipefail\ncurl -s \"$url\" | grep -qF up\n",
            ),
            (
                "tests/release/deb",
                "#!/usr/bin/env bash\nset -euo pipefail\njournalctl | grep -i --quiet up\n",
            ),
            (
                "deploy/release/assemble",
                "#!/usr/bin/env bash\nset -euo pipefail\nfirst=$(git log | head -n 1)\n",
            ),
        ],
        fine: &[
            (
                "tests/e2e/web",
                "#!/usr/bin/env bash\nset -euo pipefail\ngrep -qF up <<<\"$(curl -s \"$url\")\"\n",
            ),
            (
                "tests/e2e/web",
                "#!/usr/bin/env bash\nset -euo pipefail\nps | grep -c queue || grep -q up file\n",
            ),
            (
                "deploy/runbook.md",
                "`set -o pipefail`, then `curl | grep -q up`\n",
            ),
        ],
    },
];

/// 601 lines.
const LONG_SAMPLE: &str = {
    const LINES: [u8; MAX_LINES + 1] = [b'\n'; MAX_LINES + 1];
    match str::from_utf8(&LINES) {
        Ok(text) => text,
        Err(_) => "",
    }
};

#[test]
fn the_tree_is_tidy() {
    let tree = tracked_files();
    let complaints: Vec<String> = RULES
        .iter()
        .flat_map(|rule| {
            (rule.check)(&tree)
                .into_iter()
                .map(|complaint| format!("{}: {complaint}", rule.name))
        })
        .collect();
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

#[test]
fn every_rule_can_fail() {
    for rule in RULES {
        assert!(!rule.broken.is_empty(), "{}: no sample", rule.name);
        for sample in rule.broken {
            let found = (rule.check)(&[File::planted(sample)]);
            assert!(!found.is_empty(), "{}: missed in {sample:?}", rule.name);
        }
    }
}

#[test]
fn no_rule_cries_wolf() {
    for rule in RULES {
        for sample in rule.fine {
            let found = (rule.check)(&[File::planted(sample)]);
            assert!(found.is_empty(), "{}: {found:?}", rule.name);
        }
    }
}

/// A tracked file; `text` is empty for a file that is not text.
struct File {
    path: String,
    text: String,
}

impl File {
    fn planted((path, text): &(&str, &str)) -> Self {
        Self {
            path: (*path).to_owned(),
            text: (*text).to_owned(),
        }
    }

    fn is_rust(&self) -> bool {
        Path::new(&self.path)
            .extension()
            .is_some_and(|extension| extension == "rs")
    }

    /// The path below `src` without `.rs`, cut at the slashes; `None` outside.
    fn module(&self) -> Option<Vec<&str>> {
        let path = self.path.strip_prefix("src/")?.strip_suffix(".rs")?;
        Some(path.split('/').collect())
    }

    fn is_test_module(&self) -> bool {
        self.module()
            .is_some_and(|module| module.contains(&"tests"))
    }

    /// The code that ships: comments and literals blanked out, the tests at the end cut off.
    fn shipped_code(&self) -> String {
        if self.is_test_module() {
            return String::new();
        }
        let mut code = without_comments_and_literals(&self.text);
        if let Some(start) = tests_start(&code) {
            code.truncate(start);
        }
        code
    }
}

fn imports_of_rooms(tree: &[File]) -> Vec<String> {
    let mut complaints = Vec::new();
    for file in tree {
        let Some(module) = file.module() else {
            continue;
        };
        let room = module[0];
        let code = file.shipped_code();
        let mut roots = imports(&code, "crate::");
        roots.extend(
            imports(&code, "certdrift::")
                .into_iter()
                .filter(|_| room == "main"),
        );
        let Some((_, may_use)) = ROOMS.iter().find(|(name, _)| *name == room) else {
            complaints.push(format!("{}: the matrix has no room `{room}`", file.path));
            continue;
        };
        for import in roots {
            let target = import.first().map_or("", String::as_str);
            if target != room && !may_use.contains(&target) {
                complaints.push(format!(
                    "{}: {} from `{room}`",
                    file.path,
                    import.join("::")
                ));
            }
        }
    }
    complaints
}

fn imports_of_stages(tree: &[File]) -> Vec<String> {
    let position = |stage: &str| STAGES.iter().position(|known| *known == stage);
    let mut complaints = Vec::new();
    for file in tree {
        let module = file.module().unwrap_or_default();
        let ["pipeline", stage, ..] = module[..] else {
            continue;
        };
        let Some(here) = position(stage) else {
            complaints.push(format!(
                "{}: `{stage}` has no place in the order",
                file.path
            ));
            continue;
        };
        for import in imports(&file.shipped_code(), "crate::pipeline") {
            let target = import.first().map_or("", String::as_str);
            if position(target).is_none_or(|there| there > here) {
                complaints.push(format!(
                    "{}: pipeline::{} from `{stage}`",
                    file.path,
                    import.join("::")
                ));
            }
        }
    }
    complaints
}

fn relative_imports(tree: &[File]) -> Vec<String> {
    shipped(tree)
        // `pub(super)` is a visibility, not a path.
        .filter(|(_, code)| has_word(&code.replace("pub(super)", "pub"), "super"))
        .map(|(file, _)| format!("{}: `super::`; write `crate::…` in full", file.path))
        .collect()
}

fn code_behind_tests(tree: &[File]) -> Vec<String> {
    let item = |line: &&str| {
        let first = line.split([' ', '!', '(']).next().unwrap_or_default();
        [
            "pub", "fn", "impl", "struct", "enum", "const", "static", "use", "type", "trait",
        ]
        .contains(&first)
    };
    tree.iter()
        .filter(|file| file.module().is_some())
        .filter_map(|file| {
            let code = without_comments_and_literals(&file.text);
            let late = code[tests_start(&code)?..].lines().find(item)?.to_owned();
            Some(format!("{}: `{late}` stands behind the tests", file.path))
        })
        .collect()
}

fn impurities(tree: &[File]) -> Vec<String> {
    let mut complaints = Vec::new();
    for (file, code) in shipped(tree) {
        if file.module().is_none_or(|module| module[0] != "pipeline") {
            continue;
        }
        let found = IMPURE.iter().filter(|word| has_word(&code, word));
        complaints.extend(found.map(|word| format!("{}: `{word}`", file.path)));
    }
    complaints
}

fn allowed_lints(tree: &[File]) -> Vec<String> {
    tree.iter()
        .filter(|file| file.is_rust())
        .filter(|file| {
            let code = without_comments_and_literals(&file.text);
            code.contains("#[allow(") || code.contains("#![allow(")
        })
        .map(|file| {
            format!(
                "{}: `#[allow(…)]`; use `#[expect(…, reason = …)]`",
                file.path
            )
        })
        .collect()
}

fn file_names(tree: &[File]) -> Vec<String> {
    tree.iter()
        .filter_map(|file| {
            let module = file.module()?;
            let name = module
                .iter()
                .find(|name| **name == "mod" || NOUNLESS.contains(name))?;
            Some(format!("{}: `{name}`", file.path))
        })
        .collect()
}

fn long_files(tree: &[File]) -> Vec<String> {
    tree.iter()
        .filter(|file| file.module().is_some())
        .map(|file| (file, file.text.lines().count()))
        .filter(|(_, lines)| *lines > MAX_LINES)
        .map(|(file, lines)| format!("{}: {lines} lines, at most {MAX_LINES}", file.path))
        .collect()
}

fn top_folders(tree: &[File]) -> Vec<String> {
    tree.iter()
        .filter_map(|file| {
            let (folder, _) = file.path.split_once('/')?;
            let known = folder.starts_with('.') || TOP_FOLDERS.contains(&folder);
            (!known).then(|| format!("{}: top-level folder `{folder}`", file.path))
        })
        .collect()
}

fn machine_paths(tree: &[File]) -> Vec<String> {
    let mut complaints = Vec::new();
    for file in tree {
        let found = MACHINE_PATHS
            .iter()
            .filter(|path| file.text.contains(**path));
        complaints.extend(found.map(|path| format!("{}: `{path}`", file.path)));
    }
    complaints
}

/// `curl … | grep -q …` fails by chance where `pipefail` is set: grep leaves at the first hit, and curl, which still
/// writes, ends with an error. The answer is taken whole first: `grep -q … <<<"$(curl …)"`.
fn hung_up(tree: &[File]) -> Vec<String> {
    let scripts = tree
        .iter()
        .filter(|file| file.text.starts_with("#!") && file.text.contains("pipefail"));
    let mut complaints = Vec::new();
    for file in scripts {
        let hanging_up = file.text.lines().enumerate().filter(|(_, line)| {
            line.replace("||", ";")
                .split(';')
                .flat_map(|pipeline| pipeline.split('|').skip(1))
                .any(leaves_early)
        });
        complaints.extend(hanging_up.map(|(at, line)| format!("{}:{}: {line}", file.path, at + 1)));
    }
    complaints
}

/// Whether a command may end before it has read everything.
fn leaves_early(command: &str) -> bool {
    let mut words = command.split_whitespace();
    match words.next() {
        Some("head") => true,
        Some("grep") => words.any(is_quiet),
        _ => false,
    }
}

/// Whether an option of grep's is `--quiet`, also as `-q` among other letters.
fn is_quiet(option: &str) -> bool {
    match option.strip_prefix('-') {
        Some(long) if long.starts_with('-') => matches!(long, "-quiet" | "-silent"),
        Some(letters) => letters.contains('q'),
        None => false,
    }
}

/// The modules below `src` with the code that they ship.
fn shipped(tree: &[File]) -> impl Iterator<Item = (&File, String)> {
    tree.iter()
        .filter(|file| file.module().is_some())
        .map(|file| (file, file.shipped_code()))
}

/// The path behind each `root`, cut at `::`. A group or a glob right behind it ends the path: `["{"]`, which no list allows.
fn imports(code: &str, root: &str) -> Vec<Vec<String>> {
    let starts = code.match_indices(root).map(|(at, _)| at);
    starts
        .filter(|at| !code[..*at].ends_with(is_word_part))
        .map(|at| {
            let behind = &code[at + root.len()..];
            let end = behind
                .find(|c| !is_word_part(c) && c != ':')
                .unwrap_or(behind.len());
            let mut path: Vec<String> = behind[..end]
                .split("::")
                .filter(|part| !part.is_empty())
                .map(str::to_owned)
                .collect();
            if path.is_empty() {
                path.extend(behind[end..].chars().next().map(String::from));
            }
            path
        })
        .collect()
}

fn has_word(code: &str, word: &str) -> bool {
    code.match_indices(word).any(|(at, _)| {
        let before = code[..at].ends_with(is_word_part);
        let after =
            word.ends_with(is_word_part) && code[at + word.len()..].starts_with(is_word_part);
        !before && !after
    })
}

fn is_word_part(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Where the test modules at the end begin.
fn tests_start(code: &str) -> Option<usize> {
    code.match_indices("#[cfg(test)]")
        .map(|(at, _)| at)
        .find(|at| code[..*at].is_empty() || code[..*at].ends_with('\n'))
}

/// The source with comments and the insides of literals turned into blanks; every line keeps its place.
fn without_comments_and_literals(source: &str) -> String {
    let mut code = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(first) = rest.chars().next() {
        let length = comment_or_literal(rest, &code);
        if length == 0 {
            code.push(first);
            rest = &rest[first.len_utf8()..];
        } else {
            let (skipped, behind) = rest.split_at(length);
            code.extend(skipped.chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
            rest = behind;
        }
    }
    code
}

/// Length of the comment or literal at the start of `rest`, 0 if there is none.
fn comment_or_literal(rest: &str, before: &str) -> usize {
    let through = |end: &str, from: usize| {
        rest[from..]
            .find(end)
            .map_or(rest.len(), |at| from + at + end.len())
    };
    if rest.starts_with("//") {
        return rest.find('\n').unwrap_or(rest.len());
    }
    if rest.starts_with("/*") {
        return through("*/", 2);
    }
    if rest.starts_with('"') {
        return escaped_end(rest, '"');
    }
    if !before.ends_with(is_word_part) || before.ends_with('b') || before.ends_with('c') {
        let hashes = rest.strip_prefix('r').map_or("", |raw| {
            &raw[..raw.len() - raw.trim_start_matches('#').len()]
        });
        let opening = 1 + hashes.len();
        if rest.starts_with('r') && rest[opening..].starts_with('"') {
            return through(&format!("\"{hashes}"), opening + 1);
        }
    }
    // A lifetime has no closing quote behind its first character.
    let mut quoted = rest.strip_prefix('\'').unwrap_or_default().chars();
    match (quoted.next(), quoted.next()) {
        (Some('\\'), _) => escaped_end(rest, '\''),
        (Some(inside), Some('\'')) => 2 + inside.len_utf8(),
        _ => 0,
    }
}

/// Length of a literal that `quote` opens and closes and `\` escapes.
fn escaped_end(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if c == quote => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

/// What git tracks or would track, so that the rules hold before a commit too.
#[expect(clippy::expect_used, reason = "a test may panic")]
fn tracked_files() -> Vec<File> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    // A clone that belongs to another user is still ours to read.
    let listing = Command::new("git")
        .args([
            "-c",
            "safe.directory=*",
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ])
        .current_dir(root)
        .output()
        .expect("git runs");
    assert!(
        listing.status.success(),
        "{}",
        String::from_utf8_lossy(&listing.stderr)
    );
    let paths = String::from_utf8(listing.stdout).expect("paths are UTF-8");
    let files: Vec<File> = paths
        .split_terminator('\0')
        .filter_map(|path| {
            let bytes = std::fs::read(root.join(path)).ok()?;
            let text = String::from_utf8(bytes).unwrap_or_default();
            Some(File {
                path: path.to_owned(),
                text,
            })
        })
        .collect();
    assert!(
        files.iter().any(|file| file.path == "src/lib.rs"),
        "git lists this tree"
    );
    files
}
