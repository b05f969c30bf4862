//! The layers that encoders are made of, at each precision: linear layers, layer norms, activations, embeddings, heads, and the
//! mask. What makes them fast in ONNX Runtime on a CPU is said where it is done; docs/compiled-graph.md has the figures.

use crate::{
    array::{Array, Linear, Quantised, Values, Weights},
    checkpoint::Checkpoint,
    error::BuildError,
    graph::{Axis, Graph, Setting, Value},
    precision::{self, Precision},
    size::Size,
};

/// Added to the scores of masked tokens: `exp` of it is 0 beside any score, and it is far from the ends of any float.
pub(crate) const MASKED: f32 = -30_000.0;

/// An activation function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// `x Φ(x)`, exact.
    Gelu,
    /// `x Φ(x)`, with `tanh` in the place of `erf`.
    GeluTanh,
    /// `max(x, 0)`.
    Relu,
    /// The hyperbolic tangent.
    Tanh,
}

impl Activation {
    /// The function that a configuration calls so.
    pub fn named(name: &str) -> Option<Activation> {
        match name {
            "gelu" | "gelu_python" => Some(Activation::Gelu),
            "gelu_new" | "gelu_pytorch_tanh" | "gelu_fast" => Some(Activation::GeluTanh),
            "relu" => Some(Activation::Relu),
            "tanh" => Some(Activation::Tanh),
            _ => None,
        }
    }

    /// The lowest value that the function gives, without its sign, and the zero point that leaves the numbers of a byte to where
    /// its values are.
    fn lowest(self) -> (f32, u8) {
        match self {
            Activation::Gelu | Activation::GeluTanh => (0.17, 16),
            Activation::Relu => (0.0, 0),
            Activation::Tanh => (1.0, 128),
        }
    }
}

/// The gain and the bias of a layer norm, and what is added to the variance.
#[derive(Debug, Clone)]
pub struct LayerNorm {
    gain: Vec<f32>,
    bias: Vec<f32>,
    epsilon: f32,
}

impl LayerNorm {
    /// That of the module `name`, of rows of such a width.
    ///
    /// # Errors
    /// It is not among the weights, or is of another width.
    pub fn read(weights: &Checkpoint, name: &str, width: Size, epsilon: f32) -> Result<LayerNorm, BuildError> {
        // As the authors of BERT called them; old checkpoints still do.
        let [gain, bias] = [["weight", "gamma"], ["bias", "beta"]].map(|[part, of_old]| {
            let [part, of_old] = [part, of_old].map(|part| format!("{name}.{part}"));
            let is_old = !weights.has(&part) && weights.has(&of_old);
            weights.vector(if is_old { &of_old } else { &part }, width)
        });
        let (gain, bias) = (gain?, bias?);
        Ok(LayerNorm { gain, bias, epsilon })
    }

    /// That of the module `name`, in an architecture whose norms may have no bias.
    ///
    /// # Errors
    /// It is not among the weights, or is of another width.
    pub fn read_with_or_without_bias(
        weights: &Checkpoint,
        name: &str,
        width: Size,
        epsilon: f32,
    ) -> Result<LayerNorm, BuildError> {
        if weights.has(&format!("{name}.bias")) {
            return LayerNorm::read(weights, name, width, epsilon);
        }
        let gain = weights.vector(&format!("{name}.weight"), width)?;
        Ok(LayerNorm { bias: vec![0.0; gain.len()], gain, epsilon })
    }

    /// Normalises the rows of a constant, so that the graph need not.
    pub fn apply(&self, array: &mut Array) {
        let width = array.width();
        for row in array.values.chunks_exact_mut(width) {
            let mean = row.iter().map(|&x| f64::from(x)).sum::<f64>() / width as f64;
            let variance = row.iter().map(|&x| (f64::from(x) - mean).powi(2)).sum::<f64>() / width as f64;
            let deviation = (variance + f64::from(self.epsilon)).sqrt();
            for ((x, gain), bias) in row.iter_mut().zip(&self.gain).zip(&self.bias) {
                *x = ((f64::from(*x) - mean) / deviation * f64::from(*gain) + f64::from(*bias)) as f32;
            }
        }
    }
}

/// A value that was quantised: uint8 numbers, their scale, and their zero point.
pub type QuantisedValue = [Value; 3];

/// The lengths in a run, which are only known then: each a row of one int64.
#[derive(Debug, Clone)]
pub struct Lengths {
    /// Inputs in the batch.
    pub batch: Value,
    /// Tokens of each, padding included.
    pub tokens: Value,
}

