//! Graphs of our own against torch and transformers, for tiny models of each architecture and each switch that checkpoints differ
//! in: `fixtures/graphs`, whose README says how its tokens are made. Needs the ONNX Runtime library: `make onnxruntime`.

#![allow(clippy::unwrap_used, reason = "the functions that tests share are tests too")]

use std::{
    collections::HashSet,
    fs,
    path::{Path, PathBuf},
    sync::{Mutex, OnceLock},
};

use graphs::{
    Output, Pooling, Precision, Recipe,
    onnx::{TensorProto, data_type, file},
};
use ort::{
    session::{
        Session,
        builder::{GraphOptimizationLevel, SessionBuilder},
    },
    value::TensorRef,
};
use scoring::Runtime;
use serde_json::Value;

/// The most tokens that the fixtures have.
const LONGEST: usize = 512;

/// A model, and what torch makes of it.
struct Fixture {
    name: String,
    folder: PathBuf,
    golden: Value,
}

/// Every model there is.
fn fixtures() -> Vec<Fixture> {
    let all = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/graphs");
    let mut folders: Vec<PathBuf> = fs::read_dir(all).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.retain(|folder| folder.join("golden.json").exists());
    folders.sort();
    assert!(!folders.is_empty(), "fixtures/graphs is in the repository");
    folders.into_iter().map(Fixture::open).collect()
}

/// Those with exports, as repositories carry them.
fn exported() -> Vec<Fixture> {
    fixtures().into_iter().filter(|fixture| fixture.folder.join("onnx").exists()).collect()
}

impl Fixture {
    fn open(folder: PathBuf) -> Fixture {
        let golden = json(&folder.join("golden.json"));
        Fixture { name: folder.file_name().unwrap().to_string_lossy().into_owned(), folder, golden }
    }

    /// The weights: one file, or the index of several.
    fn weights(&self) -> PathBuf {
        let one = self.folder.join("model.safetensors");
        if one.exists() { one } else { self.folder.join("model.safetensors.index.json") }
    }

    /// A bi-encoder says how it pools in the files of sentence-transformers.
    fn output(&self) -> Output {
        let pooling = self.folder.join("1_Pooling/config.json");
        if !pooling.exists() {
            return Output::Logit;
        }
        let pooling = json(&pooling);
        let kinds = [
            ("pooling_mode_cls_token", Pooling::Cls),
            ("pooling_mode_max_tokens", Pooling::Max),
            ("pooling_mode_mean_tokens", Pooling::Mean),
        ];
        let (_, pooling) = kinds.into_iter().find(|(key, _)| pooling[key] == true).unwrap();
        let normalise = json(&self.folder.join("modules.json")).to_string().contains("Normalize");
        Output::Sentence { pooling, normalise }
    }

    /// The graph's bytes.
    fn build(&self, weights: &Path, precision: Precision) -> Vec<u8> {
        let folder = tempfile::tempdir().unwrap();
        let to = folder.path().join("graph.onnx");
        self.build_at(&to, weights, precision, false);
        fs::read(to).unwrap()
    }

    fn build_at(&self, to: &Path, weights: &Path, precision: Precision, narrow: bool) {
        let recipe = Recipe { precision, output: self.output(), max_length: LONGEST, revision: None, narrow };
        let built = graphs::build(&self.folder.join("config.json"), weights, &recipe, to, &mut |_| ());
        built.unwrap_or_else(|error| panic!("{}: {error}", self.name));
    }

    fn graph(&self, weights: &Path, precision: Precision) -> Graph {
        Graph::open(&self.build(weights, precision))
    }

    /// The tokens of row `row` with `length` of them, by the README's formula.
    fn tokens(&self, row: usize, length: usize) -> Vec<i64> {
        let [first, vocabulary] = ["first", "vocabulary"].map(|field| self.golden[field].as_i64().unwrap());
        let (row, length) = (row as i64, length as i64);
        let token = |place| match place {
            0 => first,
            _ => 5 + (place * place * 31 + place * 7 + row * 13 + length * 3) % (vocabulary - 6),
        };
        (0..length).map(token).collect()
    }

