//! What is remembered of judgements changes none.

use proptest::prelude::*;

use super::*;
use crate::pipeline::expectation::PlannedRenewal;
use crate::pipeline::verdict;
use crate::pipeline::verdict::LOGGED_DATE_MARGIN;

const WORDS: [&str; 6] = ["good", "renewed", "bad", "soon", "nothing", "cut"];

/// The presentations of the stories, one by another issuer, and one that may be valid from second 30 on only.
fn shown(choice: usize) -> Presentation {
    let Presentation::Certificate(good) = presentation("good").unwrap() else {
        unreachable!()
    };
    let good = (*good).clone();
    let another = match choice {
        6 => Certificate {
            issuer: Some("CN=Another CA".to_owned()),
            ..good
        },
        7 => Certificate {
            not_before: Some(at(30) + LOGGED_DATE_MARGIN),
            ..good
        },
        _ => return presentation(WORDS[choice]).unwrap(),
    };
    Presentation::Certificate(Arc::new(another))
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

/// By whom the inventory says that `renewed` was issued.
const ISSUERS: [Option<&str>; 3] = [
    None,
    Some("CN=Another CA"),
    Some("CN=Issuing CA, O=Example"),
];

/// From which second on the certificates of the inventory are valid; for 200 days.
fn starts() -> impl Strategy<Value = i64> {
    let day = 24 * HOUR;
    prop::sample::select(vec![
        -HOUR,
        30,
        10 * HOUR,
        -150 * day,
        -195 * day + 30,
        -200 * day,
    ])
}

/// One step: what happens, and how many nanoseconds after the one before.
type Step = (usize, i64);

fn take(findings: &mut Findings, (what, _): Step, time: Timestamp, bench: Bench<'_>) {
    match what {
        0..=7 => findings.session(&shown(what), time, bench),
        8 | 9 => {
            let refusal = Refusal {
                reply: format!("550 5.7.64 TenantAttribution {what}"),
                presented: None,
                null_sender: what == 9,
                session: SessionId(time.as_millisecond().cast_unsigned()),
                time,
            };
            findings.denied(refusal, bench.now);
        }
        10 => findings.relayed(false, time),
        11 => findings.egress("203.0.113.7".parse().unwrap()),
        12 => findings.egress("203.0.113.8".parse().unwrap()),
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
    proptest::collection::vec((0..15_usize, later), 1..40)
}

/// Moments at which something could begin or end.
fn dates(shown: &Presentation, inventory: &Inventory, settings: &Settings) -> Vec<Timestamp> {
    let mut dates = vec![at(40), at(10 * HOUR + 40)];
    let known = inventory.certificates().iter();
    let mut certificates: Vec<_> = known.map(|known| Arc::clone(&known.certificate)).collect();
    if let Presentation::Certificate(certificate) = shown {
        certificates.push(Arc::clone(certificate));
    }
    for certificate in certificates {
        let (Some(start), Some(end)) = (certificate.not_before, certificate.not_after) else {
            continue;
        };
        let lifetime = end.duration_since(start);
        let limits = [
            settings.expiry.warning_left(lifetime),
            settings.expiry.critical_left(lifetime),
        ];
        for limit in limits {
            dates.extend([end - limit, end - limit - LOGGED_DATE_MARGIN]);
        }
        let hours = [0, 1, 23, 24, 48].map(|hours| end - SignedDuration::from_hours(hours));
        dates.extend(hours);
        dates.extend([start, start - LOGGED_DATE_MARGIN, end + LOGGED_DATE_MARGIN]);
    }
    dates
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    /// Up to the very last moment.
    #[test]
    fn a_judgement_holds_as_long_as_it_is_said_to(
        choice in 0..8_usize,
        by_address: bool,
        is_planned: bool,
        issuer in 0..3_usize,
        start in starts(),
        date: prop::sample::Index,
        before in prop::sample::select(vec![-1, 0, 1, 600_000_000_000, 1_700_000_000_000_i64]),
    ) {
        let settings = Settings::default();
        let expectation = expectation(by_address);
        let expectation = if is_planned { with_a_plan(expectation) } else { expectation };
        let inventory = inventory(ISSUERS[issuer], start);
        let shown = shown(choice);
        let evidence = Evidence { presentation: Some(&shown), ..Evidence::default() };
        let bench = |now| Bench {
            server: "EX01",
            connector: "Outbound",
            expectation: &expectation,
            inventory: &inventory,
            settings: &settings,
            now,
        };
        let now = *date.get(&dates(&shown, &inventory, &settings)) - SignedDuration::from_nanos(before);
        let until = evidence.holds_until(&bench(now));
        prop_assert!(until > now);
        let last = until - SignedDuration::from_nanos(1);
        prop_assert_eq!(verdict::judge(&evidence, &bench(now)), verdict::judge(&evidence, &bench(last)));
    }
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
        start in starts(),
        age in prop_oneof![Just(0), Just(25)],
    ) {
        let (expectation, settings) = (expectation(by_address), Settings::default());
        let expectation = if is_planned { with_a_plan(expectation) } else { expectation };
        let inventory = inventory(ISSUERS[issuer], start);
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
