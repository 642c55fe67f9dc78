//! A clock that is set right.

use super::*;

#[test]
fn a_clock_that_was_ahead_makes_no_rollout_longer() {
    let mut stage = Stage::new(Inventory::default());
    for second in 0..3 {
        assert_eq!(stage.at(second, "good"), []);
    }
    stage.learn(Inventory::new(vec![in_inventory(0xEE, -HOUR)]));
    assert_eq!(stage.at(100 * HOUR, ""), []);
    assert_eq!(stage.at(10, ""), [], "set back");
    assert_eq!(stage.at(4 * HOUR + 9, ""), []);
    let told = stage.at(4 * HOUR + 10, "");
    assert_eq!(told, [("ConnectorRenewalNotPresented", 10)]);
}
