//! Graphs that go through the inputs of a run one by one, each without its padding: the operators are the body of a `Scan`, the
//! weights lie outside of it.
//!
//! Activations that are quantised in a run have one scale for all that is in it, so that a score would depend on the company that
//! its pair keeps, and on the padding. Here each pair has its own. It costs nothing: what a pair needs stays in the processor's
//! cache, so that 16 pairs of 128 tokens take a sixth less time than all in step, and padding is not worked out at all.

use super::{Graph, Setting, Value, attribute, description};
use crate::onnx::{AttributeProto, GraphProto, NodeProto, ValueInfoProto, attribute_type, data_type};

/// The inputs and outputs of the part that is run for each input.
#[derive(Default)]
pub(super) struct Body {
    inputs: Vec<ValueInfoProto>,
    outputs: Vec<ValueInfoProto>,
}

impl Graph {
    /// Inputs of int64 in the shape `[batch, sequence]`, of which all operators that follow see one at a time: `[1, tokens]`, as
    /// many tokens as `mask` counts. The mask becomes an input of the graph as well, and is given to nobody.
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
        self.body.get_or_insert_default().inputs.push(description(&row, data_type::INT64, &[Err("sequence")]));
        Value(row)
    }

    /// Makes a value of `[1, width]` the body's part of an output.
    pub(super) fn output_of_one(&mut self, value: &Value, width: usize) {
        let first = self.ints(&[0]);
        let row = self.op("Squeeze", &[value, &first], &[]);
        let part = description(&row.0, data_type::FLOAT, &[Ok(width)]);
        self.body.get_or_insert_default().outputs.push(part);
    }
}

/// The operator that runs `nodes` for each row of `inputs`.
pub(super) fn scan(
    body: Body,
    nodes: Vec<NodeProto>,
    inputs: &[ValueInfoProto],
    outputs: &[ValueInfoProto],
) -> NodeProto {
    let names = |values: &[ValueInfoProto]| values.iter().map(|value| value.name.clone()).collect();
    let body = GraphProto {
        node: nodes,
        name: String::from("one"),
        input: body.inputs,
        output: body.outputs,
        ..GraphProto::default()
    };
    let body = AttributeProto {
        name: String::from("body"),
        g: Some(body),
        r#type: attribute_type::GRAPH,
        ..AttributeProto::default()
    };
    NodeProto {
        input: names(inputs),
        output: names(outputs),
        name: String::from("one_by_one"),
        op_type: String::from("Scan"),
        attribute: vec![body, attribute("num_scan_inputs", &Setting::Int(inputs.len() as i64))],
        ..NodeProto::default()
    }
}
