//! What DeBERTa adds to a score for how far two tokens are apart. Owns the buckets of distances, the tables that a layer looks them
//! up in, and the layout that makes that cheap:
//!
//! A stock graph multiplies each query by all rows of `PK`, then picks the right one for each pair of tokens with
//! `GatherElements`, by an index of as many int64 as there are scores. Here the rows are laid out by distance, from `S` down to
//! `-S` for `S` tokens: `W = 2S + 1` of them. Row `i` of the product `Q PKᵀ` (`S × W`, without gaps in memory) then has the `S`
//! numbers that are wanted at columns `S - i` to `2S - 1 - i`, that is at addresses `i W + S - i + j = (2 i + 1) S + j`. Seen as
//! a matrix of `W × S` these are its odd rows: one `Slice` with a step of two copies them, `S` numbers at a time.

use crate::{
    array::{Array, Linear},
    config::Config,
    error::BuildError,
    graph::{Axis, Graph, Value},
    layers::Lengths,
    precision::{Precision, nearest, step},
    size::Size,
};

/// The switches of a model's relative positions.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::struct_excessive_bools, reason = "the configuration has as many switches")]
pub(super) struct Positions {
    /// Buckets on either side of 0, of which the outer half is logarithmic; `None` where each distance has a row.
    buckets: Option<i64>,
    /// The distance from which all are the same.
    furthest: i64,
    /// The key that states the buckets, or else the furthest distance.
    key: &'static str,
    /// The most tokens that an input may have.
    max_length: i64,
    /// True where the queries of tokens are multiplied by the keys of distances.
    pub(super) c2p: bool,
    /// True where the keys of tokens are multiplied by the queries of distances.
    pub(super) p2c: bool,
    /// True where distances are projected as tokens are.
    pub(super) shares: bool,
    /// True where the relative embeddings pass a layer norm.
    pub(super) normalises: bool,
}

/// The number of terms that make up a score. The divisor counts what the configuration lists, even where the model knows no
/// relative positions.
pub(super) fn terms(config: &Config) -> Result<usize, BuildError> {
    Ok(1 + kinds(config)?.into_iter().filter(|is_listed| *is_listed).count())
}

/// True for c2p, and true for p2c: a list, or a text with bars in between.
fn kinds(config: &Config) -> Result<[bool; 2], BuildError> {
    let kinds: Vec<&str> = match config.get("pos_att_type").as_str() {
        Some(text) => text.split('|').map(str::trim).collect(),
        None => config.texts("pos_att_type")?,
    };
    match kinds.iter().find(|kind| !["c2p", "p2c", ""].contains(kind)) {
        Some(unknown) => Err(config.unsupported(&format!("`pos_att_type` has \"{unknown}\"; c2p and p2c are known"))),
        None => Ok(["c2p", "p2c"].map(|kind| kinds.contains(&kind))),
    }
}

impl Positions {
    /// Reads the switches; `None` where the model knows no relative positions.
    pub(super) fn read(config: &Config, max_length: usize) -> Result<Option<Positions>, BuildError> {
        if !config.flag("relative_attention", false)? {
            return Ok(None);
        }
        let [c2p, p2c] = kinds(config)?;
        let has_buckets = config.number("position_buckets", -1)? > 0;
        let buckets = has_buckets.then(|| config.length("position_buckets")).transpose()?;
        let is_stated = config.number("max_relative_positions", -1)? > 0;
        let of_distance = if is_stated { "max_relative_positions" } else { "max_position_embeddings" };
        Ok(Some(Positions {
            buckets: buckets.map(|buckets| buckets as i64),
            furthest: config.length(of_distance)? as i64,
            key: if buckets.is_some() { "position_buckets" } else { of_distance },
            max_length: max_length as i64,
            c2p,
            p2c,
            shares: config.flag("share_att_key", false)?,
            normalises: config.text("norm_rel_ebd")?.contains("layer_norm"),
        }))
    }

    /// Rows of the relative embeddings on either side of distance 0.
    fn span(&self) -> i64 {
        self.buckets.unwrap_or(self.furthest)
    }

    /// Rows of the relative embeddings.
    pub(super) fn rows(&self) -> Size {
        Size::of(self.key, self.span() as usize).times(2)
    }