    /// Inputs that share a run: rows of such lengths, padded at the right.
    fn batch(&self, lengths: &[usize]) -> Batch {
        let tokens = *lengths.iter().max().unwrap();
        let padding = self.golden["pad"].as_i64().unwrap();
        let mut batch = Batch { shape: [lengths.len(), tokens], ids: vec![], mask: vec![], types: vec![] };
        for (row, &length) in lengths.iter().enumerate() {
            let absent = tokens - length;
            batch.ids.extend(self.tokens(row, length).into_iter().chain(vec![padding; absent]));
            batch.mask.extend((0..tokens).map(|place| i64::from(place < length)));
            batch.types.extend((0..tokens).map(|place| i64::from(place < length && place >= length.div_ceil(2))));
        }
        batch
    }

    /// The lengths of the cases, each with what torch gives for it.
    fn cases(&self) -> Vec<(usize, Vec<f32>)> {
        let case = |case: &Value| (case["length"].as_u64().unwrap() as usize, floats(&case["values"]));
        self.golden["cases"].as_array().unwrap().iter().map(case).collect()
    }

    /// What `graph` gives for all cases, and what torch gives.
    fn run(&self, graph: &Graph) -> [Vec<f32>; 2] {
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for (length, torch) in self.cases() {
            ours.extend(graph.run(&self.batch(&[length])).unwrap());
            theirs.extend(torch);
        }
        [ours, theirs]
    }
}

/// Tokens as a model takes them, row by row.
struct Batch {
    shape: [usize; 2],
    ids: Vec<i64>,
    mask: Vec<i64>,
    types: Vec<i64>,
}

impl Batch {
    /// One row, without its padding.
    fn row(&self, row: usize) -> Batch {
        let [_, width] = self.shape;
        let cut = |values: &[i64]| values[row * width..(row + 1) * width].to_vec();
        let mut one = Batch { shape: [1, 0], ids: cut(&self.ids), mask: cut(&self.mask), types: cut(&self.types) };
        let tokens = one.mask.iter().sum::<i64>() as usize;
        for values in [&mut one.ids, &mut one.mask, &mut one.types] {
            values.truncate(tokens);
        }
        Batch { shape: [1, tokens], ..one }
    }
}

/// A graph that can be run.
struct Graph(Mutex<Session>);

impl Graph {
    fn open(bytes: &[u8]) -> Graph {
        Graph(Mutex::new(Graph::builder().commit_from_memory(bytes).unwrap()))
    }

    /// One that is run as it is written, as the reference of a verification is.
    fn open_as_written(file: &Path) -> Graph {
        let mut builder = Graph::builder().with_optimization_level(GraphOptimizationLevel::Disable).unwrap();
        Graph(Mutex::new(builder.commit_from_file(file).unwrap()))
    }

    fn builder() -> SessionBuilder {
        static RUNTIME: OnceLock<Runtime> = OnceLock::new();
        let runtime = RUNTIME.get_or_init(|| Runtime::load(None).unwrap_or_else(|error| panic!("{error}")));
        // Without the instructions for it, int8 sums overflow on x86.
        let builder = Session::builder(runtime.environment()).unwrap().with_precise_qmm().unwrap();
        builder.with_intra_threads(1).unwrap()
    }

    /// The numbers that it gives, row by row.
    fn run(&self, batch: &Batch) -> ort::Result<Vec<f32>> {
        let mut session = self.0.lock().unwrap();
        let named: Vec<(String, &Vec<i64>)> = session
            .inputs()
            .iter()
            .map(|input| match input.name() {
                "input_ids" => (input.name().to_owned(), &batch.ids),
                "attention_mask" => (input.name().to_owned(), &batch.mask),
                _ => (input.name().to_owned(), &batch.types),
            })
            .collect();
        let mut inputs = Vec::new();
        for (name, values) in &named {
            inputs.push((name.as_str(), TensorRef::from_array_view((batch.shape, values.as_slice()))?));
        }
        let outputs = session.run(inputs)?;
        let (_, values) = outputs[0].try_extract_tensor::<f32>()?;
        Ok(values.to_vec())
    }
}

