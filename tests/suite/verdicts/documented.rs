//! The table in ARCHITECTURE.md is the table of the code.

use std::fs;
use std::path::Path;

use certdrift::pipeline::verdict::reason::ReasonCode;

fn table() -> Vec<String> {
    let head = "| rule | reason | verdict | severity | alert | confirmed | resolved | given when |";
    let mut table = vec![
        head.to_owned(),
        "|---|---|---|---|---|---|---|---|".to_owned(),
    ];
    for code in ReasonCode::ALL {
        let row = code.row();
        let alert = row.alert.map(|alert| format!("`{}`", alert.as_str()));
        table.push(format!(
            "| {} | `{}` | {} | {} | {} | {} | {} | {} |",
            row.rule,
            row.code,
            row.verdict.as_str(),
            row.severity.as_str(),
            alert.as_deref().unwrap_or("–"),
            row.confirmation.as_str(),
            row.resolve.as_str(),
            row.meaning,
        ));
    }
    table
}

#[test]
fn the_architecture_shows_every_reason_and_its_alert() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("ARCHITECTURE.md");
    let text = fs::read_to_string(path).unwrap();
    let section = text.split("\n## Reasons and alerts\n").nth(1).unwrap();
    let section = section.split("\n## ").next().unwrap();
    let rows = section.lines().filter(|line| line.starts_with('|'));
    let expected = table();
    assert!(
        rows.eq(expected.iter()),
        "ARCHITECTURE.md should hold:\n{}",
        expected.join("\n")
    );
}
