//! Precisions: how many bits the weights of a graph have, and how floats become so few.

use half::{bf16, f16};

use crate::{
    array::{Quantised, Values, Weights},
    onnx::data_type,
};

/// The precision of a graph's weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Precision {
    /// Floats of 32 bits.
    Fp32,
    /// Weights of 8 bits; activations are quantised in the run, with one scale for each tensor.
    Int8,
    /// As [`Precision::Int8`] with weights of 7 bits. Processors without the VNNI instructions add pairs of products of 8-bit
    /// numbers in 16 bits, which overflow: 2 · 255 · 127 is more than 32,767, and 2 · 255 · 64 is not.
    Int7,
}

impl Precision {
    /// Every precision under its name on the command line and in files.
    pub const NAMES: [(&'static str, Precision); 3] =
        [("fp32", Precision::Fp32), ("int8", Precision::Int8), ("int7", Precision::Int7)];

    /// The precision of that name.
    pub fn named(name: &str) -> Option<Precision> {
        Precision::NAMES.iter().find(|(known, _)| *known == name).map(|(_, precision)| *precision)
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        Precision::NAMES.iter().find(|(_, precision)| *precision == self).map_or("", |(name, _)| name)
    }

    /// True where the inputs of a run are worked out one by one, each without its padding, since together they would change each
    /// other's scores: activations are quantised with one scale for all that is worked out together.
    pub fn goes_one_by_one(self) -> bool {
        self != Precision::Fp32
    }

    /// The largest weight, and with the other sign the smallest; `None` for floats.
    pub fn largest(self) -> Option<i8> {
        match self {
            Precision::Fp32 => None,
            Precision::Int8 => Some(127),
            Precision::Int7 => Some(64),
        }
    }
}

/// The weights of a layer with a scale for each column. What a stock file has quantised is taken as it is, unless its
/// numbers are larger than `largest`.
pub(crate) fn quantised(weights: Weights, largest: i8) -> Quantised {
    match weights.values {
        Values::Quantised(quantised) if fits(&quantised, largest) => quantised,
        Values::Quantised(quantised) => by_column(weights.outputs, &quantised.to_floats(weights.outputs), largest),
        Values::Float(values) => by_column(weights.outputs, &values, largest),
    }
}

fn fits(quantised: &Quantised, largest: i8) -> bool {
    largest == 127 || quantised.values.iter().all(|value| value.unsigned_abs() <= largest.unsigned_abs())
}

/// Symmetric numbers, a scale for each column.
fn by_column(columns: usize, values: &[f32], largest: i8) -> Quantised {
    let mut extremes = vec![0_f32; columns];
    for row in values.chunks_exact(columns) {
        extremes.iter_mut().zip(row).for_each(|(extreme, value)| *extreme = extreme.max(value.abs()));
    }
    let scales: Vec<f32> = extremes.iter().map(|extreme| step(*extreme, largest)).collect();
    let number = |(value, scale): (&f32, &f32)| nearest(value / scale, largest);
    let values = values.chunks_exact(columns).flat_map(|row| row.iter().zip(&scales).map(number)).collect();
    Quantised { values, scales, zero_points: None }
}

/// Symmetric numbers, a scale for each row of so many.
pub(crate) fn by_row(width: usize, values: &[f32], largest: i8) -> Quantised {
    let mut scales = Vec::with_capacity(values.len() / width.max(1));
    let mut numbers = Vec::with_capacity(values.len());
    for row in values.chunks_exact(width) {
        let scale = step(row.iter().fold(0_f32, |extreme, value| extreme.max(value.abs())), largest);
        numbers.extend(row.iter().map(|value| nearest(value / scale, largest)));
        scales.push(scale);
    }
    Quantised { values: numbers, scales, zero_points: None }
}

/// The scale with which `extreme` becomes `largest`. Not 0, so that a column of zeros can be divided by it.
pub(crate) fn step(extreme: f32, largest: i8) -> f32 {
    extreme.max(1e-12) / f32::from(largest)
}

/// The nearest number, halves to the even one, as numpy's `rint` has it.
pub(crate) fn nearest(value: f32, largest: i8) -> i8 {
    let largest = f32::from(largest);
    value.round_ties_even().clamp(-largest, largest) as i8
}

/// The numbers in 16 bits, and the type of those, where that loses nothing: they are from a file that has no more.
pub(crate) fn halves(values: &[f32]) -> Option<(i32, Vec<u16>)> {
    let all = |half: fn(f32) -> (u16, f32)| -> Option<Vec<u16>> {
        let exact = |&value: &f32| {
            let (bits, back) = half(value);
            (back.to_bits() == value.to_bits()).then_some(bits)
        };
        values.iter().map(exact).collect()
    };
    let half = all(|value| (f16::from_f32(value).to_bits(), f16::from_f32(value).to_f32()));
    let brain = || all(|value| (bf16::from_f32(value).to_bits(), bf16::from_f32(value).to_f32()));
    half.map(|bits| (data_type::FLOAT16, bits)).or_else(|| brain().map(|bits| (data_type::BFLOAT16, bits)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_column_has_a_scale_of_its_own() {
        let quantised = by_column(2, &[1.0, -100.0, 0.5, 50.0], 127);
        assert_eq!(quantised.values, [127, -127, 64, 64]);
        assert_eq!(quantised.scales, [1.0 / 127.0, 100.0 / 127.0]);
    }

    #[test]
    fn weights_of_seven_bits_never_overflow_sixteen() {
        let quantised = by_column(1, &[1.0, -1.0, 0.3], 64);
        assert!(quantised.values.iter().all(|value| 2 * 255 * i32::from(value.unsigned_abs()) <= 32_767));
    }

    #[test]
    fn halves_are_taken_where_they_lose_nothing() {
        let of = |values: &[f32]| halves(values).map(|(data_type, _)| data_type);
        assert_eq!(halves(&[1.0, -0.0]), Some((data_type::FLOAT16, vec![0x3c00, 0x8000])));
        assert_eq!(of(&[1.0, f32::from_bits(0x7f00_0000)]), Some(data_type::BFLOAT16));
        assert_eq!((of(&[0.1]), of(&[1.0, f32::from_bits(0x3f80_0001)])), (None, None));
    }

    #[test]
    fn a_column_of_zeros_stays_zero() {
        assert_eq!(by_column(1, &[0.0, 0.0], 127).to_floats(1), [0.0, 0.0]);
    }

    #[test]
    fn what_was_quantised_is_taken_as_it_is_where_it_fits() {
        let stock = Quantised { values: vec![100, -3], scales: vec![0.5], zero_points: Some(vec![1]) };
        let matrix = |values| Weights { inputs: 2, outputs: 1, values };
        assert_eq!(quantised(matrix(Values::Quantised(stock.clone())), 127), stock);
        let reduced = quantised(matrix(Values::Quantised(stock)), 64);
        assert_eq!((reduced.values, reduced.zero_points), (vec![64, -3], None));
    }
}
