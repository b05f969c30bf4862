//! DeBERTa-v2 and -v3 (He et al., 2020, <https://arxiv.org/abs/2006.03654>): the encoder of mxbai-rerank-v1 and of Microsoft's
//! checkpoints, with every switch that these differ in. How far tokens are apart, and what that adds to their scores, is the
//! business of `positions`.
//!
//! ```text
//! score[i, j] = (q_i · k_j  +  q_i · PK[b(i-j)]  +  k_j · PQ[b(i-j)]) / √(3 d)        j not masked
//!               content        c2p                  p2c
//! PK = K-projection of the relative embeddings, PQ = Q-projection of them; b = bucket of a distance
//! ```
//!
//! The divisor is folded into `W_q` and `b_q`, and so into `PQ`: the graph divides nothing. `PK` and `PQ` depend on no input,
//! so that they are worked out here. The layer norm of the embeddings depends on nothing but the token, so that it is applied to
//! the table. The last layer is worked out for the first token alone where that is all that is read.

mod positions;

use positions::{Positions, Table, Window};

use crate::{
    architecture::{Architecture, Inputs, Rows, classifier},
    array::{Array, Linear},
    checkpoint::Checkpoint,
    config::Config,
    error::BuildError,
    graph::{Axis, Graph, Setting, Value},
    layers::{Activation, LayerNorm, Lengths},
    size::Size,
};

/// The width between the two linear layers of a feed-forward network where no key states it, as transformers has it.
const INNER: usize = 3072;

/// A DeBERTa-v2 model as its configuration describes it.
pub struct Deberta {
    width: Size,
    /// The width between the two linear layers of the feed-forward network.
    inner: Size,
    heads: usize,
    layers: usize,
    epsilon: f32,
    activation: Activation,
    pooler_activation: Activation,
    /// The rows of the table of tokens.
    words: Size,
    /// The width of that table, where it is not the encoder's.
    embedding_width: Size,
    /// The rows of the table of absolute positions, where there is one.
    absolute_positions: Option<Size>,
    /// The texts that a token may be of, where the model knows of them.
    token_types: Option<Size>,
    /// A convolution beside the first layer, of so many tokens.
    convolution: Option<Convolution>,
    positions: Option<Positions>,
    /// The number of terms that make up a score.
    terms: usize,
}

/// A convolution over neighbouring tokens, which v2-xlarge has beside its first layer.
struct Convolution {
    kernel: Size,
    groups: usize,
    activation: Activation,
}

impl Convolution {
    fn read(config: &Config, width: usize) -> Result<Convolution, BuildError> {
        let groups = config.length_or("conv_groups", 1)?;
        if !width.is_multiple_of(groups) {
            return Err(config.unsupported("`hidden_size` is no multiple of `conv_groups`"));
        }
        let activation = config.activation("conv_act", Activation::Tanh)?;
        Ok(Convolution { kernel: config.size("conv_kernel_size")?, groups, activation })
    }
}

impl Deberta {
    /// Reads the switches. `max_length` is the most tokens that an input may have.
    ///
    /// # Errors
    /// A switch is set in a way that we have no graph for.
    pub fn read(config: &Config, max_length: usize) -> Result<Deberta, BuildError> {
        let size = config.size("hidden_size")?;
        let (width, heads) = (size.length, config.length("num_attention_heads")?);
        if !width.is_multiple_of(heads) {
            return Err(config.unsupported("`hidden_size` is no multiple of `num_attention_heads`"));
        }
        let head_width = config.number("attention_head_size", (width / heads) as i64)?;
        if head_width != (width / heads) as i64 {
            return Err(config.unsupported("`attention_head_size` is not `hidden_size` / `num_attention_heads`"));
        }
        let convolution = (config.number("conv_kernel_size", 0)? > 0).then(|| Convolution::read(config, width));
        let is_biased = config.flag("position_biased_input", true)?;
        let absolute_positions = is_biased.then(|| config.size("max_position_embeddings"));
        let token_types = (config.number("type_vocab_size", 0)? > 0).then(|| config.size("type_vocab_size"));
        Ok(Deberta {
            width: size,
            inner: config.size_or("intermediate_size", INNER)?,
            heads,
            layers: config.length("num_hidden_layers")?,
            epsilon: config.float("layer_norm_eps", 1e-7)? as f32,
            activation: config.activation("hidden_act", Activation::Gelu)?,
            pooler_activation: config.activation("pooler_hidden_act", Activation::Gelu)?,
            words: config.vocabulary()?,
            embedding_width: config.size_or("embedding_size", width)?,
            absolute_positions: absolute_positions.transpose()?,
            token_types: token_types.transpose()?,
            convolution: convolution.transpose()?,
            positions: Positions::read(config, max_length)?,
            terms: positions::terms(config)?,
        })
    }

