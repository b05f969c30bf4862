//! A graph that is being written down: values have names, operators are added one after the other, constants once. It knows the
//! operators by their ONNX names (opset 24, and ONNX Runtime's own set `com.microsoft`), and nothing of models.

mod messages;

use std::collections::HashMap;

use bytes::Bytes;
use zerocopy::{Immutable, IntoBytes};

use messages::{Body, Length, attribute, description, scan};

pub use messages::Setting;

use crate::{
    onnx::{GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto, ValueInfoProto, data_type},
    precision::{self, Precision},
};

/// The version of ONNX's own operators: the first whose `Attention` knows of padding.
const OPSET: i64 = 24;

/// The first release of ONNX Runtime that runs these operators on a CPU.
pub const ONNXRUNTIME: [u32; 2] = [1, 24];

/// The version of the format that goes with it.
const IR_VERSION: i64 = 11;

/// The operators that ONNX Runtime has beside ONNX's.
const MICROSOFT: &str = "com.microsoft";

/// Constants of at most so many bytes are kept once, however often they are asked for.
const SMALL: usize = 256;

/// A value in the graph, by its name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Value(String);

/// The length of an axis that a value is given a new shape with.
#[derive(Debug, Clone)]
pub enum Axis {
    /// As long as the axis at this place was.
    Same,
    /// So long.
    Of(usize),
    /// As long as the numbers that are left make it.
    Rest,
    /// As long as this value says, a tensor of one int64.
    As(Value),
}

/// A graph that is being written down.
pub struct Graph {
    precision: Precision,
    /// See [`Recipe::narrow`](crate::Recipe::narrow).
    narrow: bool,
    nodes: Vec<NodeProto>,
    constants: Vec<TensorProto>,
    inputs: Vec<ValueInfoProto>,
    outputs: Vec<ValueInfoProto>,
    /// Set where the operators are run for one input after the other.
    body: Option<Body>,
    /// Small constants and shapes that were written down, by what they are.
    known: HashMap<Vec<u8>, Value>,
    /// The part of the model that is being written down, for the names.
    part: String,
    count: usize,
}

impl Graph {
    /// An empty graph, whose weights are to have this precision, and if it is fp32 may be `narrow` until they are used.
    pub fn new(precision: Precision, narrow: bool) -> Graph {
        Graph {
            precision,
            narrow: narrow && precision == Precision::Fp32,
            nodes: Vec::new(),
            constants: Vec::new(),
            inputs: Vec::new(),
            outputs: Vec::new(),
            body: None,
            known: HashMap::new(),
            part: String::new(),
            count: 0,
        }
    }

    /// The precision of its weights.
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// True where floats are made of its weights in each run.
    pub fn is_narrow(&self) -> bool {
        self.narrow
    }

    /// Says which part of the model what follows is. Operators and constants are named after it, which profiles show.
    pub fn enter(&mut self, part: impl Into<String>) {
        self.part = part.into();
    }

    /// An input of int64 in the shape `[batch, sequence]`.
    pub fn input(&mut self, name: &str) -> Value {
        self.inputs.push(description(name, data_type::INT64, &[Length::Named("batch"), Length::Named("sequence")]));
        Value(name.to_owned())
    }

    /// Inputs of int64 in the shape `[batch, sequence]`, of which all operators that follow see one at a time: `[1, tokens]`, as
    /// many tokens as `mask` counts. The mask becomes an input of the graph as well, and is given to nobody.
    ///
    /// The operators are the body of a `Scan`, the weights lie outside of it. Activations that are quantised in a
    /// run have one scale for all that is in it, so that a score would depend on the company that its pair keeps, and on the padding.
    /// Here each pair has its own. It costs nothing: what a pair needs stays in the processor's cache, so that 16 pairs of 128 tokens
    /// take a tenth less time than all in step, and padding is not worked out at all.
    pub fn inputs_one_by_one<const COUNT: usize>(&mut self, names: [&str; COUNT], mask: &str) -> [Value; COUNT] {
        self.enter("one");
        let rows = names.map(|name| self.row(name));
        let mask = self.row(mask);
        let first = self.ints(&[0]);
        let tokens = self.op("ReduceSum", &[&mask, &first], &[("keepdims", Setting::Int(1))]);
        rows.map(|row| {
            let counted = self.slice(&row, 0, &first, &tokens, 1);
            self.op("Unsqueeze", &[&counted, &first], &[])
        })
    }