    /// The row of the distance from a query to a key, `i - j`.
    ///
    /// `make_log_bucket_position` of transformers: distances of up to half the buckets have one each, further ones share by their
    /// logarithm. In floats of 32 bits, step by step as there, so that `ceil` falls on the same side.
    fn row(&self, distance: i64) -> i64 {
        let bucket = match self.buckets {
            Some(buckets) if distance.abs() > buckets / 2 => {
                let middle = (buckets / 2) as f32;
                let steps = (distance.abs() as f32 / middle).ln() / ((self.furthest - 1) as f32 / middle).ln();
                ((steps * (middle - 1.0)).ceil() + middle) as i64 * distance.signum()
            }
            _ => distance,
        };
        (bucket + self.span()).clamp(0, 2 * self.span() - 1)
    }

    /// The rows of all distances that there may be, from the largest down.
    fn falling(&self) -> Vec<i64> {
        (-self.max_length..=self.max_length).rev().map(|distance| self.row(distance)).collect()
    }

    /// What is worked out once in a run.
    pub(super) fn window(&self, graph: &mut Graph, lengths: &Lengths, heads: usize) -> Window {
        let tokens = &lengths.tokens;
        let (one, longest, beyond) =
            (graph.ints(&[1]), graph.ints(&[self.max_length]), graph.ints(&[self.max_length + 1]));
        let doubled = graph.add(tokens, tokens);
        let width = graph.add(&doubled, &one);
        let start = graph.subtract(&longest, tokens);
        let end = graph.add(&beyond, tokens);
        let mut window = Window { lengths: lengths.clone(), heads, doubled, width, start, end, places: None };
        // int8 tables have a column for each distance, so that no rows are picked.
        if graph.precision() == Precision::Fp32 {
            let falling = self.falling();
            let rising: Vec<i64> = falling.iter().rev().copied().collect();
            window.places = Some([falling, rising].map(|order| {
                let all = graph.ints(&order);
                graph.slice(&all, 0, &window.start, &window.end, 1)
            }));
        }
        window
    }
}

/// `PK` or `PQ` of a layer: a row for each bucket.
pub(super) struct Table(Array);

impl Table {
    /// The relative embeddings, projected. In floats of 64 bits, since it is done once.
    pub(super) fn new(relative: &Array, projection: Linear) -> Table {
        let (inputs, outputs) = (projection.weights.inputs, projection.weights.outputs);
        let bias = projection.bias.unwrap_or_else(|| vec![0.0; outputs]);
        let weights = projection.weights.into_floats();
        let mut values = Vec::with_capacity(relative.values.len());
        for row in relative.values.chunks_exact(inputs) {
            let mut sums: Vec<f64> = bias.iter().map(|&bias| f64::from(bias)).collect();
            for (&x, weights) in row.iter().zip(weights.chunks_exact(outputs)) {
                sums.iter_mut().zip(weights).for_each(|(sum, &weight)| *sum += f64::from(x) * f64::from(weight));
            }
            values.extend(sums.into_iter().map(|sum| sum as f32));
        }
        Table(Array { shape: vec![relative.shape[0], outputs], values })
    }
}

/// The direction in which distances run along the second axis of a table.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    Falling,
    Rising,
}

/// The part of the distances that a run needs.
pub(super) struct Window {
    lengths: Lengths,
    heads: usize,
    /// `2 S`.
    doubled: Value,
    /// `2 S + 1`.
    width: Value,
    /// The place of distance `S` in the row of all distances.
    start: Value,
    /// The place after distance `-S`.
    end: Value,
    /// The rows of the table for these distances, falling and rising, where they are to be picked.
    places: Option<[Value; 2]>,
}

impl Window {
    /// `x_i · table[b(i - j)]` for queries `i` and keys `j`, from `x` of `[batch, tokens, width]`.
    pub(super) fn falling(&self, graph: &mut Graph, positions: &Positions, table: &Table, x: &Value) -> Value {
        self.scores(graph, positions, table, x, Direction::Falling)
    }

    /// `x_j · table[b(i - j)]`, with a row for each key `j`: its rows run the other way, and so do the distances.
    pub(super) fn rising(&self, graph: &mut Graph, positions: &Positions, table: &Table, x: &Value) -> Value {
        self.scores(graph, positions, table, x, Direction::Rising)
    }

