//! How alike hits are: the cosine of each pair of their vectors.

/// The cosines of all pairs of some hits.
pub(super) struct Cosines {
    /// Those of each hit with all before it: 0 or 1 and 0, then 2 and 0, 2 and 1, and so on.
    pairs: Vec<f32>,
}

impl Cosines {
    /// The cosines of hits with these vectors. A hit without a vector, or with one that has no direction, is like no other: 0.
    pub(super) fn of_all(vectors: &[Option<&[f32]>]) -> Self {
        let of_length_1: Vec<Option<Vec<f32>>> = vectors.iter().map(|vector| of_length_1((*vector)?)).collect();
        let mut pairs = Vec::with_capacity(vectors.len() * vectors.len().saturating_sub(1) / 2);
        for (place, a) in of_length_1.iter().enumerate() {
            let cosine = |b: &Option<Vec<f32>>| a.as_deref().zip(b.as_deref()).map_or(0.0, |(a, b)| dot(a, b));
            pairs.extend(of_length_1[..place].iter().map(cosine));
        }
        Self { pairs }
    }

    /// The cosine of two different hits, by their places.
    pub(super) fn of(&self, a: usize, b: usize) -> f32 {
        let (later, earlier) = (a.max(b), a.min(b));
        self.pairs[later * (later - 1) / 2 + earlier]
    }
}

fn of_length_1(vector: &[f32]) -> Option<Vec<f32>> {
    let length = dot(vector, vector).sqrt();
    (length > 0.0 && length.is_finite()).then(|| vector.iter().map(|x| x / length).collect())
}

/// The dot product, eight sums at a time: a single sum would have each addition wait for the one before.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    const LANES: usize = 8;
    let mut sums = [0.0; LANES];
    let (whole_a, rest_a) = a.as_chunks::<LANES>();
    let (whole_b, rest_b) = b.as_chunks::<LANES>();
    for (a, b) in whole_a.iter().zip(whole_b) {
        for lane in 0..LANES {
            sums[lane] += a[lane] * b[lane];
        }
    }
    let rest: f32 = rest_a.iter().zip(rest_b).map(|(a, b)| a * b).sum();
    sums.iter().sum::<f32>() + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cosine_is_that_of_the_angle_whatever_the_lengths() {
        let (a, b): (Vec<f32>, Vec<f32>) =
            ((0..19).map(|x| x as f32).collect(), (0..19).map(|x| 7.0 - x as f32).collect());
        let exact = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
        let expected = exact(&a, &b) / (exact(&a, &a) * exact(&b, &b)).sqrt();
        let cosines = Cosines::of_all(&[Some(&a), Some(&b), None, Some(&[0.0; 19]), Some(&a)]);
        assert!((f64::from(cosines.of(0, 1)) - expected).abs() < 1e-6, "{} is not {expected}", cosines.of(0, 1));
        assert!((cosines.of(1, 0) - cosines.of(1, 4)).abs() < 1e-6 && (cosines.of(0, 4) - 1.0).abs() < 1e-6);
        assert_eq!([cosines.of(0, 2), cosines.of(3, 2), cosines.of(3, 0), cosines.of(4, 3)], [0.0; 4]);
    }
}