    /// The norm that follows the module's output.
    fn norm(&self, weights: &Checkpoint, name: &str) -> Result<LayerNorm, BuildError> {
        LayerNorm::read(weights, name, self.width, self.epsilon)
    }

    /// The vectors of the tokens.
    fn embeddings(&self, graph: &mut Graph, weights: &Checkpoint, inputs: &Inputs) -> Result<Value, BuildError> {
        graph.enter("embeddings");
        let norm = self.norm(weights, "embeddings.LayerNorm")?;
        let width = self.embedding_width;
        let is_projected = width.length != self.width.length;
        let words = weights.table("embeddings.word_embeddings", self.words, width)?;
        if !is_projected && self.absolute_positions.is_none() && self.token_types.is_none() {
            return Ok(graph.normed_embedding(words, norm, &inputs.ids));
        }
        let mut x = graph.embedding(words, &inputs.ids);
        if let Some(positions) = self.absolute_positions {
            let table = weights.tensor("embeddings.position_embeddings.weight", &[positions.or_more(), width])?;
            let rows = graph.first_positions(table.first_rows(inputs.longest), &inputs.lengths);
            x = graph.add(&x, &rows);
        }
        if let Some((types, token_types)) = self.token_types.zip(inputs.token_types.as_ref()) {
            let table = weights.tensor("embeddings.token_type_embeddings.weight", &[types, width])?;
            let Array { shape, values } = table;
            let types = graph.floats("token_types", &shape, values);
            let types = graph.gather(&types, token_types, 0);
            x = graph.add(&x, &types);
        }
        if is_projected {
            x = graph.linear(&x, weights.linear_with_or_without_bias("embeddings.embed_proj", width, self.width)?);
        }
        Ok(graph.norm(&x, norm))
    }

    /// The relative embeddings, normalised where the model does so: a row for each bucket.
    fn relative_embeddings(&self, weights: &Checkpoint, positions: &Positions) -> Result<Array, BuildError> {
        let mut rows = weights.tensor("encoder.rel_embeddings.weight", &[positions.rows(), self.width])?;
        if positions.normalises {
            self.norm(weights, "encoder.LayerNorm")?.apply(&mut rows);
        }
        Ok(rows)
    }

    /// The divisor of scores: each term that is added widens them.
    fn scale(&self) -> f32 {
        (1.0 / ((self.terms * self.width.length / self.heads) as f64).sqrt()) as f32
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
        let name = format!("encoder.layer.{place}");
        graph.enter(format!("layer.{place}/attention"));
        let (width, inner) = (self.width, self.inner);
        let module = |part: &str| weights.linear(&format!("{name}.attention.self.{part}"), width, width);
        let query = module("query_proj")?.scaled(self.scale());
        let (key, value) = (module("key_proj")?, module("value_proj")?);
        let tables = match &run.relative {
            Some(relative) => self.tables(relative, module, &query, &key)?,
            None => Tables::default(),
        };
        let projections = [query, key, value];
        let (attended, residual) = match rows {
            Rows::All => (self.attention(graph, x, projections, &tables, run), x.clone()),
            Rows::First => {
                let first = graph.first_row(x);
                (self.attention_of_first(graph, x, &first, projections, &tables, run), first)
            }
        };
        let output = graph.linear(&attended, weights.linear(&format!("{name}.attention.output.dense"), width, width)?);
        let norm = self.norm(weights, &format!("{name}.attention.output.LayerNorm"))?;
        let x = graph.add_and_norm(&output, &residual, norm);

        graph.enter(format!("layer.{place}/feed_forward"));
        let up = weights.linear(&format!("{name}.intermediate.dense"), width, inner)?;
        let down = weights.linear(&format!("{name}.output.dense"), inner, width)?;
        let norm = self.norm(weights, &format!("{name}.output.LayerNorm"))?;
        Ok(graph.feed_forward(&x, up, self.activation, down, norm))
    }

