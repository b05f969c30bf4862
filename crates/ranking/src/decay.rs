//! Decay: how near a number is to an origin, from 1 there down to 0 far away. The three shapes and their parameters are those
//! of Elasticsearch's and OpenSearch's `function_score`
//! (<https://www.elastic.co/guide/en/elasticsearch/reference/8.19/query-dsl-function-score-query.html#function-decay>).

/// The shape of a decay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// `exp(λ d)` with `λ = ln(at_scale) / scale`.
    Exp,
    /// `exp(-d² / 2σ²)` with `σ² = -scale² / (2 ln(at_scale))`.
    Gauss,
    /// `max(0, (s - d) / s)` with `s = scale / (1 - at_scale)`.
    Linear,
}

impl Shape {
    /// Every shape by its name.
    pub const NAMES: [(&'static str, Self); 3] = [("exp", Self::Exp), ("gauss", Self::Gauss), ("linear", Self::Linear)];
}

/// A decay. Of `x`, at a distance of `|x - origin|`, `d` is what the distance has beyond `offset`, never less than 0.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Decay {
    /// The shape.
    pub shape: Shape,
    /// The distance beyond the offset at which the decay is `at_scale`; more than 0.
    pub scale: f64,
    /// The distance up to which the decay is 1; 0 or more.
    pub offset: f64,
    /// The decay at a distance of `offset` and `scale`, between 0 and 1 (Elasticsearch calls it `decay`).
    pub at_scale: f64,
}

impl Decay {
    /// The decay at a distance from the origin: 0 to 1.
    pub fn at(&self, distance: f64) -> f64 {
        let Self { shape, scale, offset, at_scale } = *self;
        let d = (distance.abs() - offset).max(0.0);
        match shape {
            Shape::Exp => (at_scale.ln() / scale * d).exp(),
            Shape::Gauss => (at_scale.ln() * (d / scale).powi(2)).exp(),
            Shape::Linear => (1.0 - d / scale * (1.0 - at_scale)).max(0.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decay(shape: Shape) -> Decay {
        Decay { shape, scale: 10.0, offset: 5.0, at_scale: 0.3 }
    }

    /// The formulas as the documentation of Elasticsearch writes them.
    fn documented(decay: Decay, distance: f64) -> f64 {
        let Decay { shape, scale, offset, at_scale } = decay;
        let beyond = f64::max(0.0, distance.abs() - offset);
        match shape {
            Shape::Gauss => {
                let variance = -scale.powi(2) / (2.0 * at_scale.ln());
                (-beyond.powi(2) / (2.0 * variance)).exp()
            }
            Shape::Exp => {
                let lambda = at_scale.ln() / scale;
                (lambda * beyond).exp()
            }
            Shape::Linear => {
                let s = scale / (1.0 - at_scale);
                f64::max((s - beyond) / s, 0.0)
            }
        }
    }

    #[test]
    fn each_shape_gives_the_figures_of_its_formula() {
        // Worked out by hand (bc -l) for scale 10, offset 5, decay .3.
        for (distance, exp, gauss, linear) in [
            (0.0, 1.0, 1.0, 1.0),
            (5.0, 1.0, 1.0, 1.0),
            (10.0, 0.547_723, 0.740_083, 0.65),
            (15.0, 0.3, 0.3, 0.3),
            (-15.0, 0.3, 0.3, 0.3),
            (25.0, 0.09, 0.008_1, 0.0),
        ] {
            for (shape, expected) in [(Shape::Exp, exp), (Shape::Gauss, gauss), (Shape::Linear, linear)] {
                let found = decay(shape).at(distance);
                assert!((found - expected).abs() < 1e-6, "{shape:?} at {distance}: {found}");
            }
        }
    }

    proptest! {
        #[test]
        fn decays_are_those_of_elasticsearch_s_documentation(
            scale in 0.001f64..1e12, offset in 0.0f64..1e12, at_scale in 0.01f64..0.99, factor in -20.0f64..20.0,
        ) {
            for (_, shape) in Shape::NAMES {
                let decay = Decay { shape, scale, offset, at_scale };
                let distance = factor * (scale + offset);
                let found = decay.at(distance);
                prop_assert!((found - documented(decay, distance)).abs() < 1e-9);
                prop_assert!((0.0..=1.0).contains(&found));
                prop_assert!(found >= decay.at(distance * 1.5), "what is further away is not nearer");
                prop_assert!((decay.at(offset + scale) - at_scale).abs() < 1e-6);
            }
        }
    }
}
