//! ModernBERT (Warner et al., 2024, <https://arxiv.org/abs/2412.13663>): layer norms before each part, rotary positions, gated
//! feed-forward networks, and attention that in most layers reaches only so far.
//!
//! ```text
//! y = norm(x)        x = x + W_o · attention(rotate(W_q y), rotate(W_k y), W_v y)
//! y = norm(x)        x = x + W_2 · (activation(W_i y) · W_g y)
//!
//! rotate(x)[i] = x[i] cos(p θ_i) - x[i + d/2] sin(p θ_i)         for the token at p and i < d/2,  θ_i = base^(-2 i / d)
//! rotate(x)[i + d/2] = x[i + d/2] cos(p θ_i) + x[i] sin(p θ_i)
//! ```
//!
//! The files have `W_q`, `W_k`, `W_v` as one matrix, and `W_i`, `W_g` as another. They are cut here: what one product gives would
//! have to be cut in each run, which copies it. The layer norm of the embeddings depends on nothing but the token, so that it is
//! applied to the table. The first token is at 0, where a rotation changes nothing.

use serde_json::Value as Json;

use crate::{
    architecture::{Architecture, Inputs, Rows, classifier},
    array::Linear,
    checkpoint::Checkpoint,
    config::Config,
    error::BuildError,
    graph::{Axis, Graph, Setting, Value},
    layers::{Activation, LayerNorm, MASKED},
    sentence::Pooling,
    size::Size,
};

/// The width between the two linear layers of a feed-forward network where no key states it, as transformers has it.
const INNER: usize = 1152;

/// A ModernBERT model as its configuration describes it.
pub struct ModernBert {
    width: Size,
    /// The width between the two linear layers of the feed-forward network.
    inner: Size,
    /// The rows of the table of tokens.
    words: Size,
    heads: usize,
    positions: usize,
    epsilon: f32,
    activation: Activation,
    head_activation: Activation,
    pooling: Pooling,
    /// True for each layer in which attention reaches all tokens.
    are_global: Vec<bool>,
    /// The distance that attention reaches in the other layers.
    reach: i64,
    /// The bases of the angles of rotation where attention reaches all tokens, and where it does not.
    bases: [f64; 2],
}

impl ModernBert {
    /// Reads the switches.
    ///
    /// # Errors
    /// A switch is set in a way that we have no graph for.
    pub fn read(config: &Config) -> Result<ModernBert, BuildError> {
        if !config.get("rope_scaling").is_null() {
            return Err(config.unsupported("has `rope_scaling`; angles of rotation that are not scaled are known"));
        }
        let (width, heads) = (config.size("hidden_size")?, config.length("num_attention_heads")?);
        if !width.length.is_multiple_of(2 * heads) {
            return Err(config.unsupported("`hidden_size` is no even multiple of `num_attention_heads`"));
        }
        let pooling = match config.text("classifier_pooling")? {
            "" | "cls" => Pooling::Cls,
            "mean" => Pooling::Mean,
            other => {
                let problem = format!("`classifier_pooling` is \"{other}\"; cls and mean are known");
                return Err(config.unsupported(&problem));
            }
        };
        let layers = config.length("num_hidden_layers")?;
        Ok(ModernBert {
            width,
            inner: config.size_or("intermediate_size", INNER)?,
            words: config.vocabulary()?,
            heads,
            positions: config.length("max_position_embeddings")?,
            epsilon: config.float("norm_eps", 1e-5)? as f32,
            activation: config.activation("hidden_activation", Activation::Gelu)?,
            head_activation: config.activation("classifier_activation", Activation::Gelu)?,
            pooling,
            are_global: are_global(config, layers)?,
            reach: config.length_or("local_attention", 128)? as i64 / 2,
            bases: bases(config)?,
        })
    }

    fn norm(&self, weights: &Checkpoint, name: &str) -> Result<LayerNorm, BuildError> {
        LayerNorm::read_with_or_without_bias(weights, name, self.width, self.epsilon)
    }

    /// The angles of rotation for each position, `[positions, half of a head]`, as their cosines and sines. In floats of 32 bits,
    /// step by step as transformers does it: far positions have large angles, of which the last bits count.
    fn rotation(&self, graph: &mut Graph, base: f64, longest: usize) -> Rotation {
        let half = self.width.length / self.heads / 2;
        let frequency = |place: usize| 1.0 / (base as f32).powf(place as f32 / half as f32);
        let frequencies: Vec<f32> = (0..half).map(frequency).collect();
        let angles = || (0..longest).flat_map(|position| frequencies.iter().map(move |by| position as f32 * by));
        Rotation {
            cosines: graph.floats("cosines", &[longest, half], angles().map(f32::cos).collect()),
            sines: graph.floats("sines", &[longest, half], angles().map(f32::sin).collect()),
        }
    }

