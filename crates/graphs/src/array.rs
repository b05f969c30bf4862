//! Arrays of numbers as graphs hold them, and weights as they come from a file: floats, or int8 values that a stock file
//! has quantised already.

/// Floats in a shape, row by row.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Array {
    /// The length of each axis.
    pub shape: Vec<usize>,
    /// The values; as many as the shape says.
    pub values: Vec<f32>,
}

impl Array {
    /// The length of a row, that is of the last axis.
    pub fn width(&self) -> usize {
        self.shape.last().copied().unwrap_or(1)
    }

    /// Adds the same numbers to each row.
    pub fn add_to_rows(&mut self, numbers: &[f32]) {
        for row in self.values.chunks_exact_mut(numbers.len().max(1)) {
            row.iter_mut().zip(numbers).for_each(|(x, number)| *x += number);
        }
    }

    /// The first rows of a matrix.
    #[must_use]
    pub fn first_rows(mut self, count: usize) -> Array {
        let width = self.width();
        self.shape[0] = count.min(self.shape[0]);
        self.values.truncate(self.shape[0] * width);
        self
    }
}

/// The weights of `y = x W + b`, where `W` has a row for each input and a column for each output.
#[derive(Debug, Clone, PartialEq)]
pub struct Linear {
    /// `W`.
    pub weights: Weights,
    /// `b`; none where nothing is added.
    pub bias: Option<Vec<f32>>,
}

/// A matrix of `inputs` rows and `outputs` columns, row by row.
#[derive(Debug, Clone, PartialEq)]
pub struct Weights {
    /// The number of rows.
    pub inputs: usize,
    /// The number of columns.
    pub outputs: usize,
    /// The numbers.
    pub values: Values,
}

/// The numbers of a matrix.
#[derive(Debug, Clone, PartialEq)]
pub enum Values {
    /// As they are.
    Float(Vec<f32>),
    /// `(value - zero point) · scale`.
    Quantised(Quantised),
}

/// Numbers of eight bits. One scale for all of them is kept as one: multiplying by it is a little faster.
#[derive(Debug, Clone, PartialEq)]
pub struct Quantised {
    /// The values, row by row.
    pub values: Vec<i8>,
    /// One for each column, or one for all.
    pub scales: Vec<f32>,
    /// One for each column, one for all, or none where they are 0.
    pub zero_points: Option<Vec<i8>>,
}

impl Weights {
    /// A matrix of floats.
    pub fn float(inputs: usize, outputs: usize, values: Vec<f32>) -> Weights {
        Weights { inputs, outputs, values: Values::Float(values) }
    }

    /// The numbers as floats.
    pub fn into_floats(self) -> Vec<f32> {
        match self.values {
            Values::Float(values) => values,
            Values::Quantised(quantised) => quantised.to_floats(self.outputs),
        }
    }

    /// False where one of the numbers is none, or endless.
    pub fn are_finite(&self) -> bool {
        let floats = match &self.values {
            Values::Float(values) => values,
            Values::Quantised(quantised) => &quantised.scales,
        };
        floats.iter().all(|float| float.is_finite())
    }

    /// The columns from `from` up to `to`, as a matrix of their own.
    fn columns(&self, from: usize, to: usize) -> Weights {
        fn cut<T: Copy>(values: &[T], width: usize, from: usize, to: usize) -> Vec<T> {
            values.chunks_exact(width).flat_map(|row| &row[from..to]).copied().collect()
        }
        fn part<T: Copy>(values: &[T], from: usize, to: usize) -> Vec<T> {
            if values.len() == 1 { values.to_vec() } else { values[from..to].to_vec() }
        }
        let values = match &self.values {
            Values::Float(values) => Values::Float(cut(values, self.outputs, from, to)),
            Values::Quantised(all) => Values::Quantised(Quantised {
                values: cut(&all.values, self.outputs, from, to),
                scales: part(&all.scales, from, to),
                zero_points: all.zero_points.as_ref().map(|points| part(points, from, to)),
            }),
        };
        Weights { inputs: self.inputs, outputs: to - from, values }
    }
}

impl Quantised {
    /// What the numbers stand for, in rows of so many columns.
    pub fn to_floats(&self, columns: usize) -> Vec<f32> {
        let zero_points = self.zero_points.as_deref().unwrap_or(&[0]);
        let of = |column: usize, count: usize| if count == 1 { 0 } else { column };
        let float = |(column, &value): (usize, &i8)| {
            let zero_point = i32::from(zero_points[of(column, zero_points.len())]);
            (i32::from(value) - zero_point) as f32 * self.scales[of(column, self.scales.len())]
        };
        self.values.chunks_exact(columns).flat_map(|row| row.iter().enumerate().map(float)).collect()
    }
}

impl Linear {
    /// The layer with its outputs multiplied by `factor`. Exact for quantised weights: their scales take it.
    #[must_use]
    pub fn scaled(mut self, factor: f32) -> Linear {
        let numbers = match &mut self.weights.values {
            Values::Float(values) => values,
            Values::Quantised(quantised) => &mut quantised.scales,
        };
        numbers.iter_mut().for_each(|number| *number *= factor);
        self.bias.iter_mut().flatten().for_each(|number| *number *= factor);
        self
    }

    /// A layer whose outputs are those of `COUNT` layers, one after the other, as these.
    pub fn split<const COUNT: usize>(&self) -> [Linear; COUNT] {
        let width = self.weights.outputs / COUNT;
        std::array::from_fn(|part| {
            let (from, to) = (part * width, (part + 1) * width);
            let bias = self.bias.as_ref().map(|bias| bias[from..to].to_vec());
            Linear { weights: self.weights.columns(from, to), bias }
        })
    }
}

/// A matrix with rows and columns exchanged. `values` has `rows` rows.
pub fn transposed(rows: usize, values: &[f32]) -> Vec<f32> {
    let columns = values.len() / rows.max(1);
    let mut turned = Vec::with_capacity(values.len());
    for column in 0..columns {
        turned.extend(values.iter().skip(column).step_by(columns));
    }
    turned
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quantised() -> Linear {
        let values = Values::Quantised(Quantised {
            values: vec![1, -2, 3, 4, 5, -6],
            scales: vec![0.5, 1.0, 2.0],
            zero_points: Some(vec![1, 0, -1]),
        });
        Linear { weights: Weights { inputs: 2, outputs: 3, values }, bias: Some(vec![1.0, 2.0, 3.0]) }
    }

    #[test]
    fn quantised_numbers_stand_for_floats() {
        assert_eq!(quantised().weights.into_floats(), [0.0, -2.0, 8.0, 1.5, 5.0, -10.0]);
    }

    #[test]
    fn a_factor_scales_outputs_and_bias() {
        let scaled = quantised().scaled(2.0);
        assert_eq!(scaled.weights.into_floats(), [0.0, -4.0, 16.0, 3.0, 10.0, -20.0]);
        assert_eq!(scaled.bias, Some(vec![2.0, 4.0, 6.0]));
    }

    #[test]
    fn parts_of_a_layer_have_its_columns() {
        let [a, b, c] = quantised().split();
        assert_eq!(a.weights.into_floats(), [0.0, 1.5]);
        assert_eq!(b.weights.into_floats(), [-2.0, 5.0]);
        assert_eq!((c.weights.into_floats(), c.bias), (vec![8.0, -10.0], Some(vec![3.0])));
    }

    #[test]
    fn a_matrix_is_transposed() {
        assert_eq!(transposed(2, &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]), [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
    }
}
