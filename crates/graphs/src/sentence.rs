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
    attention_mask: Option<&Value>,
    pooling: Pooling,
    normalise: bool,
    width: usize,
) -> Value {
    graph.enter("sentence");
    // 1 for each token that counts, `[batch, tokens, 1]`.
    let counts = attention_mask.map(|mask| {
        let counts = graph.as_floats(mask);
        let last = graph.ints(&[2]);
        graph.op("Unsqueeze", &[&counts, &last], &[])
    });
    let over_tokens = |graph: &mut Graph, kind: &str, x: &Value| {
        let tokens = graph.ints(&[1]);
        graph.op(kind, &[x, &tokens], &[("keepdims", Setting::Int(0))])
    };
    let vector = match (pooling, counts) {
        (Pooling::Cls, _) => graph.reshape(rows, &[Axis::Same, Axis::Of(width)]),
        (Pooling::Mean, None) => over_tokens(graph, "ReduceMean", rows),
        (Pooling::Mean, Some(counts)) => {
            let counted = graph.multiply(rows, &counts);
            let sum = over_tokens(graph, "ReduceSum", &counted);
            let count = over_tokens(graph, "ReduceSum", &counts);
            graph.op("Div", &[&sum, &count], &[])
        }
        (Pooling::Max, None) => over_tokens(graph, "ReduceMax", rows),
        (Pooling::Max, Some(counts)) => {
            // Padding gets less than any value of a layer norm.
            let (one, far) = (graph.float(1.0), graph.float(1e9));
            let absent = graph.subtract(&counts, &one);
            let lowered = graph.multiply(&absent, &far);
            let rows = graph.add(rows, &lowered);
            over_tokens(graph, "ReduceMax", &rows)
        }
    };
    if !normalise {
        return vector;
    }
    graph.op("LpNormalization", &[&vector], &[("axis", Setting::Int(-1)), ("p", Setting::Int(2))])
}