    /// What is added to scores where attention reaches only so far: 0, or a large negative number, `[tokens, tokens]`.
    fn window(&self, graph: &mut Graph, inputs: &Inputs) -> Value {
        let places: Vec<i64> = (0..inputs.longest as i64).collect();
        let (places, zero) = (graph.ints(&places), graph.ints(&[0]));
        let places = graph.slice(&places, 0, &zero, &inputs.lengths.tokens, 1);
        let across = graph.reshape(&places, &[Axis::Of(1), Axis::As(inputs.lengths.tokens.clone())]);
        let down = graph.reshape(&places, &[Axis::As(inputs.lengths.tokens.clone()), Axis::Of(1)]);
        let distance = graph.subtract(&down, &across);
        let distance = graph.op("Abs", &[&distance], &[]);
        let (reach, near, far) = (graph.int(self.reach), graph.float(0.0), graph.float(MASKED));
        let is_far = graph.op("Greater", &[&distance, &reach], &[]);
        graph.op("Where", &[&is_far, &far, &near], &[])
    }

    /// One layer of the encoder.
    fn layer(
        &self,
        graph: &mut Graph,
        weights: &Checkpoint,
        place: usize,
        x: &Value,
        run: &Run,
        rows: Rows,
    ) -> Result<Value, BuildError> {
        graph.enter(format!("layer.{place}/attention"));
        let name = format!("layers.{place}");
        let normed = match place {
            // The embeddings are normalised already.
            0 => x.clone(),
            _ => graph.norm(x, self.norm(weights, &format!("{name}.attn_norm"))?),
        };
        let (width, inner) = (self.width, self.inner);
        let linear = |part: &str, inputs: Size, outputs: Size| {
            weights.linear_with_or_without_bias(&format!("{name}.{part}"), inputs, outputs)
        };
        let projections = linear("attn.Wqkv", width, width.times(3))?.split();
        let reach = if self.are_global[place] { &run.global } else { &run.local };
        let gathered = self.attention(graph, &normed, projections, reach, run, rows);
        let output = graph.linear(&gathered, linear("attn.Wo", width, width)?);
        let residual = if rows == Rows::First { graph.first_row(x) } else { x.clone() };
        // `Sum`, not `Add`, for the reason that `add_and_norm` has.
        let x = graph.sum(&[&residual, &output]);

        graph.enter(format!("layer.{place}/feed_forward"));
        let normed = graph.norm(&x, self.norm(weights, &format!("{name}.mlp_norm"))?);
        let [input, gate] = graph.linears(&normed, linear("mlp.Wi", width, inner.times(2))?.split());
        let input = graph.activate(&input, self.activation);
        let gated = graph.multiply(&input, &gate);
        let output = graph.linear(&gated, linear("mlp.Wo", inner, width)?);
        Ok(graph.sum(&[&x, &output]))
    }

    /// What each token gathers from those in reach, or what the first one does.
    fn attention(
        &self,
        graph: &mut Graph,
        normed: &Value,
        [query, key, value]: [Linear; 3],
        reach: &Reach,
        run: &Run,
        rows: Rows,
    ) -> Value {
        let query = query.scaled(1.0 / ((self.width.length / self.heads) as f32).sqrt());
        let (queries, keys, values, window) = match rows {
            Rows::All => {
                let [queries, keys, values] = graph.linears(normed, [query, key, value]);
                (self.rotated(graph, &queries, &reach.rotation), keys, values, reach.window.clone())
            }
            Rows::First => {
                let first = graph.first_row(normed);
                let queries = graph.linear(&first, query);
                let [keys, values] = graph.linears(normed, [key, value]);
                let (zero, one) = (graph.ints(&[0]), graph.ints(&[1]));
                let window = reach.window.as_ref().map(|window| graph.slice(window, 0, &zero, &one, 1));
                (queries, keys, values, window)
            }
        };
        let keys = self.rotated(graph, &keys, &reach.rotation);
        graph.attention([&queries, &keys, &values], window.as_ref(), run.counts.as_ref(), self.heads)
    }

    /// Queries or keys, turned by their positions.
    fn rotated(&self, graph: &mut Graph, x: &Value, Rotation { cosines, sines }: &Rotation) -> Value {
        let first_position = graph.ints(&[0]);
        let heads = Setting::Int(self.heads as i64);
        graph.runtime_op("RotaryEmbedding", &[x, &first_position, cosines, sines], &[("num_heads", heads)])
    }
}

/// The names that transformers 5 has for layers in which attention reaches all tokens, and for the others.
const LAYER_TYPES: [&str; 2] = ["full_attention", "sliding_attention"];

