//! The messages that operators, inputs and outputs become, and the one that runs a graph for each of its inputs.

use crate::onnx::{
    AttributeProto, DimensionProto, GraphProto, NodeProto, TensorShapeProto, TensorTypeProto, TypeProto,
    ValueInfoProto, attribute_type,
};

/// A setting of an operator.
#[derive(Debug, Clone)]
pub enum Setting<'a> {
    /// A number with a fraction.
    Float(f32),
    /// A whole number.
    Int(i64),
    /// Several whole numbers.
    Ints(&'a [i64]),
}

/// The inputs and outputs of the part that is run for each input.
#[derive(Default)]
pub(super) struct Body {
    pub(super) inputs: Vec<ValueInfoProto>,
    pub(super) outputs: Vec<ValueInfoProto>,
}

/// The message of a setting.
pub(super) fn attribute(name: &str, setting: &Setting) -> AttributeProto {
    let attribute = AttributeProto { name: name.to_owned(), ..AttributeProto::default() };
    match *setting {
        Setting::Float(f) => AttributeProto { f, r#type: attribute_type::FLOAT, ..attribute },
        Setting::Int(i) => AttributeProto { i, r#type: attribute_type::INT, ..attribute },
        Setting::Ints(ints) => AttributeProto { ints: ints.to_vec(), r#type: attribute_type::INTS, ..attribute },
    }
}

/// The length of an axis of an input or output.
#[derive(Clone, Copy)]
pub(super) enum Length<'a> {
    /// The same in each run.
    Of(usize),
    /// Another from run to run, under this name.
    Named(&'a str),
}

/// An input or output.
pub(super) fn description(name: &str, elem_type: i32, axes: &[Length]) -> ValueInfoProto {
    let axis = |axis: &Length| match *axis {
        Length::Of(length) => DimensionProto { dim_value: Some(length as i64), dim_param: None },
        Length::Named(name) => DimensionProto { dim_value: None, dim_param: Some(name.to_owned()) },
    };
    let shape = TensorShapeProto { dim: axes.iter().map(axis).collect() };
    let tensor_type = Some(TensorTypeProto { elem_type, shape: Some(shape) });
    ValueInfoProto { name: name.to_owned(), r#type: Some(TypeProto { tensor_type }) }
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
