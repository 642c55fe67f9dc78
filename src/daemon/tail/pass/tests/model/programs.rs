//! Programs that drawn seeds have found, each for a gap that was there.

use super::*;

/// A size that lagged behind for a while, with NUL bytes before the place up to which the file was read: what seemed to
/// be cut off then has nothing to do with where it is really cut off later.
#[test]
fn a_cut_that_was_none_is_forgotten_though_nul_bytes_were_left_out() {
    run(&[
        (39, 0, 0),
        (0, 0, 47),
        (37, 0, 14),
        (58, 80, 0),
        (58, 48, 0),
        (34, 0, 29),
    ])
    .judge();
}

/// Another file takes the place of one that was not read to its end, and the process ends after rows of the new one were
/// committed, and before it was concluded that the old one is gone.
#[test]
fn a_file_that_was_replaced_is_told_as_lost_after_a_restart_as_well() {
    let model = run(&[
        (0, 0, 0),
        (45, 0, 35),
        (0, 0, 0),
        (44, 0, 0),
        (58, 219, 0),
        (49, 0, 0),
        (23, 0, 13),
        (52, 81, 0),
        (21, 0, 1),
        (58, 205, 0),
        (0, 0, 0),
        (0, 0, 0),
        (0, 0, 0),
        (0, 0, 0),
        (0, 0, 0),
        (52, 1, 0),
    ]);
    model.judge();
    assert_eq!(model.committed.losses.len(), 1);
}