impl Graph {
    /// The lengths in a run. More tokens than `max_length` make the run fail: the tables of positions end there, and a slice
    /// that begins before its table would give other rows, and so wrong scores, without a word.
    pub fn lengths(&mut self, ids: &Value, max_length: usize) -> Lengths {
        let shape = self.op("Shape", &[ids], &[]);
        let [zero, one, two] = [0, 1, 2].map(|place| self.ints(&[place]));
        let batch = self.slice(&shape, 0, &zero, &one, 1);
        let tokens = self.slice(&shape, 0, &one, &two, 1);
        // The entry at place n is n; there is none after the last length that is allowed.
        let allowed: Vec<i64> = (0..=max_length as i64).collect();
        let allowed = self.ints(&allowed);
        Lengths { batch, tokens: self.gather(&allowed, &tokens, 0) }
    }

    /// What is added to scores, `[batch, tokens]`: 0 for a token that counts, a large negative number for padding. Only keys are
    /// masked: what padding asks for is never read.
    pub fn mask(&mut self, attention_mask: &Value) -> Value {
        let (one, masked) = (self.float(1.0), self.float(-MASKED));
        let counts = self.as_floats(attention_mask);
        let less_one = self.subtract(&counts, &one);
        self.multiply(&less_one, &masked)
    }

    /// How many tokens of each input count, `[batch]`. Padding is at the right.
    pub fn counts(&mut self, attention_mask: &Value) -> Value {
        let tokens = self.ints(&[1]);
        self.op("ReduceSum", &[attention_mask, &tokens], &[("keepdims", Setting::Int(0))])
    }

    /// `x W + b`.
    ///
    /// int8: ONNX Runtime quantises `x` and multiplies in one operator, with the bias inside.
    pub fn linear(&mut self, x: &Value, layer: Linear) -> Value {
        let Some(largest) = self.precision().largest() else { return self.float_linear(x, layer) };
        let [weights, scales, zero_points, bias] = self.quantised_constants(layer, largest);
        self.runtime_op("DynamicQuantizeMatMul", &[x, &weights, &scales, &zero_points, &bias], &[])
    }

    /// Several linear layers of the same value, which int8 quantises once for all of them.
    pub fn linears<const COUNT: usize>(&mut self, x: &Value, layers: [Linear; COUNT]) -> [Value; COUNT] {
        if self.precision() == Precision::Fp32 {
            return layers.map(|layer| self.float_linear(x, layer));
        }
        let quantised = self.quantised(x);
        layers.map(|layer| self.quantised_linear(&quantised, layer))
    }

    /// A value as uint8, with one scale and one zero point for all of it.
    pub fn quantised(&mut self, x: &Value) -> QuantisedValue {
        self.op_with_outputs("DynamicQuantizeLinear", &[x])
    }

    /// A linear layer of a value that was quantised.
    fn quantised_linear(&mut self, [x, scale, zero]: &QuantisedValue, layer: Linear) -> Value {
        let [weights, scales, zero_points, bias] =
            self.quantised_constants(layer, self.precision().largest().unwrap_or(127));
        let inputs = [x, &weights, scale, &scales, zero, &zero_points, &bias];
        self.runtime_op("MatMulIntegerToFloat", &inputs, &[])
    }

    /// The weights of a linear layer as int8, their scales, their zero points and the bias.
    fn quantised_constants(&mut self, layer: Linear, largest: i8) -> [Value; 4] {
        let (inputs, outputs) = (layer.weights.inputs, layer.weights.outputs);
        let quantised = precision::quantised(layer.weights, largest);
        let weights = self.bytes("weights", &[inputs, outputs], quantised.values);
        // One scale for all columns is a number and no row of them.
        let shape = |count: usize| if count == 1 { vec![] } else { vec![count] };
        let scales = self.floats("scales", &shape(quantised.scales.len()), quantised.scales);
        let zero_points =
            self.optional(quantised.zero_points, |graph, points| graph.bytes("zeros", &shape(points.len()), points));
        let bias = self.optional(layer.bias, |graph, bias| graph.floats("bias", &[outputs], bias));
        [weights, scales, zero_points, bias]
    }

    /// `x W + b` in floats, whatever the precision.
    pub fn float_linear(&mut self, x: &Value, layer: Linear) -> Value {
        let outputs = layer.weights.outputs;
        let weights = self.float_weights(layer.weights);
        let product = self.matmul(x, &weights);
        match layer.bias {
            Some(bias) => {
                let bias = self.floats("bias", &[outputs], bias);
                self.add(&product, &bias)
            }
            None => product,
        }
    }

    /// A matrix of floats. In a narrow graph it becomes that when it is used.
    fn float_weights(&mut self, weights: Weights) -> Value {
        let shape = [weights.inputs, weights.outputs];
        let values = match weights.values {
            Values::Quantised(quantised) if self.is_narrow() => return self.dequantised(quantised, shape),
            _ => weights.into_floats(),
        };
        let (weights, is_narrow) = self.narrow_floats("weights", &shape, values);
        self.widened(weights, is_narrow)
    }