    /// An input, of which the body is given one row.
    fn row(&mut self, name: &str) -> Value {
        self.input(name);
        let row = format!("one/{name}");
        self.body.get_or_insert_default().inputs.push(description(
            &row,
            data_type::INT64,
            &[Length::Named("sequence")],
        ));
        Value(row)
    }

    /// Makes a value of `[1, width]` the body's part of an output.
    fn output_of_one(&mut self, value: &Value, width: usize) {
        let first = self.ints(&[0]);
        let row = self.op("Squeeze", &[value, &first], &[]);
        let part = description(&row.0, data_type::FLOAT, &[Length::Of(width)]);
        self.body.get_or_insert_default().outputs.push(part);
    }

    /// Makes a value an output of floats in the shape `[batch, width]`, under this name.
    pub fn output(&mut self, name: &str, value: &Value, width: usize) {
        self.outputs.push(description(name, data_type::FLOAT, &[Length::Named("batch"), Length::Of(width)]));
        if self.body.is_some() {
            return self.output_of_one(value, width);
        }
        // Renamed rather than copied: an Identity would be one more operator.
        let names = self.nodes.iter_mut().flat_map(|node| node.output.iter_mut().chain(&mut node.input));
        names.filter(|known| **known == value.0).for_each(|known| name.clone_into(known));
    }

    /// The model that this graph is.
    pub fn into_model(self, name: &str) -> ModelProto {
        let node = match self.body {
            Some(body) => vec![scan(body, self.nodes, &self.inputs, &self.outputs)],
            None => self.nodes,
        };
        let graph = GraphProto {
            node,
            name: name.to_owned(),
            initializer: self.constants,
            input: self.inputs,
            output: self.outputs,
            sparse_initializer: Vec::new(),
        };
        let set = |domain: &str, version| OperatorSetIdProto { domain: domain.to_owned(), version };
        ModelProto {
            ir_version: IR_VERSION,
            producer_name: String::from("rerank-proxy"),
            producer_version: String::from(env!("CARGO_PKG_VERSION")),
            graph: Some(graph),
            opset_import: vec![set("", OPSET), set(MICROSOFT, 1)],
            ..ModelProto::default()
        }
    }

    /// An operator of ONNX with one outcome.
    pub fn op(&mut self, kind: &str, inputs: &[&Value], settings: &[(&str, Setting)]) -> Value {
        let [value] = self.node("", kind, inputs, settings);
        value
    }

    /// An operator of ONNX Runtime's own with one outcome.
    pub fn runtime_op(&mut self, kind: &str, inputs: &[&Value], settings: &[(&str, Setting)]) -> Value {
        let [value] = self.node(MICROSOFT, kind, inputs, settings);
        value
    }

    /// An operator of ONNX with several outcomes.
    pub fn op_with_outputs<const COUNT: usize>(&mut self, kind: &str, inputs: &[&Value]) -> [Value; COUNT] {
        self.node("", kind, inputs, &[])
    }

    fn node<const COUNT: usize>(
        &mut self,
        domain: &str,
        kind: &str,
        inputs: &[&Value],
        settings: &[(&str, Setting)],
    ) -> [Value; COUNT] {
        let name = self.name(kind);
        let outputs: [Value; COUNT] = std::array::from_fn(|place| match place {
            0 => Value(name.clone()),
            _ => Value(format!("{name}.{place}")),
        });
        self.nodes.push(NodeProto {
            input: inputs.iter().map(|value| value.0.clone()).collect(),
            output: outputs.iter().map(|value| value.0.clone()).collect(),
            name,
            op_type: kind.to_owned(),
            attribute: settings.iter().map(|(name, setting)| attribute(name, setting)).collect(),
            domain: domain.to_owned(),
        });
        outputs
    }

    /// An optional input that is left out.
    pub fn nothing(&self) -> Value {
        Value(String::new())
    }

