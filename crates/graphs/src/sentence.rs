//! The vector of a text from the vectors of its tokens: pooling, and scaling to length 1, as sentence-transformers does them.

use crate::graph::{Axis, Graph, Setting, Value};

/// The way in which the vectors of tokens become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pooling {
    /// The mean of all tokens that count.
    Mean,
    /// The first token.
    Cls,
    /// The largest value of each dimension, of the tokens that count.
    Max,
}

impl Pooling {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Pooling::Mean => "mean",
            Pooling::Cls => "cls",
            Pooling::Max => "max",
        }
    }
}

/// The vector of each input, `[batch, width]`, from `rows`: `[batch, tokens, width]`, or `[batch, 1, width]` for
/// [`Pooling::Cls`].
pub(crate) fn vector(
    graph: &mut Graph,
    rows: &Value,
    attention_mask: &Value,
    pooling: Pooling,
    normalise: bool,
    width: usize,
) -> Value {
    graph.enter("sentence");
    let counts = |graph: &mut Graph| {
        let counts = graph.as_floats(attention_mask);
        let last = graph.ints(&[2]);
        graph.op("Unsqueeze", &[&counts, &last], &[])
    };
    let over_tokens = |graph: &mut Graph, x: &Value| {
        let tokens = graph.ints(&[1]);
        graph.op("ReduceSum", &[x, &tokens], &[("keepdims", Setting::Int(0))])
    };
    let vector = match pooling {
        Pooling::Cls => graph.reshape(rows, &[Axis::Same, Axis::Of(width)]),
        Pooling::Mean => {
            let counts = counts(graph);
            let counted = graph.multiply(rows, &counts);
            let (sum, count) = (over_tokens(graph, &counted), over_tokens(graph, &counts));
            graph.op("Div", &[&sum, &count], &[])
        }
        Pooling::Max => {
            // Padding gets less than any value of a layer norm.
            let (counts, one, far) = (counts(graph), graph.float(1.0), graph.float(1e9));
            let absent = graph.subtract(&counts, &one);
            let lowered = graph.multiply(&absent, &far);
            let rows = graph.add(rows, &lowered);
            graph.op("ReduceMax", &[&rows], &[("axes", Setting::Ints(&[1])), ("keepdims", Setting::Int(0))])
        }
    };
    if !normalise {
        return vector;
    }
    graph.op("LpNormalization", &[&vector], &[("axis", Setting::Int(-1)), ("p", Setting::Int(2))])
}