    /// Floats that are made of quantised numbers in each run.
    fn dequantised(&mut self, quantised: Quantised, shape: [usize; 2]) -> Value {
        let Quantised { values, scales, zero_points } = quantised;
        let of_scales = scales.len();
        // A zero point for each scale is what the operator wants.
        let zero_points = zero_points.unwrap_or_else(|| vec![0]);
        let (zero_points, scales) = match (zero_points.len(), of_scales) {
            (1, _) => (vec![zero_points[0]; of_scales], scales),
            (points, 1) => (zero_points, vec![scales[0]; points]),
            _ => (zero_points, scales),
        };
        let numbers = self.bytes("weights", &shape, values);
        let scales_shape = if scales.len() == 1 { vec![] } else { vec![scales.len()] };
        let scales = self.floats("scales", &scales_shape, scales);
        let zero_points = self.bytes("zeros", &scales_shape, zero_points);
        self.op("DequantizeLinear", &[&numbers, &scales, &zero_points], &[("axis", Setting::Int(1))])
    }

    fn optional<T>(&mut self, values: Option<T>, constant: impl FnOnce(&mut Graph, T) -> Value) -> Value {
        match values {
            Some(values) => constant(self, values),
            None => self.nothing(),
        }
    }

    /// The layer norm of `x + y`.
    ///
    /// `Sum`, not `Add`: ONNX Runtime makes `SkipLayerNormalization` of an `Add` before a layer norm, and its CPU kernel of that
    /// takes several times as long as the two apart.
    pub fn add_and_norm(&mut self, x: &Value, y: &Value, norm: LayerNorm) -> Value {
        let sum = self.sum(&[x, y]);
        self.norm(&sum, norm)
    }

    /// The layer norm of `x`.
    pub fn norm(&mut self, x: &Value, norm: LayerNorm) -> Value {
        let width = norm.gain.len();
        let gain = self.floats("gain", &[width], norm.gain);
        let bias = self.floats("bias", &[width], norm.bias);
        let settings = [("axis", Setting::Int(-1)), ("epsilon", Setting::Float(norm.epsilon))];
        self.op("LayerNormalization", &[x, &gain, &bias], &settings)
    }

    /// `norm(x + W_2 · activation(W_1 x))`: the second half of a layer.
    pub fn feed_forward(
        &mut self,
        x: &Value,
        up: Linear,
        function: Activation,
        down: Linear,
        norm: LayerNorm,
    ) -> Value {
        let inner = self.linear(x, up);
        let inner = self.activate(&inner, function);
        if self.precision() == Precision::Fp32 {
            let output = self.linear(&inner, down);
            return self.add_and_norm(&output, x, norm);
        }
        let bias = down.bias.clone();
        let output = self.linear_by_row(&inner, function, down);
        let mut terms = vec![output, x.clone()];
        terms.extend(bias.map(|bias| self.floats("bias", &[bias.len()], bias)));
        let sum = self.sum(&terms.iter().collect::<Vec<_>>());
        self.norm(&sum, norm)
    }

    /// `x W` in int8, for an `x` that comes out of `function`, with a scale for each row of it.
    ///
    /// What comes out of an activation function differs more between tokens than anything else that is quantised: a few tokens
    /// have values many times as large as all others, which one scale for all would leave a handful of numbers. A scale for each
    /// row halves the error of the whole model, for 2 % of its time. ONNX Runtime multiplies by one scale only, so that the
    /// product's is 1, and the rows are multiplied afterwards.
    fn linear_by_row(&mut self, x: &Value, function: Activation, layer: Linear) -> Value {
        let (lowest, zero) = function.lowest();
        let last = self.ints(&[-1]);
        let highest = self.op("ReduceMax", &[x, &last], &[("keepdims", Setting::Int(1))]);
        let per_number = self.float(1.0 / (255.0 - f32::from(zero)));
        let scale = self.multiply(&highest, &per_number);
        let at_least = self.float((lowest / f32::from(zero.max(1))).max(1e-12));
        let scale = self.op("Max", &[&scale, &at_least], &[]);

        let shape = self.op("Shape", &[x], &[]);
        let rows = self.reshape(x, &[Axis::Rest, Axis::Of(layer.weights.inputs)]);
        let row_scales = self.reshape(&scale, &[Axis::Rest]);
        let count = self.op("Shape", &[&row_scales], &[]);
        let zero = self.byte(zero);
        let zeros = self.op("Expand", &[&zero, &count], &[]);
        let numbers = self.op("QuantizeLinear", &[&rows, &row_scales, &zeros], &[("axis", Setting::Int(0))]);
        let numbers = self.op("Reshape", &[&numbers, &shape], &[]);

        let one = self.float(1.0);
        let product = self.quantised_linear(&[numbers, one, zero], Linear { bias: None, ..layer });
        self.multiply(&product, &scale)
    }