    /// `PK` and `PQ` of a layer. Models that do not share have projections of their own for what is relative.
    fn tables(
        &self,
        relative: &Relative,
        module: impl Fn(&str) -> Result<Linear, BuildError>,
        query: &Linear,
        key: &Linear,
    ) -> Result<Tables, BuildError> {
        let (positions, rows) = (&relative.positions, &relative.rows);
        let own = |shared: &Linear, part: &str| if positions.shares { Ok(shared.clone()) } else { module(part) };
        let mut tables = Tables::default();
        if positions.c2p {
            tables.c2p = Some(Table::new(rows, own(key, "pos_key_proj")?));
        }
        if positions.p2c {
            let projection = own(query, "pos_query_proj")?;
            let projection = if positions.shares { projection } else { projection.scaled(self.scale()) };
            tables.p2c = Some(Table::new(rows, projection));
        }
        Ok(tables)
    }

    /// What each token gathers from all others.
    fn attention(&self, graph: &mut Graph, x: &Value, projections: [Linear; 3], tables: &Tables, run: &Run) -> Value {
        let [q, k, v] = graph.linears(x, projections);
        let mut terms = Vec::new();
        if let Some(relative) = &run.relative {
            let Relative { positions, window, .. } = relative;
            terms.extend(tables.c2p.as_ref().map(|table| window.falling(graph, positions, table, &q)));
            terms.extend(tables.p2c.as_ref().map(|table| {
                let by_key = window.rising(graph, positions, table, &k);
                graph.transpose(&by_key, &[0, 1, 3, 2])
            }));
        }
        let bias = terms.into_iter().reduce(|sum, term| graph.add(&sum, &term));
        graph.attention([&q, &k, &v], bias.as_ref(), run.counts.as_ref(), self.heads)
    }

    /// What the first token gathers from all others: `score[j] = q_0 · (k_j + PK[-j]) + k_j · PQ[-j]`, number by number on
    /// `[batch, tokens, heads, width of a head]`, so that nothing is transposed.
    fn attention_of_first(
        &self,
        graph: &mut Graph,
        x: &Value,
        first: &Value,
        [query, key, value]: [Linear; 3],
        tables: &Tables,
        run: &Run,
    ) -> Value {
        let apart = [Axis::Same, Axis::Same, Axis::Of(self.heads), Axis::Of(self.width.length / self.heads)];
        let q = graph.linear(first, query);
        let q = graph.reshape(&q, &apart);
        let [k, v] = graph.linears(x, [key, value]);
        let k = graph.reshape(&k, &apart);
        let v = graph.split_heads(&v, self.heads, self.width.length);
        let relative = run.relative.as_ref();
        let rows_of = |graph: &mut Graph, table: &Option<Table>| {
            let relative = relative?;
            Some(relative.window.rows_from_first(graph, &relative.positions, table.as_ref()?))
        };
        let keys = match rows_of(graph, &tables.c2p) {
            Some(rows) => graph.add(&k, &rows),
            None => k.clone(),
        };
        let mut products = graph.multiply(&keys, &q);
        if let Some(rows) = rows_of(graph, &tables.p2c) {
            let term = graph.multiply(&k, &rows);
            products = graph.add(&products, &term);
        }
        let last = graph.ints(&[3]);
        let scores = graph.op("ReduceSum", &[&products, &last], &[("keepdims", Setting::Int(0))]);
        let scores = graph.transpose(&scores, &[0, 2, 1]);
        let (batch, tokens) = (Axis::As(run.lengths.batch.clone()), Axis::As(run.lengths.tokens.clone()));
        let scores = match &run.mask {
            Some(mask) => graph.add(&scores, mask),
            None => scores,
        };
        let shares = graph.softmax(&scores);
        let shares = graph.reshape(&shares, &[batch, Axis::Of(self.heads), Axis::Of(1), tokens]);
        let gathered = graph.matmul(&shares, &v);
        graph.join_heads(&gathered, self.width.length)
    }

