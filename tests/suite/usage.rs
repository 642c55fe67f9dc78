//! Command lines that make no sense: what is said of them, and that it says what to type instead.

use std::process::Command;

#[test]
fn what_makes_no_sense_is_told_with_what_does() {
    for (arguments, code, says) in [
        (
            &["run", "--web.external-url=foo"][..],
            2,
            &[
                "foo",
                "is no address",
                "https://certdrift.contoso.com:10056/",
            ][..],
        ),
        (
            &["--web.external-url", "ftp://ex01/"],
            2,
            &["begins with neither https:// nor http://"],
        ),
        (
            &[
                "notify",
                "test",
                "--receiver=oncall",
                "--web.external-url=/x",
            ],
            2,
            &["is no address", "https://certdrift.contoso.com:10056/"],
        ),
        (
            &["check", "--at=2026-11-23", "."],
            3,
            &["'2026-11-23'", "such as 2026-11-23T12:00:00Z"],
        ),
        (
            &["preflight", "--at=2026-11-23", "x.cer"],
            3,
            &["'2026-11-23'", "such as 2026-11-23T12:00:00Z"],
        ),
        (
            &["notify", "replay"],
            2,
            &[
                "<NUMBER|--all>",
                "replay [OPTIONS] --all [--receiver <NAME>]",
            ],
        ),
        (
            &["notify", "drop"],
            2,
            &[
                "<NUMBER|--all-dead>",
                "drop [OPTIONS] --all-dead [--receiver <NAME>]",
            ],
        ),
        (
            &["notify", "drop", "--all-dead", "7"],
            2,
            &["cannot be used with"],
        ),
        (
            &["notify", "replay", "--receiver=oncall", "7"],
            2,
            &["cannot be used with"],
        ),
        (&["notify", "replay", "--receiver=oncall"], 2, &["--all"]),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_certdrift"))
            .args(arguments)
            .output()
            .unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
        for expected in says {
            assert!(said.contains(expected), "{arguments:?}: {said}");
        }
    }
}
