use super::*;
use crate::pipeline::certificate::block::Block;
use crate::pipeline::certificate::block::Field;
use crate::pipeline::certificate::row;
use crate::pipeline::record::Cell;
use crate::pipeline::record::SessionId;

fn at(second: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH + jiff::SignedDuration::from_secs(second)
}

/// A certificate whose thumbprint is this digit throughout; `-`: a block that was cut short before it.
fn certificate(digit: char) -> Arc<Certificate> {
    if digit == '-' {
        let mut block = Block::start();
        block.row(Field::Subject, Cell::new(b"CN=mail.contoso.com", false));
        return Arc::new(block.finish());
    }
    let thumbprint: String = std::iter::repeat_n(digit, 40).collect();
    let row = format!(" CN=mail.contoso.com CN=CA 0A1B {thumbprint} mail.contoso.com");
    Arc::new(row::parse_row(row.as_bytes()))
}

fn enter(ledger: &mut Ledger, connector: &str, second: i64, fact: Fact<'_>) {
    ledger.enter(&Observation {
        server: &Arc::from("EX01"),
        connector: &Arc::from(connector),
        session: SessionId(1),
        time: at(second),
        exchange_online: true,
        fact,
    });
}

/// Enters certificates in the order of the text, at the given times.
fn offered(digits: &str, times: &[i64]) -> ConnectorLedger {
    let mut ledger = Ledger::default();
    for (digit, &second) in digits.chars().zip(times) {
        let fact = Fact::Offered {
            certificate: &certificate(digit),
            handshake: Some(Handshake::StartTls),
        };
        enter(&mut ledger, "Outbound", second, fact);
    }
    let newest = ledger.connectors.pop();
    newest.map(|(_, entry)| entry).unwrap_or_default()
}

#[test]
fn a_change_is_another_certificate_than_the_one_before() {
    for (digits, times, changes) in [
        ("AAA", [1, 2, 3], 0),
        ("AAB", [1, 2, 3], 1),
        ("ABA", [1, 2, 3], 2),
        ("ABB", [1, 2, 3], 1),
        // A row that comes late from another file.
        ("ABA", [1, 3, 2], 1),
        // What a block cut short has lost is no other certificate.
        ("A-A", [1, 2, 3], 0),
        ("A-B", [1, 2, 3], 1),
        ("-A-", [1, 2, 3], 0),
    ] {
        let ledger = offered(digits, &times);
        assert_eq!(ledger.certificate_changes, changes, "{digits} at {times:?}");
    }
}

#[test]
fn the_current_certificate_follows_the_times() {
    let ledger = offered("ABA", &[1, 3, 2]);
    let current = ledger.current(Some(Handshake::StartTls));
    let span = current.map(|presented| (presented.certificate.thumbprint, presented.span.count));
    assert_eq!(span, Some((certificate('B').thumbprint, 1)));
    assert_eq!(ledger.presented.len(), 2);
}

#[test]
fn connectors_certificates_and_texts_are_bounded() {
    let mut ledger = Ledger::default();
    for number in 0..MAX_CONNECTORS + 10 {
        enter(&mut ledger, &format!("c{number:05}"), 1, Fact::Started);
    }
    assert_eq!(ledger.connectors().count(), MAX_CONNECTORS + 1);
    let sessions = ledger.connectors().filter_map(|(_, entry)| entry.sessions);
    let sessions: u64 = sessions.map(|span| span.count).sum();
    assert_eq!(sessions, MAX_CONNECTORS as u64 + 10);
    for number in 0..200 {
        let text = format!("text {number}");
        let refused = Refused {
            class: ReplyClass::Other,
            code: 550,
            enhanced: None,
            text: &text,
            presented: None,
            null_sender: false,
        };
        enter(&mut ledger, "c00000", 2, Fact::Refused(refused));
        let error = text.clone();
        enter(&mut ledger, "c00000", 2, Fact::TlsFailed { error });
    }
    let place = Place {
        server: Arc::from("EX01"),
        connector: Arc::from("c00000"),
    };
    let entry = ledger.connector(&place).cloned().unwrap_or_default();
    assert_eq!(entry.refusals.len(), MAX_REPLIES + 1);
    let refusals: u64 = entry
        .refusals
        .iter()
        .map(|refusal| refusal.span.count)
        .sum();
    assert_eq!(
        (refusals, entry.refusals_by_class[&ReplyClass::Other]),
        (200, 200)
    );
    assert_eq!(entry.tls_failures.len(), MAX_TLS_ERRORS + 1);
    assert_eq!(entry.tls_failures.values().sum::<u64>(), 200);
}
