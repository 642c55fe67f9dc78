//! What is remembered of judgements changes none.

use proptest::prelude::*;

use super::*;
use crate::pipeline::expectation::PlannedRenewal;

const WORDS: [&str; 6] = ["good", "renewed", "bad", "soon", "nothing", "cut"];

/// The presentations of the stories, and one by another issuer.
fn shown(choice: usize) -> Presentation {
    match WORDS.get(choice) {
        Some(word) => presentation(word).unwrap(),
        None => by(presentation("good").unwrap(), "CN=Another CA"),
    }
}

fn by(presentation: Presentation, issuer: &str) -> Presentation {
    match presentation {
        Presentation::Certificate(certificate) => {
            Presentation::Certificate(Arc::new(Certificate {
                issuer: Some(issuer.to_owned()),
                ..(*certificate).clone()
            }))
        }
        Presentation::NoCertificate => presentation,
    }
}

/// `renewed` is known to the inventory, if at all, by this issuer and from this second on; and another one that is not
/// presented.
fn inventory(issuer: Option<&str>, start: i64) -> Inventory {
    let known = issuer.map(|issuer| {
        let known = in_inventory(0xBB, start);
        let certificate = Certificate {
            issuer: Some(issuer.to_owned()),
            ..(*known.certificate).clone()
        };
        InventoryCertificate {
            certificate: Arc::new(certificate),
            ..known
        }
    });
    let another = in_inventory(0xEE, start + 40);
    Inventory::new(known.into_iter().chain([another]).collect())
}

/// From second 40 on it is `renewed` that is to be presented, for ten hours.
fn with_a_plan(expectation: Expectation) -> Expectation {
    let renewal = PlannedRenewal {
        thumbprint: Thumbprint([0xBB; 20]),
        from: at(40),
        until: at(10 * HOUR + 40),
        reason: None,
    };
    Expectation {
        thumbprints: vec![Thumbprint([0xAA; 20])],
        planned: vec![renewal],
        ..expectation
    }
}

/// One step: what happens, and how many nanoseconds after the one before.
type Step = (usize, i64);

fn take(findings: &mut Findings, (what, _): Step, time: Timestamp, bench: Bench<'_>) {
    match what {
        0..=6 => findings.session(&shown(what), time, bench),
        7 | 8 => {
            let refusal = Refusal {
                reply: format!("550 5.7.64 TenantAttribution {what}"),
                presented: None,
                null_sender: what == 8,
                session: SessionId(time.as_millisecond().cast_unsigned()),
                time,
            };
            findings.denied(refusal, bench.now);
        }
        9 => findings.relayed(false, time),
        10 => findings.egress("203.0.113.7".parse().unwrap()),
        11 => findings.egress("203.0.113.8".parse().unwrap()),
        _ => findings.reconsider(bench),
    }
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    // Dates are whole seconds; some steps come to lie on one, and others right before or behind it.
    let second = 1_000_000_000;
    let later = prop_oneof![
        4 => 0..100_000_000_i64,
        2 => prop::sample::select(vec![1, second - 1]),
        4 => prop::sample::select([1, 10, 30, HOUR, 4 * HOUR, 10 * HOUR, 12 * 24 * HOUR].map(|it| it * second).to_vec()),
    ];
    proptest::collection::vec((0..14_usize, later), 1..40)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// `age`: how old the rows are, in hours.
    #[test]
    fn what_is_remembered_changes_no_judgement(
        steps in steps(),
        by_address: bool,
        is_planned: bool,
        issuer in 0..3_usize,
        start in prop_oneof![Just(-HOUR), Just(30), Just(10 * HOUR), Just(-200 * 24 * HOUR)],
        age in prop_oneof![Just(0), Just(25)],
    ) {
        let (expectation, settings) = (expectation(by_address), Settings::default());
        let expectation = if is_planned { with_a_plan(expectation) } else { expectation };
        let inventory = inventory([None, Some("CN=Another CA"), Some("CN=Issuing CA, O=Example")][issuer], start);
        let (mut findings, mut forgetful) = (Findings::default(), Findings::default());
        let mut now = at(0);
        for step in steps {
            now += SignedDuration::from_nanos(step.1);
            let bench = Bench {
                server: "EX01",
                connector: "Outbound",
                expectation: &expectation,
                inventory: &inventory,
                settings: &settings,
                now,
            };
            let time = now - SignedDuration::from_hours(age);
            take(&mut findings, step, time, bench);
            forgetful.memory.forget();
            take(&mut forgetful, step, time, bench);
            let state = |findings: &Findings| serde_json::to_string(findings).unwrap();
            prop_assert_eq!(state(&findings), state(&forgetful));
        }
    }
}