    /// An activation function, number by number.
    pub fn activate(&mut self, x: &Value, function: Activation) -> Value {
        match function {
            Activation::Gelu => self.op("Gelu", &[x], &[]),
            Activation::GeluTanh => self.runtime_op("FastGelu", &[x], &[]),
            Activation::Relu => self.op("Relu", &[x], &[]),
            Activation::Tanh => self.op("Tanh", &[x], &[]),
        }
    }

    /// `[batch, tokens, width]` as `[batch, heads, tokens, width of a head]`.
    pub fn split_heads(&mut self, x: &Value, heads: usize, width: usize) -> Value {
        let apart = self.reshape(x, &[Axis::Same, Axis::Same, Axis::Of(heads), Axis::Of(width / heads)]);
        self.transpose(&apart, &[0, 2, 1, 3])
    }

    /// `[batch, heads, tokens, width of a head]` as `[batch, tokens, width]`.
    pub fn join_heads(&mut self, x: &Value, width: usize) -> Value {
        let apart = self.transpose(x, &[0, 2, 1, 3]);
        self.reshape(&apart, &[Axis::Same, Axis::Same, Axis::Of(width)])
    }

    /// The first row of each input: `[batch, tokens, width]` as `[batch, 1, width]`.
    pub fn first_row(&mut self, x: &Value) -> Value {
        let (zero, one) = (self.ints(&[0]), self.ints(&[1]));
        self.slice(x, 1, &zero, &one, 1)
    }

    /// The rows of `table` that `ids` names, `[batch, tokens, width]`.
    ///
    /// int8: a scale for each row, so that a rare token with small numbers loses nothing to one with large numbers. What a stock
    /// file has quantised with one scale for the whole table is taken as it is. Eight bits at every precision: these numbers are
    /// not multiplied by others, so that nothing overflows.
    pub fn embedding(&mut self, table: Weights, ids: &Value) -> Value {
        let (rows, width) = (table.inputs, table.outputs);
        let values = match table.values {
            Values::Quantised(quantised)
                if (self.precision().largest().is_some() || self.is_narrow()) && quantised.scales.len() == 1 =>
            {
                return self.quantised_embedding(quantised, rows, width, ids);
            }
            Values::Quantised(quantised) => quantised.to_floats(width),
            Values::Float(values) => values,
        };
        if self.precision() == Precision::Fp32 {
            let (table, is_narrow) = self.narrow_floats("embeddings", &[rows, width], values);
            let rows = self.gather(&table, ids, 0);
            return self.widened(rows, is_narrow);
        }
        let quantised = precision::by_row(width, &values, 127);
        drop(values);
        let numbers = self.bytes("embeddings", &[rows, width], quantised.values);
        let scales = self.floats("scales", &[rows, 1], quantised.scales);
        let numbers = self.gather(&numbers, ids, 0);
        let numbers = self.as_floats(&numbers);
        let scales = self.gather(&scales, ids, 0);
        self.multiply(&numbers, &scales)
    }

    /// The rows of `table` that `ids` names, normalised: a row of it depends on the token alone, so that the table itself is
    /// normalised, and no run has to. In a narrow graph it stays as the file has it.
    pub fn normed_embedding(&mut self, table: Weights, norm: LayerNorm, ids: &Value) -> Value {
        if self.is_narrow() {
            let rows = self.embedding(table, ids);
            return self.norm(&rows, norm);
        }
        let (inputs, outputs) = (table.inputs, table.outputs);
        let mut words = Array { shape: vec![inputs, outputs], values: table.into_floats() };
        norm.apply(&mut words);
        self.embedding(Weights::float(inputs, outputs, words.values), ids)
    }

    /// The rows of a table that has one scale. Rows are picked first, so that few numbers are multiplied.
    fn quantised_embedding(&mut self, table: Quantised, rows: usize, width: usize, ids: &Value) -> Value {
        let zero_point = table.zero_points.map_or(0, |points| points[0]);
        let scale = self.float(table.scales[0]);
        let zero_point = self.bytes("zero", &[], vec![zero_point]);
        let numbers = self.bytes("embeddings", &[rows, width], table.values);
        let numbers = self.gather(&numbers, ids, 0);
        self.op("DequantizeLinear", &[&numbers, &scale, &zero_point], &[])
    }

    /// A table of positions, as far as the inputs of a run go: `[tokens, width]`.
    pub fn first_positions(&mut self, table: Array, lengths: &Lengths) -> Value {
        let table = self.floats("positions", &table.shape, table.values);
        let zero = self.ints(&[0]);
        self.slice(&table, 0, &zero, &lengths.tokens, 1)
    }
}
