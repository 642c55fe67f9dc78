//! `certdrift preflight` with real certificates, those of `tests/preflight`.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// How a run ended and what it printed.
struct Answer {
    output: String,
    errors: String,
    exit_code: i32,
}

/// A month after the certificates begin.
const AT: &str = "2026-02-01T00:00:00Z";

#[test]
fn each_certificate_gets_its_verdict() {
    for (file, at, exit_code, verdict, warnings) in [
        ("renewed.pem", AT, 0, "match", &[][..]),
        ("renewed.b64", AT, 0, "match", &[]),
        ("chain.pem", AT, 0, "match", &[]),
        (
            "other-issuer.pem",
            AT,
            1,
            "match",
            &["tls_certificate_name_differs"],
        ),
        (
            "without-name.pem",
            AT,
            1,
            "match",
            &["tls_certificate_name_differs"],
        ),
        ("client-only.pem", AT, 1, "fragile", &["eku_no_server_auth"]),
        ("weak.pem", AT, 1, "match", &["weak_key", "weak_signature"]),
        (
            "wildcard.cer",
            AT,
            1,
            "fragile",
            &["tls_certificate_name_differs", "wildcard_certificate"],
        ),
        (
            "other-name.pem",
            AT,
            2,
            "mismatch",
            &["name_mismatch", "tls_certificate_name_differs"],
        ),
        (
            "self-signed.pem",
            AT,
            2,
            "mismatch",
            &["self_signed", "tls_certificate_name_differs"],
        ),
        (
            "renewed.pem",
            "2026-07-01T00:00:01Z",
            2,
            "mismatch",
            &["expired"],
        ),
        (
            "renewed.pem",
            "2025-12-31T23:59:59Z",
            2,
            "mismatch",
            &["not_yet_valid"],
        ),
    ] {
        let answer = preflight(&["--format=json", "--at", at, file]);
        assert_eq!(answer.exit_code, exit_code, "{file}: {}", answer.errors);
        let document: Value = serde_json::from_str(&answer.output).expect("JSON");
        let certificates = document["certificates"].as_array().expect("a list");
        assert_eq!(certificates.len(), 1, "{file}");
        let certificate = &certificates[0];
        assert_eq!(certificate["file"], file);
        assert_eq!(
            certificate["verdicts"][0]["connector"],
            "Outbound to Office 365*"
        );
        assert_eq!(
            certificate["verdicts"][0]["verdict"], verdict,
            "{file} at {at}"
        );
        let lists = [
            &certificate["reasons"],
            &certificate["verdicts"][0]["reasons"],
        ];
        let reasons = || {
            lists
                .into_iter()
                .flat_map(|list| list.as_array().expect("a list"))
        };
        let mut found: Vec<&str> = reasons()
            .filter(|reason| reason["severity"] != "information")
            .map(|reason| reason["code"].as_str().expect("a code"))
            .collect();
        found.sort_unstable();
        assert_eq!(found, warnings, "{file} at {at}");
        for reason in reasons().filter(|reason| reason["severity"] != "information") {
            for key in ["expected", "observed", "message", "action"] {
                assert_ne!(reason[key], "", "{file}: {key} of {}", reason["code"]);
            }
        }
    }
}