fn json(file: &Path) -> Value {
    let text = fs::read(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    serde_json::from_slice(&text).unwrap()
}

fn floats(values: &Value) -> Vec<f32> {
    values.as_array().unwrap().iter().map(|value| value.as_f64().unwrap() as f32).collect()
}

/// The largest difference.
fn distance(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).fold(0.0, |largest, (a, b)| largest.max((a - b).abs()))
}

#[test]
fn every_architecture_gives_what_torch_gives() {
    for fixture in fixtures() {
        let graph = fixture.graph(&fixture.weights(), Precision::Fp32);
        for (length, torch) in fixture.cases() {
            let ours = graph.run(&fixture.batch(&[length])).unwrap();
            let far = distance(&ours, &torch);
            assert!(far < 1e-4, "{}, {length} tokens: {far} from torch", fixture.name);
        }
    }
}

#[test]
fn padding_changes_nothing() {
    for fixture in fixtures() {
        let graph = fixture.graph(&fixture.weights(), Precision::Fp32);
        for padded in fixture.golden["padded"].as_array().unwrap() {
            let lengths: Vec<usize> = floats(&padded["lengths"]).into_iter().map(|length| length as usize).collect();
            let torch: Vec<f32> = padded["values"].as_array().unwrap().iter().flat_map(floats).collect();
            let far = distance(&graph.run(&fixture.batch(&lengths)).unwrap(), &torch);
            assert!(far < 1e-4, "{}, {lengths:?} tokens: {far} from torch", fixture.name);
        }
    }
}

/// To the last bit: the cache of scores depends on it.
#[test]
fn neither_company_nor_padding_changes_a_score_of_few_bits() {
    for fixture in fixtures() {
        for precision in [Precision::Int8, Precision::Int7] {
            let graph = fixture.graph(&fixture.weights(), precision);
            for lengths in [[7, 3, 5], [129, 1, 64]] {
                let batch = fixture.batch(&lengths);
                let together = graph.run(&batch).unwrap();
                let alone: Vec<f32> = (0..lengths.len()).flat_map(|row| graph.run(&batch.row(row)).unwrap()).collect();
                assert!(together == alone, "{} at {}, {lengths:?}", fixture.name, precision.name());
            }
        }
    }
}

/// Measured on these models, on a machine with VNNI: a distance from torch (the root of the mean square, over the deviation of
/// torch's scores) of 0.08 at most at int8 and 0.27 at int7, and Spearman 0.96 at least. Real models are wider, and err less.
#[test]
fn few_bits_move_scores_a_little() {
    for fixture in fixtures() {
        for (precision, tolerance) in [(Precision::Int8, 0.15), (Precision::Int7, 0.4)] {
            let [ours, torch] = fixture.run(&fixture.graph(&fixture.weights(), precision));
            let (noise, order) = (rms(&ours, &torch) / deviation(&torch), spearman(&ours, &torch));
            println!("{} {}: noise {noise:.3}, Spearman {order:.3}", fixture.name, precision.name());
            let name = (&fixture.name, precision.name());
            assert!(noise < tolerance, "{name:?}: {noise} from torch");
            assert!(order > 0.9, "{name:?}: Spearman {order}");
        }
    }
}

#[test]
fn a_longer_input_than_the_model_reads_fails() {
    for fixture in fixtures() {
        for precision in [Precision::Fp32, Precision::Int8] {
            let graph = fixture.graph(&fixture.weights(), precision);
            let longer = graph.run(&fixture.batch(&[LONGEST + 1]));
            assert!(longer.is_err(), "{} at {}", fixture.name, precision.name());
            graph.run(&fixture.batch(&[LONGEST])).unwrap();
        }
    }
}

#[test]
fn two_builds_are_equal_to_the_byte() {
    for fixture in fixtures() {
        for precision in [Precision::Fp32, Precision::Int8] {
            let build = || fixture.build(&fixture.weights(), precision);
            assert!(build() == build(), "{} at {}", fixture.name, precision.name());
        }
    }
}