    /// A constant of floats.
    pub fn floats(&mut self, name: &str, shape: &[usize], values: Vec<f32>) -> Value {
        self.constant(name, shape, data_type::FLOAT, values)
    }

    /// A constant that is one float.
    pub fn float(&mut self, value: f32) -> Value {
        self.constant("float", &[], data_type::FLOAT, vec![value])
    }

    /// A constant of floats, in fewer bits where the graph is narrow and they lose nothing by it: true where that is so, and
    /// [`Graph::widened`] makes floats of what is read of it.
    pub fn narrow_floats(&mut self, name: &str, shape: &[usize], values: Vec<f32>) -> (Value, bool) {
        match self.narrow.then(|| precision::halves(&values)).flatten() {
            Some((data_type, halves)) => (self.constant(name, shape, data_type, halves), true),
            None => (self.floats(name, shape, values), false),
        }
    }

    /// The value as floats, which it is already but where it is `narrow`.
    pub fn widened(&mut self, value: Value, narrow: bool) -> Value {
        if narrow { self.as_floats(&value) } else { value }
    }

    /// A constant of int8.
    pub fn bytes(&mut self, name: &str, shape: &[usize], values: Vec<i8>) -> Value {
        self.constant(name, shape, data_type::INT8, values)
    }

    /// A constant of uint8 that is one number.
    pub fn byte(&mut self, value: u8) -> Value {
        self.constant("byte", &[], data_type::UINT8, vec![value])
    }

    /// A constant that is a row of int64.
    pub fn ints(&mut self, values: &[i64]) -> Value {
        self.constant("ints", &[values.len()], data_type::INT64, values.to_vec())
    }

    /// A constant that is one int64.
    pub fn int(&mut self, value: i64) -> Value {
        self.constant("int", &[], data_type::INT64, vec![value])
    }

    fn constant<T>(&mut self, name: &str, shape: &[usize], data_type: i32, values: Vec<T>) -> Value
    where
        T: IntoBytes + Immutable + Send + 'static,
    {
        let bytes = values.as_slice().as_bytes();
        let key = (bytes.len() <= SMALL).then(|| [format!("{data_type} {shape:?} ").as_bytes(), bytes].concat());
        if let Some(known) = key.as_ref().and_then(|key| self.known.get(key)) {
            return known.clone();
        }
        let value = Value(self.name(name));
        self.constants.push(TensorProto {
            dims: shape.iter().map(|&length| length as i64).collect(),
            data_type,
            name: value.0.clone(),
            raw_data: Bytes::from_owner(Owned(values)),
            ..TensorProto::default()
        });
        self.known.extend(key.map(|key| (key, value.clone())));
        value
    }

    fn name(&mut self, kind: &str) -> String {
        self.count += 1;
        let (part, count) = (&self.part, self.count);
        if part.is_empty() { format!("{kind}_{count}") } else { format!("{part}/{kind}_{count}") }
    }

    /// The value in another shape, with the same numbers in the same order.
    pub fn reshape(&mut self, value: &Value, axes: &[Axis]) -> Value {
        // Neighbours that are known become one constant; what is only known in a run is put between them.
        let mut parts: Vec<Value> = Vec::new();
        let mut known: Vec<i64> = Vec::new();
        for axis in axes {
            match axis {
                Axis::Same => known.push(0),
                Axis::Of(length) => known.push(*length as i64),
                Axis::Rest => known.push(-1),
                Axis::As(length) => {
                    if !known.is_empty() {
                        parts.push(self.ints(&std::mem::take(&mut known)));
                    }
                    parts.push(length.clone());
                }
            }
        }
        if !known.is_empty() {
            parts.push(self.ints(&known));
        }
        let shape = if let [one] = &parts[..] { one.clone() } else { self.joined(&parts) };
        self.op("Reshape", &[value, &shape], &[])
    }

    /// Rows of int64, one after the other; made once in a run.
    fn joined(&mut self, parts: &[Value]) -> Value {
        let names: Vec<&str> = parts.iter().map(|part| part.0.as_str()).collect();
        let key = format!("joined {}", names.join(" ")).into_bytes();
        if let Some(known) = self.known.get(&key) {
            return known.clone();
        }
        let value = self.op("Concat", &parts.iter().collect::<Vec<_>>(), &[("axis", Setting::Int(0))]);
        self.known.insert(key, value.clone());
        value
    }

