//! The rows that distances have in the table of relative embeddings.

use super::*;

fn positions(buckets: Option<i64>, furthest: i64) -> Positions {
    Positions {
        buckets,
        furthest,
        key: "position_buckets",
        max_length: 512,
        c2p: true,
        p2c: true,
        shares: true,
        normalises: true,
    }
}

#[test]
fn near_distances_have_a_row_each() {
    let positions = positions(Some(256), 512);
    assert_eq!([-128, -1, 0, 1, 128].map(|distance| positions.row(distance)), [128, 255, 256, 257, 384]);
}

#[test]
fn far_distances_share_rows_up_to_the_last() {
    let positions = positions(Some(256), 512);
    assert!((129..=511).all(|distance| (385..=511).contains(&positions.row(distance))));
    assert_eq!((positions.row(511), positions.row(5000)), (511, 511));
    assert_eq!((positions.row(-511), positions.row(-5000)), (1, 0));
}

#[test]
fn without_buckets_the_furthest_row_takes_what_is_beyond() {
    let positions = positions(None, 64);
    assert_eq!([-100, -64, 0, 63, 64, 100].map(|distance| positions.row(distance)), [0, 0, 64, 127, 127, 127]);
}

#[test]
fn rows_never_rise_while_distances_fall() {
    for positions in [positions(Some(256), 512), positions(Some(32), 512), positions(None, 64)] {
        let falling = positions.falling();
        assert_eq!(falling.len(), 2 * 512 + 1);
        assert!(falling.is_sorted_by(|a, b| a >= b));
    }
}