#[test]
fn a_plain_export_gives_what_safetensors_give() {
    for fixture in exported() {
        for (export, tolerance) in [("model.onnx", 1e-4), ("model_fp16.onnx", 2e-2)] {
            let export = fixture.folder.join("onnx").join(export);
            let [ours, torch] = fixture.run(&fixture.graph(&export, Precision::Fp32));
            let far = distance(&ours, &torch);
            println!("{}: {far}", export.display());
            assert!(far < tolerance, "{}: {far} from torch", export.display());
        }
    }
}

/// What ONNX Runtime makes of the export itself is in the fixture.
#[test]
fn a_quantised_export_gives_about_what_it_gives_itself() {
    for fixture in exported() {
        let export = fixture.folder.join("onnx/model_quantized.onnx");
        for precision in [Precision::Fp32, Precision::Int8] {
            let graph = fixture.graph(&export, precision);
            for case in fixture.golden["int8"].as_array().unwrap() {
                let length = case["length"].as_u64().unwrap() as usize;
                let ours = graph.run(&fixture.batch(&[length])).unwrap();
                let (far, name) = (distance(&ours, &floats(&case["values"])), precision.name());
                println!("{} {length} {name}: {far}", fixture.name);
                assert!(far < 0.3, "{}, {length} tokens at {name}: {far} from the export", fixture.name);
            }
        }
    }
}

/// The reference that int8 is held against: no larger than what it is made of, and the same scores as with floats.
#[test]
fn a_narrow_graph_keeps_what_the_file_has_and_says_what_floats_say() {
    let folder = tempfile::tempdir().unwrap();
    for fixture in exported() {
        // The export in half precision, and in the upper half of floats.
        let rounded = |name: &str, round: fn(f32) -> f32| {
            let mut model = file::read(&fixture.folder.join("onnx/model.onnx")).unwrap();
            for tensor in model.graph.iter_mut().flat_map(|graph| &mut graph.initializer) {
                if tensor.data_type == data_type::FLOAT {
                    let floats = tensor.raw_data.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes));
                    tensor.raw_data = floats.flat_map(|float| round(float).to_le_bytes()).collect::<Vec<u8>>().into();
                }
            }
            let to = folder.path().join(name);
            file::write(model, &to).unwrap();
            to
        };
        // A half has 13 bits fewer in its fraction, and nothing so small.
        let in_half = |float: f32| if float.abs() < 1e-4 { 0.0 } else { f32::from_bits(float.to_bits() & !0x1fff) };
        let half = rounded("half.onnx", in_half);
        let brain = rounded("brain.onnx", |float| f32::from_bits(float.to_bits() & !0xffff));
        for weights in [fixture.folder.join("onnx/model_quantized.onnx"), half, brain] {
            let [wide, narrow] = ["wide.onnx", "narrow.onnx"].map(|name| folder.path().join(name));
            fixture.build_at(&wide, &weights, Precision::Fp32, false);
            fixture.build_at(&narrow, &weights, Precision::Fp32, true);
            // Query matrices are divided, which may leave them more bits than they had.
            let floats = |graph: &Path| -> i64 {
                let constants = file::outline(graph).unwrap().graph.unwrap().initializer;
                let is_matrix = |constant: &&TensorProto| constant.name.contains("/weights_");
                let floats = constants.iter().filter(|constant| constant.data_type == data_type::FLOAT);
                floats.filter(is_matrix).map(|constant| constant.dims.iter().product::<i64>()).sum()
            };
            let what = format!("{}, {}: {}", fixture.name, weights.display(), floats(&narrow));
            assert!(floats(&wide) > 4 * floats(&narrow), "{what} of {} numbers are floats", floats(&wide));
            let [wide, narrow] = [wide, narrow].map(|graph| fixture.run(&Graph::open_as_written(&graph))[0].clone());
            assert!(distance(&narrow, &wide) < 1e-4, "{what}: {}", distance(&narrow, &wide));
        }
    }
}

