//! Mail addresses in certificates, and in the values that name them: whoever sees a metric, the page, its JSON or a
//! check's text is not told whose they are.

use std::fs;
use std::path::Path;
use std::process::Command;

use certdrift::pipeline::snapshot::ExpectedConnector;
use certdrift::render::page;
use certdrift::render::page::Setting;
use certdrift::render::status;
use certdrift::render::status::Selection;
use tempfile::TempDir;

use crate::status::made_up::MadeUp;

const CONFIG: &str = "\
sources:
  - { path: logs, first_read: all }
connectors:
  - name: Outbound*
    expected:
      inbound_connectors:
        - { name: Inbound, tls_sender_certificate_name: '<I>E=a@fabrikam.example, CN=CA<S>E=b@contoso.com, CN=mail' }
      tls_certificate_name: '<I>E=c@fabrikam.example, CN=CA<S>E=d@contoso.com, CN=mail'
";

/// A server whose certificate holds addresses wherever it can.
fn organisation() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("logs")).unwrap();
    fs::write(folder.path().join("certdrift.yml"), CONFIG).unwrap();
    let name = "SEND2026112308-1.LOG";
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/quickstart/EX01/SmtpSend");
    let log = fs::read_to_string(from.join(name)).unwrap();
    let log = log
        .replace(
            " CN=mail.contoso.com, O=",
            " CN=e@contoso.com, E=f@contoso.com, O=",
        )
        .replace(
            " CN=Fabrikam",
            " E=g@fabrikam.example, CN=h@fabrikam.example Fabrikam",
        )
        .replace("mail.contoso.com;", "i@contoso.com;");
    assert!(log.contains("e@contoso.com") && log.contains(" i@contoso.com;"));
    fs::write(folder.path().join("logs").join(name), log).unwrap();
    folder
}

fn has_address(text: &str) -> bool {
    text.contains("@contoso.com") || text.contains("@fabrikam.example")
}

#[test]
fn what_the_program_prints_for_people_and_monitoring_has_none() {
    let folder = organisation();
    let print = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_certdrift"));
        let output = command.args(arguments).current_dir(&folder).output();
        String::from_utf8(output.unwrap().stdout).unwrap()
    };
    let summary = print(&["check-config", "certdrift.yml"]);
    assert_eq!(summary.matches("E=<address>").count(), 4, "{summary}");
    assert!(!has_address(&summary), "{summary}");
    for format in ["text", "nagios", "prometheus"] {
        let text = print(&[
            "check",
            "--config.file=certdrift.yml",
            "--at=2026-11-23T12:00:00Z",
            "--format",
            format,
        ]);
        assert!(text.contains("<address>"), "{format}: {text}");
        assert!(!has_address(&text), "{format}: {text}");
    }
}

#[test]
fn the_page_and_its_json_have_none() {
    let mut state = MadeUp::default().state();
    state.snapshot.expected.push(ExpectedConnector {
        connector: "Outbound".to_owned(),
        inbound_connector: "Inbound".to_owned(),
        tls_sender_certificate_name: "<S>E=b@contoso.com, CN=mail".to_owned(),
    });
    let setting = Setting {
        now: state.snapshot.at,
        telemetry_path: "/metrics",
        refreshes: true,
    };
    let status = status::status(&state, &Selection::default());
    let page = page::page(&status, setting);
    assert!(page.contains("E=&lt;address&gt;, CN=mail") && !has_address(&page));
    let json = status::json(&status);
    assert!(json.contains("E=<address>, CN=mail") && !has_address(&json));
}
