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
        (45, 0, 36),
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

/// The last line of a file that is finished is half a row, a run of NUL bytes, and the beginning of another row. That is
/// no whole row, though it has nine cells.
#[test]
fn the_beginning_of_a_row_behind_nul_bytes_waits_for_its_rest() {
    run(&[
        (14, 0, 13),
        (18, 0, 0),
        (0, 0, 25),
        (10, 0, 0),
        (0, 0, 9),
        (0, 0, 0),
        (43, 0, 17),
        (0, 0, 1),
        (18, 0, 0),
        (10, 0, 199),
        (39, 0, 0),
        (14, 0, 0),
        (10, 167, 1),
        (34, 0, 0),
        (0, 0, 0),
        (0, 185, 0),
    ])
    .judge();
}

/// A file is gone, and an old copy of it takes its part. Another copy has a row more: that one is not lost.
#[test]
fn a_copy_gives_what_it_has_before_anything_is_told_as_lost() {
    let model = run(&[
        (0, 0, 0),
        (23, 0, 1),
        (43, 0, 42),
        (0, 0, 0),
        (26, 0, 71),
        (0, 0, 0),
        (45, 215, 161),
        (0, 0, 0),
        (28, 0, 0),
        (26, 0, 152),
        (0, 0, 0),
        (23, 0, 79),
        (30, 0, 0),
        (0, 0, 0),
        (0, 0, 0),
        (21, 0, 16),
        (52, 0, 0),
        (0, 0, 0),
    ]);
    model.judge();
    let bytes: u64 = model.committed.losses.iter().map(|(.., it)| it.bytes).sum();
    assert_eq!(bytes, 1269 - 1155);
}

/// A file without a row in its beginning, but with NUL bytes: it is followed where a copy of it has more, and what is left
/// in its old place is the copy now.
#[test]
fn an_old_copy_with_nul_bytes_in_its_beginning_is_not_read_again() {
    run(&[
        (14, 0, 124),
        (39, 0, 0),
        (39, 0, 0),
        (39, 0, 0),
        (0, 0, 0),
        (18, 0, 0),
        (26, 0, 0),
        (23, 0, 25),
        (14, 0, 0),
        (0, 0, 0),
        (0, 0, 0),
    ])
    .judge();
}

/// NUL bytes are given up in a copy, which is read because nothing can be read of the file itself. When that is back, it
/// has text where they are.
#[test]
fn text_in_another_copy_is_read_where_nul_bytes_were_given_up() {
    run(&[
        (14, 0, 1),
        (49, 0, 0),
        (39, 0, 0),
        (26, 0, 0),
        (18, 0, 0),
        (23, 0, 25),
        (41, 0, 0),
        (28, 0, 0),
        (58, 97, 0),
    ])
    .judge();
}

/// As before, but the file that is back has more than the copy had. That is read, and not lost.
#[test]
fn text_in_another_copy_is_not_told_as_lost() {
    run(&[
        (44, 0, 0),
        (39, 0, 0),
        (26, 0, 0),
        (28, 19, 0),
        (41, 0, 0),
        (52, 0, 0),
        (37, 0, 0),
        (58, 90, 0),
        (0, 0, 0),
    ])
    .judge();
}

/// Two copies have more than the file. What was seen of the file in its old place says nothing about it in the first of
/// them.
#[test]
fn a_file_moves_to_one_copy_at_a_time() {
    run(&[
        (0, 0, 0),
        (26, 0, 135),
        (0, 0, 0),
        (26, 0, 3),
        (52, 0, 0),
        (35, 0, 0),
        (0, 0, 0),
        (0, 0, 0),
        (26, 0, 103),
        (0, 0, 0),
    ])
    .judge();
}

/// A size lagged behind, and then the directory is empty: the copy that somebody writes to is read.
#[test]
fn a_copy_goes_on_for_a_file_that_seemed_cut_off_and_is_away() {
    run(&[
        (30, 0, 0),
        (23, 0, 114),
        (26, 160, 19),
        (37, 160, 124),
        (58, 234, 0),
        (18, 0, 0),
        (0, 0, 0),
    ])
    .judge();
}

/// A file begins with header lines and NUL bytes. It is copied and then moved between two looks, and the copy is looked at
/// first.
#[test]
fn an_old_copy_that_is_found_before_the_file_itself_is_not_read() {
    run(&[
        (14, 0, 4),
        (39, 11, 0),
        (0, 0, 0),
        (26, 0, 36),
        (0, 0, 0),
        (23, 0, 0),
    ])
    .judge();
}

/// As before, and the file has moved twice.
#[test]
fn one_of_several_files_that_begin_alike_moves_twice() {
    run(&[
        (21, 0, 129),
        (39, 171, 0),
        (10, 0, 1),
        (23, 0, 1),
        (0, 0, 0),
        (23, 0, 2),
    ])
    .judge();
}