/// So nobody has to trust what lies in the repository: it is what `rerank-proxy models build` makes. Where this fails since graphs
/// have changed, build them again: `models build fixtures/models/NAME --precision int7`, which overflows on no processor.
#[test]
fn the_bundled_graphs_are_made_of_the_files_beside_them() {
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/models");
    let sentence = Output::Sentence { pooling: Pooling::Mean, normalise: true };
    let bundled = [
        ("ms-marco-MiniLM-L12-v2", Precision::Int7, Output::Logit, 512),
        ("all-MiniLM-L6-v2", Precision::Int7, sentence, 256),
    ];
    for (name, precision, output, max_length) in bundled {
        let (folder, temporary) = (models.join(name), tempfile::tempdir().unwrap());
        let to = temporary.path().join("graph.onnx");
        let recipe = Recipe { precision, output, max_length, revision: None, narrow: false };
        let weights = folder.join("onnx/model_quantized.onnx");
        graphs::build(&folder.join("config.json"), &weights, &recipe, &to, &mut |_| ()).unwrap();
        let there = folder.join(format!("compiled/{}.onnx", precision.name()));
        assert!(fs::read(to).unwrap() == fs::read(&there).unwrap(), "{} is of other graphs", there.display());
    }
}

/// Quantised once more they would lose once more. Compared column by column, since some matrices are cut.
#[test]
fn weights_that_an_export_has_quantised_are_taken_as_they_are() {
    for fixture in exported() {
        let export = fixture.folder.join("onnx/model_quantized.onnx");
        let stock = file::read(&export).unwrap().graph.unwrap();
        // Numbers without a sign are moved down by 128.
        let signed = |column: &Vec<u8>| column.iter().map(|byte| byte ^ 0x80).collect();
        let plain: HashSet<Vec<u8>> = stock.initializer.iter().flat_map(columns).collect();
        let moved: HashSet<Vec<u8>> = plain.iter().map(signed).collect();

        let folder = tempfile::tempdir().unwrap();
        let ours = folder.path().join("graph.onnx");
        fs::write(&ours, fixture.build(&export, Precision::Int8)).unwrap();
        let ours = file::read(&ours).unwrap().graph.unwrap();
        let kinds = ["DynamicQuantizeMatMul", "MatMulIntegerToFloat"];
        let mut compared = 0;
        let bodies = ours.node.iter().flat_map(|node| &node.attribute).filter_map(|attribute| attribute.g.as_ref());
        let nodes = bodies.flat_map(|body| &body.node);
        for node in nodes.filter(|node| kinds.contains(&node.op_type.as_str())) {
            let weights = ours.initializer.iter().filter(|constant| constant.name == node.input[1]);
            for column in weights.flat_map(columns) {
                let is_of_stock = plain.contains(&column) || moved.contains(&column);
                assert!(is_of_stock, "{}: {} is not of {}", fixture.name, node.input[1], export.display());
                compared += 1;
            }
        }
        assert!(compared > 0, "{}", fixture.name);
    }
}

/// The columns of a matrix of bytes; none of anything else.
fn columns(constant: &TensorProto) -> Vec<Vec<u8>> {
    let is_of_bytes = [data_type::INT8, data_type::UINT8].contains(&constant.data_type);
    match constant.dims[..] {
        [_, width] if is_of_bytes => {
            let width = width as usize;
            (0..width).map(|column| constant.raw_data.iter().skip(column).step_by(width).copied().collect()).collect()
        }
        _ => Vec::new(),
    }
}

/// The mean is of squares.
fn rms(a: &[f32], b: &[f32]) -> f32 {
    (a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f32>() / a.len() as f32).sqrt()
}

fn deviation(values: &[f32]) -> f32 {
    let mean = values.iter().sum::<f32>() / values.len() as f32;
    rms(values, &vec![mean; values.len()])
}

fn spearman(a: &[f32], b: &[f32]) -> f32 {
    let ranks = |values: &[f32]| {
        let mut order: Vec<usize> = (0..values.len()).collect();
        order.sort_by(|&one, &other| values[one].total_cmp(&values[other]));
        let mut ranks = vec![0.0; values.len()];
        order.into_iter().enumerate().for_each(|(rank, place)| ranks[place] = rank as f32);
        ranks
    };
    let (a, b) = (ranks(a), ranks(b));
    let middle = (a.len() as f32 - 1.0) / 2.0;
    let product = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| (a - middle) * (b - middle)).sum::<f32>();
    product(&a, &b) / (product(&a, &a) * product(&b, &b)).sqrt()
}
