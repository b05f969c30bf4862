//! Calibration: from the raw outputs of models to the probability that a hit answers the query. A logistic curve over a
//! weighted sum (Platt, 1999). It does not depend on the other hits, so that a threshold means the same for every query;
//! a fused score cannot be calibrated, since it is relative to its window.

/// A logistic curve over the raw outputs of some signals.
#[derive(Debug, Clone, PartialEq)]
pub struct Curve {
    /// Signals, by their places, and the factor of the raw output of each.
    pub slopes: Vec<(usize, f32)>,
    /// What is added to the sum.
    pub offset: f32,
}

impl Curve {
    /// `1 / (1 + exp(-(offset + slope × output + …)))`; `None` where one of the signals has no number.
    pub fn probability(&self, number: impl Fn(usize) -> Option<f32>) -> Option<f32> {
        let mut sum = f64::from(self.offset);
        for &(signal, slope) in &self.slopes {
            sum += f64::from(slope) * f64::from(number(signal).filter(|number| number.is_finite())?);
        }
        Some((1.0 / (1.0 + (-sum).exp())) as f32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_logistic_function_of_the_weighted_sum() {
        let curve = Curve { slopes: vec![(0, 10.6), (1, 0.193)], offset: -5.64 };
        let probability =
            |numbers: [f32; 2]| curve.probability(|signal| Some(numbers[signal])).expect("both are there");
        assert!((probability([0.5, 1.762]) - 0.5).abs() < 1e-3);
        assert!((probability([0.7, 5.0]) - 0.9396).abs() < 1e-3);
        assert!(probability([0.8, 5.0]) > probability([0.7, 5.0]));
        assert!((probability([1e30, 0.0]) - 1.0).abs() < f32::EPSILON && probability([-1e30, 0.0]) < f32::EPSILON);
    }

    #[test]
    fn without_one_of_its_signals_there_is_none() {
        let curve = Curve { slopes: vec![(0, 1.0), (2, 1.0)], offset: 0.0 };
        assert_eq!(curve.probability(|signal| (signal == 0).then_some(1.0)), None);
        assert_eq!(curve.probability(|_| Some(f32::NAN)), None);
    }
}
