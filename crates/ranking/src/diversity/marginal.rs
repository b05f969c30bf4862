//! Maximal marginal relevance: each next hit is the one that is worth most beside those before it (Carbonell and Goldstein,
//! "The use of MMR, diversity-based reranking", 1998).

/// The places of hits in their new order. The next hit is the one with the largest
/// `lambda` × relevance − (1 − `lambda`) × (likeness to what it is most like of the hits before it), of equal ones the first.
///
/// `closest` holds each hit's likeness to what it is most like of the hits that are shown before all of these; `None` where
/// there are none. `likeness` tells how alike two of the hits are, by their places.
pub(super) fn order(
    relevance: &[f64],
    mut closest: Vec<Option<f32>>,
    lambda: f32,
    likeness: impl Fn(usize, usize) -> f32,
) -> Vec<usize> {
    let lambda = f64::from(lambda);
    let mut left: Vec<usize> = (0..relevance.len()).collect();
    let mut order = Vec::with_capacity(left.len());
    while !left.is_empty() {
        let worth = |hit: usize| lambda * relevance[hit] - (1.0 - lambda) * f64::from(closest[hit].unwrap_or(0.0));
        let mut best = 0;
        for place in 1..left.len() {
            if worth(left[place]) > worth(left[best]) {
                best = place;
            }
        }
        let next = left.remove(best);
        for &hit in &left {
            let likeness = likeness(hit, next);
            closest[hit] = Some(closest[hit].map_or(likeness, |closest| closest.max(likeness)));
        }
        order.push(next);
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hits 0, 1 and 2 are alike, hit 3 is like none.
    fn likeness(a: usize, b: usize) -> f32 {
        if a.max(b) < 3 { 0.9 } else { 0.1 }
    }

    #[test]
    fn what_is_new_comes_before_what_is_like_the_first() {
        let relevance = [1.0, 0.9, 0.8, 0.3];
        let with = |lambda| order(&relevance, vec![None; 4], lambda, likeness);
        assert_eq!(with(1.0), [0, 1, 2, 3]);
        // .6 × .9 − .4 × .9 = .18 and .6 × .8 − .4 × .9 = .12; in between, .6 × .3 − .4 × .1 = .14.
        assert_eq!(with(0.6), [0, 1, 3, 2]);
        // .5 × (.9 − .9) = 0, and .5 × (.3 − .1) = .1.
        assert_eq!(with(0.5), [0, 3, 1, 2]);
    }

    #[test]
    fn what_is_shown_before_all_counts_too() {
        let relevance = [1.0, 0.9, 0.8, 0.3];
        let closest = vec![Some(0.9), Some(0.9), Some(0.9), Some(-0.5)];
        assert_eq!(order(&relevance, closest, 0.5, likeness), [3, 0, 1, 2]);
    }

    #[test]
    fn equal_hits_keep_their_order() {
        assert_eq!(order(&[0.5; 4], vec![None; 4], 0.3, |_, _| 0.4), [0, 1, 2, 3]);
        assert!(order(&[], Vec::new(), 0.0, |_, _| 0.0).is_empty());
    }
}