/// True for each layer in which attention reaches all tokens: transformers 5 lists them, and before each so many did, beginning
/// with the first.
fn are_global(config: &Config, layers: usize) -> Result<Vec<bool>, BuildError> {
    const KEY: &str = "layer_types";
    let every = config.length_or("global_attn_every_n_layers", 3)?;
    if config.get(KEY).is_null() {
        return Ok((0..layers).map(|place| place.is_multiple_of(every)).collect());
    }
    let types = config.texts(KEY)?;
    if let Some(unknown) = types.iter().find(|kind| !LAYER_TYPES.contains(kind)) {
        let [full, sliding] = LAYER_TYPES;
        return Err(config.unsupported(&format!("`{KEY}` has \"{unknown}\"; {full} and {sliding} are known")));
    }
    if types.len() != layers {
        return Err(
            config.unsupported(&format!("`{KEY}` has {} layers; `num_hidden_layers` says {layers}", types.len()))
        );
    }
    Ok(types.into_iter().map(|kind| kind == LAYER_TYPES[0]).collect())
}

/// The bases of the angles of rotation where attention reaches all tokens, and where it does not: an entry of `rope_parameters`
/// each, as transformers 5 writes them, or else keys of their own.
fn bases(config: &Config) -> Result<[f64; 2], BuildError> {
    const KEY: &str = "rope_parameters";
    let global = config.float("global_rope_theta", 160_000.0)?;
    let local = match config.states("local_rope_theta") {
        // Nothing is the same as that of all layers; not to say is another.
        true => config.float("local_rope_theta", global)?,
        false => 10_000.0,
    };
    let mut bases = [global, local];
    let by_type = match config.get(KEY) {
        Json::Null => return Ok(bases),
        Json::Object(by_type) if by_type.keys().all(|kind| LAYER_TYPES.contains(&kind.as_str())) => by_type,
        other => {
            let [full, sliding] = LAYER_TYPES;
            return Err(config.unsupported(&format!("`{KEY}` is {other}; entries for {full} and {sliding} are known")));
        }
    };
    for (base, kind) in bases.iter_mut().zip(LAYER_TYPES) {
        let Some(of_type) = by_type.get(kind).filter(|of_type| !of_type.is_null()) else { continue };
        // What else there may be belongs to other types.
        if of_type["rope_type"].as_str().is_some_and(|name| name != "default") {
            let problem = format!("`{KEY}` has `rope_type` {} for {kind}; default is known", of_type["rope_type"]);
            return Err(config.unsupported(&problem));
        }
        match &of_type["rope_theta"] {
            Json::Null => {}
            theta => {
                let problem =
                    || config.unsupported(&format!("`{KEY}` has `rope_theta` {theta} for {kind}, and no number"));
                *base = theta.as_f64().ok_or_else(problem)?;
            }
        }
    }
    Ok(bases)
}

/// What all layers share in a run.
struct Run {
    counts: Option<Value>,
    global: Reach,
    local: Reach,
}

/// How far attention reaches in a layer.
struct Reach {
    rotation: Rotation,
    /// `[tokens, tokens]`; none where it reaches all tokens.
    window: Option<Value>,
}

/// The cosines and sines of the angles by which queries and keys are turned.
struct Rotation {
    cosines: Value,
    sines: Value,
}

impl Architecture for ModernBert {
    fn width(&self) -> usize {
        self.width.length
    }

    fn longest(&self) -> Option<usize> {
        Some(self.positions)
    }

    fn pooling(&self) -> Pooling {
        self.pooling
    }

    fn encoder(
        &self,
        graph: &mut Graph,
        weights: &Checkpoint,
        inputs: &Inputs,
        rows: Rows,
        step: &mut dyn FnMut(usize, usize),
    ) -> Result<Value, BuildError> {
        // Before anything is made that is as large as the configuration says.
        let words = weights.table("embeddings.tok_embeddings", self.words, self.width)?;
        graph.enter("positions");
        let [global, local] = self.bases.map(|base| self.rotation(graph, base, inputs.longest));
        let window = self.window(graph, inputs);
        let run = Run {
            counts: inputs.counts.clone(),
            global: Reach { rotation: global, window: None },
            local: Reach { rotation: local, window: Some(window) },
        };
        graph.enter("embeddings");
        let norm = self.norm(weights, "embeddings.norm")?;
        let mut x = graph.normed_embedding(words, norm, &inputs.ids);
        let layers = self.are_global.len();
        for place in 0..layers {
            let is_last = place + 1 == layers;
            x = self.layer(graph, weights, place, &x, &run, if is_last { rows } else { Rows::All })?;
            step(place + 1, layers);
        }
        graph.enter("norm");
        Ok(graph.norm(&x, self.norm(weights, "final_norm")?))
    }

    /// The head, and the classifier after it.
    fn logits(&self, graph: &mut Graph, weights: &Checkpoint, pooled: &Value) -> Result<Value, BuildError> {
        let x = graph.float_linear(pooled, weights.linear_with_or_without_bias("head.dense", self.width, self.width)?);
        let x = graph.activate(&x, self.head_activation);
        let x = graph.norm(&x, self.norm(weights, "head.norm")?);
        classifier(graph, weights, "classifier", &x, self.width)
    }
}