/// A file without a row in its beginning is cut off before the place up to which it was read.
#[test]
fn what_a_file_still_holds_that_was_cut_off_is_not_read_again() {
    run(&[
        (0, 0, 0),
        (14, 0, 4),
        (39, 107, 0),
        (18, 0, 0),
        (0, 0, 0),
        (44, 0, 0),
        (34, 0, 3),
        (0, 0, 0),
        (0, 0, 0),
        (0, 0, 0),
        (0, 0, 0),
        (0, 0, 0),
        (0, 0, 0),
        (0, 0, 0),
        (0, 0, 0),
    ])
    .judge();
}

/// NUL bytes behind the last row were left out when the file moves.
#[test]
fn a_file_that_ends_with_nul_bytes_is_known_when_it_moves() {
    run(&[
        (0, 0, 0),
        (14, 0, 20),
        (21, 0, 150),
        (39, 191, 0),
        (0, 0, 0),
        (0, 0, 0),
        (39, 0, 0),
        (34, 160, 0),
        (23, 0, 0),
    ])
    .judge();
}

/// A copy takes the part of a file that cannot be read any more, and then that is deleted. All of it was read.
#[test]
fn a_file_that_goes_on_in_a_copy_is_not_lost_with_its_old_place() {
    run(&[
        (0, 0, 63),
        (26, 0, 83),
        (26, 0, 0),
        (37, 0, 0),
        (45, 0, 45),
        (58, 187, 0),
        (18, 0, 0),
    ])
    .judge();
}

/// What a file lost when it was cut off still stands in another copy.
#[test]
fn what_another_copy_still_has_is_not_told_as_cut_off() {
    run(&[
        (0, 0, 0),
        (14, 0, 0),
        (35, 0, 0),
        (26, 0, 31),
        (28, 0, 0),
        (23, 0, 1),
        (0, 0, 0),
        (45, 161, 14),
        (26, 0, 4),
        (0, 0, 0),
        (30, 0, 0),
        (0, 0, 0),
        (28, 1, 0),
        (35, 0, 1),
    ])
    .judge();
}

/// As before, and that copy is as long as the file once was.
#[test]
fn a_copy_that_has_everything_is_read_where_an_old_one_was_found_first() {
    run(&[
        (0, 0, 0),
        (14, 0, 0),
        (35, 0, 0),
        (26, 0, 31),
        (28, 0, 0),
        (23, 0, 1),
        (0, 0, 0),
        (45, 161, 14),
        (26, 0, 4),
        (30, 0, 0),
        (14, 0, 0),
        (0, 0, 0),
        (21, 0, 0),
        (0, 0, 0),
        (0, 0, 0),
        (21, 0, 0),
        (0, 0, 0),
        (0, 0, 0),
        (0, 0, 0),
        (0, 0, 0),
        (0, 0, 0),
        (0, 0, 0),
        (0, 0, 0),
        (28, 215, 0),
        (0, 0, 0),
    ])
    .judge();
}

/// Another file stands in the place of a copy: header lines, more NUL bytes than are looked at to know a file by, and then
/// rows.
#[test]
fn what_stands_in_the_place_of_a_copy_is_read_though_it_begins_with_nul_bytes() {
    run(&[
        (21, 0, 40),
        (30, 0, 0),
        (23, 0, 4),
        (26, 0, 2),
        (14, 0, 0),
        (21, 0, 15),
        (0, 187, 0),
        (28, 20, 0),
        (39, 27, 0),
        (0, 0, 0),
        (0, 0, 0),
    ])
    .judge();
}

/// A file moves while the one before it cannot be read, so it is not looked at there yet. An old copy of it is no longer
/// than it was in its old place.
#[test]
fn an_old_copy_is_not_read_for_a_file_that_was_not_looked_at_since_it_moved() {
    run(&[
        (14, 0, 0),
        (45, 0, 0),
        (23, 162, 1),
        (0, 0, 0),
        (26, 0, 0),
        (0, 181, 0),
        (39, 0, 0),
        (23, 0, 2),
        (0, 0, 0),
    ])
    .judge();
}

/// A file of header lines, NUL bytes and half a row moves twice, and in each place it waits for the rest of its row.
#[test]
fn a_file_without_a_row_is_known_where_it_has_moved() {
    let model = run(&[
        (14, 0, 20),
        (39, 55, 0),
        (10, 0, 1),
        (14, 0, 0),
        (34, 0, 0),
        (0, 0, 0),
        (23, 176, 55),
        (23, 0, 0),
    ]);
    model.judge();
    assert_eq!(model.committed.losses, [], "it is still there");
}