    /// Axes in another order.
    pub fn transpose(&mut self, value: &Value, order: &[i64]) -> Value {
        self.op("Transpose", &[value], &[("perm", Setting::Ints(order))])
    }

    /// The part of an axis from `from` up to `to`, each a row of one int64; every `step`-th of it.
    pub fn slice(&mut self, value: &Value, axis: i64, from: &Value, to: &Value, step: i64) -> Value {
        let axis = self.ints(&[axis]);
        if step == 1 {
            return self.op("Slice", &[value, from, to, &axis], &[]);
        }
        let step = self.ints(&[step]);
        self.op("Slice", &[value, from, to, &axis, &step], &[])
    }

    /// The entries of `table` along an axis that `places` names.
    pub fn gather(&mut self, table: &Value, places: &Value, axis: i64) -> Value {
        self.op("Gather", &[table, places], &[("axis", Setting::Int(axis))])
    }

    /// `a + b`.
    pub fn add(&mut self, a: &Value, b: &Value) -> Value {
        self.op("Add", &[a, b], &[])
    }

    /// `a - b`.
    pub fn subtract(&mut self, a: &Value, b: &Value) -> Value {
        self.op("Sub", &[a, b], &[])
    }

    /// `a · b`, number by number.
    pub fn multiply(&mut self, a: &Value, b: &Value) -> Value {
        self.op("Mul", &[a, b], &[])
    }

    /// `a b`, the matrices that the last two axes are.
    pub fn matmul(&mut self, a: &Value, b: &Value) -> Value {
        self.op("MatMul", &[a, b], &[])
    }

    /// `a bᵀ`.
    pub fn matmul_transposed(&mut self, a: &Value, b: &Value) -> Value {
        self.runtime_op("FusedMatMul", &[a, b], &[("transB", Setting::Int(1))])
    }

    /// What each token of `queries` gathers from `values`: the softmax of queries times keys plus `bias`, for each head. All three are
    /// `[batch, tokens, width]`, and the bias is `[queries, keys]`, or has heads and batches before these. Scores are not divided.
    /// Of the keys of each input only the first `counts` count.
    ///
    /// One operator, in which the heads need not be apart in memory: no transposition before and none after. Padding is a number
    /// for each input, so that nothing is added to scores for it.
    pub fn attention(
        &mut self,
        [queries, keys, values]: [&Value; 3],
        bias: Option<&Value>,
        counts: Option<&Value>,
        heads: usize,
    ) -> Value {
        let nothing = self.nothing();
        let heads = Setting::Int(heads as i64);
        let settings = [("q_num_heads", heads.clone()), ("kv_num_heads", heads), ("scale", Setting::Float(1.0))];
        let mut inputs = vec![queries, keys, values, bias.unwrap_or(&nothing)];
        // Between the two are the keys and values of earlier runs, which a generating model keeps.
        inputs.extend(counts.into_iter().flat_map(|counts| [&nothing, &nothing, counts]));
        self.op("Attention", &inputs, &settings)
    }

    /// `a + b + …`.
    pub fn sum(&mut self, terms: &[&Value]) -> Value {
        self.op("Sum", terms, &[])
    }

    /// The softmax over the last axis.
    pub fn softmax(&mut self, value: &Value) -> Value {
        self.op("Softmax", &[value], &[("axis", Setting::Int(-1))])
    }

    /// The numbers as floats.
    pub fn as_floats(&mut self, value: &Value) -> Value {
        self.op("Cast", &[value], &[("to", Setting::Int(i64::from(data_type::FLOAT)))])
    }

    /// The numbers as int64.
    pub fn as_ints(&mut self, value: &Value) -> Value {
        self.op("Cast", &[value], &[("to", Setting::Int(i64::from(data_type::INT64)))])
    }
}

/// Numbers that a constant holds without copying them.
struct Owned<T>(Vec<T>);

impl<T: IntoBytes + Immutable> AsRef<[u8]> for Owned<T> {
    fn as_ref(&self) -> &[u8] {
        self.0.as_slice().as_bytes()
    }
}