    /// The convolution over the embeddings, added to the first layer's output. Padding counts as zeros.
    fn convolve(
        &self,
        graph: &mut Graph,
        weights: &Checkpoint,
        convolution: &Convolution,
        embeddings: &Value,
        output: &Value,
        mask: Option<&Value>,
    ) -> Result<Value, BuildError> {
        graph.enter("convolution");
        let counts = mask.map(|mask| {
            let (counts, last) = (graph.as_floats(mask), graph.ints(&[2]));
            graph.op("Unsqueeze", &[&counts, &last], &[])
        });
        let without_padding = |graph: &mut Graph, x: Value| match &counts {
            Some(counts) => graph.multiply(&x, counts),
            None => x,
        };
        let sizes = [self.width, Size::of("conv_groups", self.width.length / convolution.groups), convolution.kernel];
        let Array { shape, values } = weights.tensor("encoder.conv.conv.weight", &sizes)?;
        let kernel = graph.floats("kernel", &shape, values);
        let bias = weights.vector("encoder.conv.conv.bias", self.width)?;
        let bias = graph.floats("bias", &[self.width.length], bias);
        let x = without_padding(graph, embeddings.clone());
        let x = graph.transpose(&x, &[0, 2, 1]);
        let padding = ((convolution.kernel.length - 1) / 2) as i64;
        let settings =
            [("pads", Setting::Ints(&[padding, padding])), ("group", Setting::Int(convolution.groups as i64))];
        let x = graph.op("Conv", &[&x, &kernel, &bias], &settings);
        let x = graph.transpose(&x, &[0, 2, 1]);
        let x = without_padding(graph, x);
        let x = graph.activate(&x, convolution.activation);
        Ok(graph.add_and_norm(&x, output, self.norm(weights, "encoder.conv.LayerNorm")?))
    }
}

/// What all layers share in a run.
struct Run {
    lengths: Lengths,
    /// What is added to the scores of the first token, `[batch, 1, tokens]`, where there may be padding.
    mask: Option<Value>,
    /// See [`Inputs::counts`].
    counts: Option<Value>,
    relative: Option<Relative>,
}

/// What all layers share of how far tokens are apart.
struct Relative {
    positions: Positions,
    /// The relative embeddings.
    rows: Array,
    window: Window,
}

/// What a layer knows of distances.
#[derive(Default)]
struct Tables {
    /// `PK`, which queries are multiplied by.
    c2p: Option<Table>,
    /// `PQ`, which keys are multiplied by.
    p2c: Option<Table>,
}

impl Architecture for Deberta {
    fn wants_token_types(&self) -> bool {
        self.token_types.is_some()
    }

    fn longest(&self) -> Option<usize> {
        self.absolute_positions.map(|positions| positions.length)
    }

    fn width(&self) -> usize {
        self.width.length
    }

    fn encoder(
        &self,
        graph: &mut Graph,
        weights: &Checkpoint,
        inputs: &Inputs,
        rows: Rows,
        step: &mut dyn FnMut(usize, usize),
    ) -> Result<Value, BuildError> {
        let relative = match &self.positions {
            Some(positions) => {
                graph.enter("positions");
                let window = positions.window(graph, &inputs.lengths, self.heads);
                Some(Relative { positions: *positions, rows: self.relative_embeddings(weights, positions)?, window })
            }
            None => None,
        };
        graph.enter("mask");
        let mask = inputs.mask.as_ref().map(|mask| {
            let mask = graph.mask(mask);
            let (batch, tokens) = (Axis::As(inputs.lengths.batch.clone()), Axis::As(inputs.lengths.tokens.clone()));
            graph.reshape(&mask, &[batch, Axis::Of(1), tokens])
        });
        let run = Run { lengths: inputs.lengths.clone(), mask, counts: inputs.counts.clone(), relative };
        let embeddings = self.embeddings(graph, weights, inputs)?;
        let mut x = embeddings.clone();
        for place in 0..self.layers {
            let is_last = place + 1 == self.layers;
            let is_convolved = place == 0 && self.convolution.is_some();
            let wanted = if is_last && !is_convolved { rows } else { Rows::All };
            x = self.layer(graph, weights, place, &x, &run, wanted)?;
            if let Some(convolution) = self.convolution.as_ref().filter(|_| place == 0) {
                x = self.convolve(graph, weights, convolution, &embeddings, &x, inputs.mask.as_ref())?;
                if is_last && rows == Rows::First {
                    x = graph.first_row(&x);
                }
            }
            step(place + 1, self.layers);
        }
        Ok(x)
    }

    /// The pooler, and the classifier after it.
    fn logits(&self, graph: &mut Graph, weights: &Checkpoint, pooled: &Value) -> Result<Value, BuildError> {
        let x = graph.float_linear(pooled, weights.linear("pooler.dense", self.width, self.width)?);
        let x = graph.activate(&x, self.pooler_activation);
        classifier(graph, weights, "classifier", &x, self.width)
    }
}
