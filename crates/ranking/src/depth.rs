//! Depth: for how many of the best hits of a window a second, dearer model is worth asking. Owns the rule: the hits that are
//! near the best one in the eyes of what precedes the model, near being counted in standard deviations, so that the rule
//! fits any signal. Where one hit stands out few others can overtake it; where many are alike the model decides among them.
//!
//! The depth depends on nothing but the scores of the window. So it is known before the model is asked, is the same every
//! time, and does not move with the client's page. docs/relevance.md has what it was chosen by, and what it spares.

/// The fewest hits that are asked for: fewer cannot change places in a way that anybody would see.
const LEAST: usize = 3;

/// The number of hits, the best ones, that are within `gap` standard deviations of the best; at least three and at most
/// `keep`. `scores` are those of the hits of the window, best first. Where all are the same there is nothing to go by, and it
/// is `keep`.
pub fn depth(scores: &[f32], gap: f32, keep: usize) -> usize {
    let most = keep.min(scores.len());
    let numbers = || scores.iter().map(|&score| f64::from(score));
    let count = scores.len() as f64;
    let mean = numbers().sum::<f64>() / count;
    let deviation = (numbers().map(|score| (score - mean).powi(2)).sum::<f64>() / count).sqrt();
    let Some(best) = numbers().next() else { return 0 };
    let is_constant = scores.iter().all(|score| score.total_cmp(&scores[0]).is_eq());
    if is_constant || !deviation.is_finite() {
        return most;
    }
    let near = numbers().take_while(|score| *score >= best - f64::from(gap) * deviation).count();
    near.clamp(LEAST.min(most), most)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_clear_winner_needs_few_and_a_close_field_many() {
        let winner = [9.0, 1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4];
        assert_eq!(depth(&winner, 1.75, 20), 3);
        let close = [1.0, 0.99, 0.98, 0.97, 0.96, 0.2, 0.1, 0.0];
        assert_eq!(depth(&close, 1.75, 20), 5);
        assert_eq!(depth(&close, 1.75, 4), 4);
        assert_eq!(depth(&close, 1e9, 20), 8);
    }

    #[test]
    fn where_there_is_nothing_to_go_by_all_are_asked_for() {
        assert_eq!(depth(&[0.1; 30], 0.5, 20), 20);
        assert_eq!(depth(&[], 0.5, 20), 0);
        assert_eq!(depth(&[0.3], 0.5, 20), 1);
    }

    proptest! {
        #[test]
        fn it_is_within_its_bounds_and_more_gap_is_never_less(
            mut scores in prop::collection::vec(-9.0f32..9.0, 0..60), gap in 0.0f32..4.0, more in 0.0f32..4.0, keep in 1usize..60,
        ) {
            scores.sort_by(|a, b| b.total_cmp(a));
            let found = depth(&scores, gap, keep);
            prop_assert!(found <= keep.min(scores.len()) && found >= LEAST.min(keep).min(scores.len()));
            prop_assert!(depth(&scores, gap + more, keep) >= found);
            let shifted: Vec<f32> = scores.iter().map(|score| score * 4.0).collect();
            prop_assert_eq!(depth(&shifted, gap, keep), found, "the unit does not matter");
        }
    }
}