#[test]
fn the_facts_of_a_certificate_are_shown() {
    let answer = preflight(&["--format=json", "--at", AT, "chain.pem"]);
    let document: Value = serde_json::from_str(&answer.output).expect("JSON");
    let certificate = &document["certificates"][0];
    for (key, value) in [
        ("subject", "CN=mail.contoso.com, O=Contoso, C=US"),
        ("issuer", "CN=Fabrikam TLS Issuing CA 2, O=Fabrikam, C=US"),
        ("not_before", "2026-01-01T00:00:00Z"),
        ("not_after", "2026-07-01T00:00:00Z"),
        ("key_algorithm", "RSA 2048"),
        ("signature_algorithm", "SHA-256 with RSA"),
    ] {
        assert_eq!(certificate[key], value, "{key}");
    }
    assert_eq!(certificate["lifetime_days"], 181);
    let names = serde_json::json!(["mail.contoso.com", "autodiscover.contoso.com"]);
    assert_eq!(certificate["names"], names);
    let purposes = serde_json::json!({ "server_auth": true, "client_auth": true });
    assert_eq!(certificate["extended_key_usage"], purposes);
    for (key, length) in [("thumbprint", 40), ("sha256", 64)] {
        let text = certificate[key].as_str().unwrap_or_default();
        assert_eq!(text.len(), length, "{key}");
    }
    let issuers: Vec<&Value> = document["issuers"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|issuer| &issuer["subject"])
        .collect();
    assert_eq!(
        issuers,
        [
            "CN=Fabrikam TLS Issuing CA 2, O=Fabrikam, C=US",
            "CN=Fabrikam Root CA, O=Fabrikam, C=US"
        ]
    );

    let text = preflight(&["--at", AT, "weak.pem", "wildcard.cer", "without-name.pem"]).output;
    for line in [
        "weak.pem:",
        "  Subject    CN=mail.contoso.com, O=Contoso, C=US",
        "  Names      mail.contoso.com, autodiscover.contoso.com",
        "  Valid      2026-01-01T00:00:00Z to 2026-07-01T00:00:00Z (181 days, 150 left)",
        "  Key        RSA 1024, signed SHA-1 with RSA",
        "  Purposes   serverAuth, clientAuth",
        "  Purposes   every",
        "  If presented on Outbound to Office 365*: FRAGILE, it may be recognised, but Microsoft does not promise it",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}:\n{text}");
    }
}

/// Nothing has happened yet, so nothing may read as if it had; and what is to be done is said once.
#[test]
fn what_would_be_is_not_told_as_if_it_were() {
    for file in [
        "other-name.pem",
        "self-signed.pem",
        "client-only.pem",
        "wildcard.cer",
        "renewed.pem",
    ] {
        // Long after their end, so that they have that against them, too.
        for at in [AT, "2027-01-01T00:00:00Z"] {
            let text = preflight(&["--at", at, file]).output;
            for word in [
                "no longer recognises",
                "mail bounces with",
                "resented certificate",
                "on ''",
            ] {
                assert!(!text.contains(word), "{file}: {word}: {text}");
            }
            let commands = text
                .lines()
                .filter(|line| line.contains("Get-ExchangeCertificate |"));
            assert!(commands.count() <= 1, "{file}: {text}");
        }
    }
    let text = preflight(&["--at", AT, "other-name.pem"]).output;
    assert!(
        text.contains("MISMATCH, do not put it to use as things are\n"),
        "{text}"
    );
    assert!(text.contains("expected mail.contoso.com, found owa.contoso.com. Exchange Online would no longer recognise"));
}

#[test]
fn the_worst_of_several_certificates_decides() {
    for (files, exit_code) in [
        (&["renewed.pem", "other-issuer.pem"][..], 1),
        (&["other-name.pem", "wildcard.cer", "renewed.pem"], 2),
    ] {
        let mut arguments = vec!["--at", AT];
        arguments.extend(files);
        let answer = preflight(&arguments);
        assert_eq!(answer.exit_code, exit_code, "{files:?}");
        let heads = files
            .iter()
            .filter(|file| answer.output.contains(&format!("{file}:\n")));
        assert_eq!(heads.count(), files.len(), "{}", answer.output);
    }
}