    fn scores(
        &self,
        graph: &mut Graph,
        positions: &Positions,
        table: &Table,
        x: &Value,
        direction: Direction,
    ) -> Value {
        let all = match (&self.places, graph.precision().largest()) {
            (Some([falling, rising]), _) => {
                let places = if direction == Direction::Falling { falling } else { rising };
                self.float_products(graph, places, table, x)
            }
            (None, largest) => {
                let mut order = positions.falling();
                if direction == Direction::Rising {
                    order.reverse();
                }
                self.quantised_products(graph, &order, table, x, largest.unwrap_or(127))
            }
        };
        let (batch, tokens) = (Axis::As(self.lengths.batch.clone()), Axis::As(self.lengths.tokens.clone()));
        let seen = graph.reshape(&all, &[batch, Axis::Of(self.heads), Axis::As(self.width.clone()), tokens]);
        let one = graph.ints(&[1]);
        graph.slice(&seen, 2, &one, &self.doubled, 2)
    }

    /// The products with all distances of the window, `[batch, heads, S, 2S + 1]`.
    fn float_products(&self, graph: &mut Graph, places: &Value, Table(table): &Table, x: &Value) -> Value {
        let (rows, width) = (table.shape[0], table.width() / self.heads);
        let mut by_head = Vec::with_capacity(table.values.len());
        for head in 0..self.heads {
            for row in table.values.chunks_exact(table.width()) {
                by_head.extend_from_slice(&row[head * width..(head + 1) * width]);
            }
        }
        let by_head = graph.floats("distances", &[self.heads, rows, width], by_head);
        let distances = graph.gather(&by_head, places, 1);
        let x = graph.split_heads(x, self.heads, table.width());
        graph.matmul_transposed(&x, &distances)
    }

    /// The same in int8, which is exact enough: what it errs by is less than what int8 errs by elsewhere. The table has a column
    /// for each distance, so that a window is a part of it, and a scale for each column of each head. What is multiplied by it
    /// is quantised before its heads are split, since then bytes are moved and not floats.
    fn quantised_products(
        &self,
        graph: &mut Graph,
        order: &[i64],
        Table(table): &Table,
        x: &Value,
        largest: i8,
    ) -> Value {
        let (all, width) = (order.len(), table.width() / self.heads);
        let mut numbers = vec![0_i8; self.heads * width * all];
        let mut scales = Vec::with_capacity(self.heads * all);
        for head in 0..self.heads {
            for (place, &row) in order.iter().enumerate() {
                let start = row as usize * table.width() + head * width;
                let floats = &table.values[start..start + width];
                let scale = step(floats.iter().fold(0_f32, |extreme, value| extreme.max(value.abs())), largest);
                for (within, float) in floats.iter().enumerate() {
                    numbers[(head * width + within) * all + place] = nearest(float / scale, largest);
                }
                scales.push(scale);
            }
        }
        let numbers = graph.bytes("distances", &[self.heads, width, all], numbers);
        let scales = graph.floats("scales", &[self.heads, 1, all], scales);
        let numbers = graph.slice(&numbers, 2, &self.start, &self.end, 1);
        let scales = graph.slice(&scales, 2, &self.start, &self.end, 1);
        let [x, scale, zero] = graph.quantised(x);
        let x = graph.split_heads(&x, self.heads, table.width());
        graph.runtime_op("MatMulIntegerToFloat", &[&x, &numbers, &scale, &scales, &zero], &[])
    }

    /// The rows for the distances from the first token to each, `0` down to `-(S - 1)`: `[tokens, heads, width of a head]`.
    pub(super) fn rows_from_first(&self, graph: &mut Graph, positions: &Positions, Table(table): &Table) -> Value {
        let longest = graph.ints(&[positions.max_length]);
        let end = graph.add(&longest, &self.lengths.tokens);
        let all = graph.ints(&positions.falling());
        let places = graph.slice(&all, 0, &longest, &end, 1);
        let shape = [table.shape[0], self.heads, table.width() / self.heads];
        let rows = graph.floats("distances", &shape, table.values.clone());
        graph.gather(&rows, &places, 0)
    }
}

#[cfg(test)]
mod tests;
