//! `check` where a part of the logs cannot be read: the rest is judged, and nobody is told that all is well.

use std::fs;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

const CONFIG: &str = "\
sources:
  - { path: 'logs/{server}/SmtpSend', first_read: all }
connectors:
  - name: Outbound*
    expected:
      inbound_connectors: [{ name: Inbound, tls_sender_certificate_name: NAME }]
      accepted_domains: [contoso.com]
";

/// The quickstart's servers; EX01 presents mail.contoso.com.
fn organisation(server: &str, name: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let config = CONFIG.replace("NAME", name);
    fs::write(folder.path().join("certdrift.yml"), config).unwrap();
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/quickstart");
    let from = from.join(server).join("SmtpSend");
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let log = fs::read(entry.path()).unwrap();
        write(
            &folder,
            &format!("EX01/SmtpSend/{}", entry.file_name().display()),
            &log,
        );
    }
    folder
}

fn write(folder: &TempDir, name: &str, bytes: &[u8]) {
    let file = folder.path().join("logs").join(name);
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(file, bytes).unwrap();
}

/// The exit code, what is printed, and what is complained of.
fn check(folder: &TempDir, arguments: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_certdrift"))
        .args([
            "check",
            "--config.file=certdrift.yml",
            "--at=2026-11-23T12:00:00Z",
        ])
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let code = output.status.code().unwrap();
    (code, text(output.stdout), text(output.stderr))
}

#[test]
fn a_server_of_which_nothing_can_be_read_is_not_taken_for_one_that_is_well() {
    let utf16: Vec<u8> = "\u{feff}#Software: Exchange\r\n"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    for (name, bytes, why) in [
        ("EX02/SmtpSend/SEND2026010100-1.LOG", &utf16[..], "UTF-16"),
        (
            "EX02/SmtpSend/SEND2026010100-1.LOG",
            &b"\xde\xad\xff\n".repeat(5)[..],
            "none of 5 lines is a row",
        ),
        (
            "EX02/SmtpSend/SEND2026010100-1.LOG",
            b"\x1f\x8b\x08\0\n",
            "the file is compressed",
        ),
        (
            "EX02/SmtpSend/SEND2026010100-1.LOG",
            b"#Log-type: Message Tracking Log\r\n",
            "another kind of log",
        ),
    ] {
        let folder = organisation("EX01", "mail.contoso.com");
        let (code, well, _) = check(&folder, &["--format=nagios"]);
        assert!(code == 0 && well.starts_with("OK - EX01"), "{well}");
        write(&folder, name, bytes);
        let (code, line, errors) = check(&folder, &["--format=nagios"]);
        assert!(
            line.starts_with("UNKNOWN - not read: EX02: "),
            "{why}: {line}"
        );
        assert!(line.contains("; EX01, Outbound"), "{line}");
        assert!(line.contains(why) && errors.contains(why), "{line}{errors}");
        assert_eq!(code, 3, "{line}");
        let (code, ..) = check(&folder, &["--format=json"]);
        assert_eq!(code, 3);
    }
    // A server that has not sent anything is well.
    let folder = organisation("EX01", "mail.contoso.com");
    write(
        &folder,
        "EX02/SmtpSend/SEND2026010100-1.LOG",
        b"#Software: Microsoft Exchange Server\r\n",
    );
    assert_eq!(check(&folder, &["--format=nagios"]).0, 0);
}

#[test]
fn a_directory_that_is_empty_may_be_a_share_that_is_away() {
    let folder = organisation("EX01", "mail.contoso.com");
    fs::create_dir(folder.path().join("logs/EX02")).unwrap();
    let (code, line, errors) = check(&folder, &["--format=nagios"]);
    assert!(
        line.contains("logs/EX02: is empty. Is the share mounted"),
        "{line}"
    );
    assert!(errors.contains("logs/EX02: is empty"), "{errors}");
    assert_eq!(code, 3);
}

#[test]
fn a_mismatch_is_critical_though_another_source_is_away() {
    let folder = organisation("EX01", "another.contoso.com");
    let config = folder.path().join("certdrift.yml");
    let text = fs::read_to_string(&config).unwrap();
    let away = "sources:\n  - { path: nowhere/SmtpSend }\n";
    fs::write(&config, text.replace("sources:\n", away)).unwrap();
    let (code, line, errors) = check(&folder, &["--format=nagios"]);
    assert!(line.starts_with("CRITICAL - EX01, Outbound"), "{line}");
    assert!(line.contains(" Not read: 1 | "), "{line}");
    assert!(
        errors.contains("nowhere/SmtpSend: does not exist"),
        "{errors}"
    );
    assert_eq!(code, 2);
    // The same with paths instead of sources.
    let (code, ..) = check(&folder, &["nowhere", "logs"]);
    assert_eq!(code, 2);
    // Where there is nothing else, nobody is called.
    let (code, line, _) = check(&folder, &["nowhere", "--format=nagios"]);
    assert!(line.starts_with("UNKNOWN - "), "{line}");
    assert_eq!(code, 3);
}