/// A key is refused wherever it stands, nothing of it is repeated, and what stands beside it is not judged.
#[test]
fn a_private_key_is_refused() {
    let certificate = read("renewed.pem");
    // Made up: no key has this content.
    let key = |label: &str| {
        format!(
            "-----BEGIN {label}-----\nMIIEvQIBADANBgkqSECRETSECRETSECRET\n-----END {label}-----\n"
        )
    };
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    for (name, content) in [
        ("key.pem", key("PRIVATE KEY")),
        ("rsa.key", key("RSA PRIVATE KEY")),
        ("encrypted.key", key("ENCRYPTED PRIVATE KEY")),
        (
            "bundle.pem",
            format!("{certificate}{}", key("EC PRIVATE KEY")),
        ),
        (
            "reversed.pem",
            format!("{}{certificate}", key("PRIVATE KEY")),
        ),
    ] {
        let file = folder.path().join(name);
        fs::write(&file, content).expect("a temporary file can be written");
        let answer = preflight(&["renewed.pem", file.to_str().expect("a path in UTF-8")]);
        assert_eq!(
            (answer.output.as_str(), answer.exit_code),
            ("", 3),
            "{name}"
        );
        let told = format!("{name}:");
        assert!(answer.errors.contains(&told), "{name}: {}", answer.errors);
        assert!(
            answer.errors.contains("holds a private key"),
            "{name}: {}",
            answer.errors
        );
        assert!(
            !answer.errors.contains("SECRET"),
            "{name}: {}",
            answer.errors
        );
    }
}

#[test]
fn what_cannot_be_read_is_an_error_with_a_remedy() {
    for (arguments, says) in [
        (&["no-such.cer"][..], "no-such.cer: does not exist"),
        (&["certdrift.yml"], "certdrift.yml: is no certificate"),
        (&["."], ".: cannot be read"),
        (&[], "<CERTIFICATE>"),
        (&["renewed.pem", "--format=nagio"], "nagio"),
    ] {
        let answer = preflight(arguments);
        assert_eq!(
            (answer.output.as_str(), answer.exit_code),
            ("", 3),
            "{arguments:?}"
        );
        assert!(
            answer.errors.contains(says),
            "{arguments:?}: {}",
            answer.errors
        );
    }
    let answer = run(&["preflight", "renewed.pem", "--config.file=no-such.yml"]);
    assert_eq!(answer.exit_code, 3);
    assert!(
        answer.errors.contains("no-such.yml: does not exist"),
        "{}",
        answer.errors
    );
}

#[test]
fn a_configuration_without_connectors_gives_no_verdict() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let file = folder.path().join("certdrift.yml");
    fs::write(&file, "sources:\n  - path: logs\n").expect("a temporary file can be written");
    let config = format!("--config.file={}", file.display());
    let answer = run(&["preflight", "weak.pem", &config, "--at", AT]);
    assert_eq!(answer.exit_code, 3);
    assert!(
        answer.output.contains("weak_key (warning)"),
        "{}",
        answer.output
    );
    assert!(
        answer.output.contains("names no connector"),
        "{}",
        answer.output
    );
}

/// Who puts a sample in must not put its key in with it.
#[test]
fn no_sample_holds_a_key() {
    let samples = fs::read_dir(folder()).expect("tests/preflight is there");
    let samples: Vec<_> = samples.map(|it| it.expect("an entry").path()).collect();
    assert!(samples.len() >= 10, "{samples:?}");
    for sample in samples {
        let content = fs::read(&sample).expect("a readable sample");
        let text = String::from_utf8_lossy(&content);
        assert!(!text.contains("PRIVATE KEY-----"), "{}", sample.display());
    }
}

fn preflight(arguments: &[&str]) -> Answer {
    let mut all = vec!["preflight", "--config.file=certdrift.yml"];
    all.extend(arguments);
    run(&all)
}

fn run(arguments: &[&str]) -> Answer {
    let output = Command::new(env!("CARGO_BIN_EXE_certdrift"))
        .args(arguments)
        .current_dir(folder())
        .output()
        .expect("the program runs");
    Answer {
        output: String::from_utf8(output.stdout).expect("standard output is UTF-8"),
        errors: String::from_utf8_lossy(&output.stderr).into_owned(),
        exit_code: output.status.code().unwrap_or(-1),
    }
}

fn folder() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/preflight")
}

fn read(name: &str) -> String {
    fs::read_to_string(folder().join(name)).expect("a readable sample")
}
