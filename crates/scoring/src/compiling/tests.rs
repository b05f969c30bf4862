//! Building and verifying with the small model of the fixtures, and the real ONNX Runtime.

use std::fs::{self, File};

use super::{
    room::{IN_PROGRESS, remove_interrupted},
    *,
};
use crate::models::{Choice, Company, GraphChoice, ModelFolder};

fn runtime() -> Runtime {
    Runtime::load(None).unwrap()
}

/// A copy of the tiny model without the files `left_out`.
fn tiny(left_out: &[&str]) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/models/tiny-deberta-v2");
    fs::create_dir(copy.path().join("onnx")).unwrap();
    let all =
        ["config.json", "tokenizer.json", "tokenizer_config.json", "onnx/model.onnx", "onnx/model_quantized.onnx"];
    for name in all.iter().filter(|name| !left_out.contains(name)) {
        fs::copy(source.join(name), copy.path().join(name)).unwrap();
    }
    copy
}

fn built(path: &Path, precision: Precision) -> Built {
    let wish = Wish { precision: Some(precision), ..Wish::default() };
    build(path, &wish, &runtime(), &mut |_, _| ()).unwrap().remove(0)
}

fn opened(path: &Path, graph: Option<GraphChoice>) -> ModelFolder {
    ModelFolder::open_as(path, Choice { graph, ..Choice::default() }).unwrap()
}

#[test]
fn a_graph_of_each_precision_passes_and_is_run_from_then_on() {
    let folder = tiny(&[]);
    let stock = opened(folder.path(), None);
    assert!(stock.report().is_none() && stock.onnx().ends_with("onnx/model_quantized.onnx"));
    for precision in [Precision::Fp32, Precision::Int7, Precision::Int8] {
        let built = built(folder.path(), precision);
        assert!(built.report.passed && built.report.pairs >= 200, "{:#?}", built.report);
        assert_eq!(built.onnx, place(folder.path(), precision));
        assert!(built.report.sources.contains_key("model.onnx"), "floats before what was quantised");
        assert_eq!(built.size, built.onnx.metadata().unwrap().len());
        let (own, others) = built.speeds();
        assert!(own > 0.0 && !others.is_empty(), "{:?}", built.report.pairs_per_second);
    }
    assert_eq!(compiled::all(folder.path()).len(), 3);
    assert_eq!(folder.path().join("compiled").read_dir().unwrap().count(), 6, "each with its report, and nothing else");
    let compiled = opened(folder.path(), None);
    assert!(compiled.report().is_some() && compiled.notes().is_empty(), "{:?}", compiled.notes());
    assert_ne!(compiled.revision(), stock.revision());
    let fp32 = Choice { graph: Some(GraphChoice::Compiled), variant: Some(String::from("fp32")), ..Choice::default() };
    let fp32 = ModelFolder::open_as(folder.path(), fp32).unwrap();
    assert!(fp32.onnx().ends_with("compiled/fp32.onnx") && fp32.company() == Company::Rounds);
    if !saturates() {
        assert!(compiled.onnx().ends_with("compiled/int8.onnx") && compiled.company() == Company::Ignored);
    }
    // Whoever names a stock file, or an accelerator, gets stock.
    assert_eq!(opened(folder.path(), Some(GraphChoice::Stock)).revision(), stock.revision());
    assert!(ModelFolder::open(folder.path(), Some("model")).unwrap().onnx().ends_with("onnx/model.onnx"));
    let cuda = crate::Providers { list: vec![crate::Provider::Cuda, crate::Provider::Cpu], device: 0 };
    assert!(ModelFolder::open_for(folder.path(), None, cuda).unwrap().report().is_none());
}

#[test]
fn where_there_is_one_stock_file_only_it_is_what_counts() {
    for (left_out, precision) in [
        ("onnx/model.onnx", Precision::Int8),
        ("onnx/model.onnx", Precision::Fp32),
        ("onnx/model_quantized.onnx", Precision::Fp32),
    ] {
        let folder = tiny(&[left_out]);
        let built = built(folder.path(), precision);
        assert!(built.report.passed, "{left_out}, {precision:?}: {:#?}", built.report);
        let against = if left_out == "onnx/model.onnx" { "model_quantized.onnx" } else { "model.onnx" };
        assert!(built.report.checks.iter().any(|check| check.figure.contains(against)), "{:#?}", built.report);
    }
}

#[test]
fn equal_weights_give_equal_bytes_of_which_longer_inputs_are_refused() {
    let bytes = || {
        let folder = tiny(&["onnx/model_quantized.onnx"]);
        let wish = Wish { precision: Some(Precision::Fp32), max_length: Some(64), ..Wish::default() };
        let built = build(folder.path(), &wish, &runtime(), &mut |_, _| ()).unwrap().remove(0);
        assert!(built.report.checks.iter().any(|check| check.figure.contains("65 tokens") && check.passed()));
        (fs::read(built.onnx).unwrap(), opened(folder.path(), None).max_length())
    };
    let (first, longest) = bytes();
    assert_eq!((first == bytes().0, longest), (true, 64));
}

#[test]
fn weights_from_elsewhere_with_the_name_of_another_file_are_refused_at_the_start() {
    let folder = tiny(&[]);
    let elsewhere = tempfile::tempdir().unwrap();
    let other = |name: &str| {
        let file = elsewhere.path().join(name);
        fs::copy(folder.path().join("onnx/model.onnx"), &file).unwrap();
        Wish { precision: Some(Precision::Fp32), weights: Some(file), ..Wish::default() }
    };
    // The same bytes under another name, and under that of a file with other bytes.
    let error = build(folder.path(), &other("model_quantized.onnx"), &runtime(), &mut |_, _| ()).unwrap_err();
    let error = format!("{error:#}");
    assert!(error.contains("another file of the name model_quantized.onnx"), "{error}");
    assert!(!folder.path().join(FOLDER).exists());
    for name in ["model.onnx", "plain.onnx"] {
        let built = build(folder.path(), &other(name), &runtime(), &mut |_, _| ()).unwrap().remove(0);
        assert!(built.report.passed && opened(folder.path(), None).report().is_some(), "{name}");
        compiled::remove(&built.onnx).unwrap();
    }
}

#[test]
fn what_does_not_pass_is_not_there_afterwards() {
    // Random weights feel the noise of int8 more than trained ones, and without a stock int8 file nothing excuses that.
    let folder = tiny(&["onnx/model_quantized.onnx"]);
    let built = built(folder.path(), Precision::Int8);
    assert_eq!(place(folder.path(), Precision::Int8).exists(), built.report.passed, "{:#?}", built.report);
    assert_eq!(opened(folder.path(), None).report().is_some(), built.report.passed);
}

#[test]
fn a_graph_that_says_something_else_is_refused_and_stock_goes_on() {
    let folder = tiny(&[]);
    // The weights of another model: those of int8, made coarse.
    let other = folder.path().join("other.onnx");
    let mut model = file::read(&folder.path().join("onnx/model.onnx")).unwrap();
    let constants = &mut model.graph.as_mut().unwrap().initializer;
    let one = constants.iter_mut().find(|constant| constant.name.contains("query_proj.bias")).unwrap();
    one.raw_data = (0..one.raw_data.len() / 4).flat_map(|_| 3.0_f32.to_le_bytes()).collect();
    file::write(model, &other).unwrap();
    fs::rename(folder.path().join("onnx/model.onnx"), folder.path().join("onnx/model_fp32.onnx")).unwrap();
    fs::rename(other, folder.path().join("onnx/model.onnx")).unwrap();
    // Built from one, and compared with the other.
    let weights = Some(folder.path().join("onnx/model_fp32.onnx"));
    let provenance_of = |weights| Wish { precision: Some(Precision::Fp32), weights, ..Wish::default() };
    let right = build(folder.path(), &provenance_of(weights), &runtime(), &mut |_, _| ()).unwrap().remove(0);
    assert!(right.report.passed);
    fs::remove_file(folder.path().join("onnx/model_fp32.onnx")).unwrap();
    let (report, kept) = verify_again(folder.path(), &right.onnx, &runtime(), &mut |_, _| ()).unwrap();
    assert!(!report.passed && kept.is_ok(), "{report:#?}");
    let stock = opened(folder.path(), None);
    assert!(stock.report().is_none(), "{:?}", stock.onnx());
    assert!(stock.notes()[0].contains("did not pass the verification"), "{:?}", stock.notes());
}

#[test]
fn what_no_longer_goes_together_is_not_run_and_the_note_says_what_to_do() {
    let folder = tiny(&["onnx/model_quantized.onnx"]);
    let onnx = built(folder.path(), Precision::Fp32).onnx;
    let note = |change: &dyn Fn(), undo: &dyn Fn()| {
        change();
        let opened = opened(folder.path(), None);
        assert!(opened.report().is_none());
        let asked = Choice { graph: Some(GraphChoice::Compiled), ..Choice::default() };
        let error = ModelFolder::open_as(folder.path(), asked).unwrap_err().to_string();
        assert!(error.contains(&opened.notes()[0]), "{error}");
        undo();
        assert!(self::opened(folder.path(), None).report().is_some());
        let note = opened.notes()[0].clone();
        assert!(note.contains("rerank-proxy models build") && opened.notes().len() == 1, "{note}");
        note
    };
    let exchanged = |file: PathBuf, other: Vec<u8>, says: &str| {
        let content = fs::read(&file).unwrap();
        let said = note(&|| fs::write(&file, &other).unwrap(), &|| fs::write(&file, &content).unwrap());
        assert!(said.contains(says), "{said}");
    };
    let damaged = |file: &Path| {
        let mut bytes = fs::read(file).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        bytes
    };
    exchanged(onnx.clone(), damaged(&onnx), "not the one that was verified");
    let weights = folder.path().join("onnx/model.onnx");
    exchanged(weights.clone(), damaged(&weights), "model.onnx is not what it was built from");
    let config = folder.path().join("config.json");
    let other = [&fs::read(&config).unwrap()[..], b"\n"].concat();
    exchanged(config, other, "config.json is not what it was built from");
    let report = compiled::report_place(&onnx);
    exchanged(report.clone(), b"{}".to_vec(), "its report cannot be read");
    let content = fs::read(&report).unwrap();
    let said = note(&|| fs::remove_file(&report).unwrap(), &|| fs::write(&report, &content).unwrap());
    assert!(said.contains("was not verified"), "{said}");
    // Weights that are gone contradict nothing: where safetensors were compiled, an image need not hold them.
    fs::remove_file(weights).unwrap();
    assert!(opened(folder.path(), None).report().is_some());
}

#[test]
fn no_architecture_and_no_weights_are_said_with_the_file() {
    let folder = tiny(&[]);
    let refused = || {
        let error = build(folder.path(), &Wish::default(), &runtime(), &mut |_, _| ()).unwrap_err();
        assert!(!folder.path().join(FOLDER).exists());
        format!("{error:#}")
    };
    let config = folder.path().join("config.json");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, text.replace("\"deberta-v2\"", "\"something-else\"")).unwrap();
    let error = refused();
    assert!(error.contains("config.json") && error.contains("something-else"), "{error}");
    assert!(opened(folder.path(), None).report().is_none(), "stock goes on");
    fs::write(&config, text).unwrap();
    for name in ["onnx/model.onnx", "onnx/model_quantized.onnx"] {
        fs::remove_file(folder.path().join(name)).unwrap();
    }
    let error = refused();
    assert!(error.contains("model.safetensors is missing") && error.contains("--weights"), "{error}");
    fs::write(folder.path().join("model.safetensors"), "").unwrap();
    let error = ModelFolder::open(folder.path(), None).unwrap_err().to_string();
    assert!(error.contains("rerank-proxy models build"), "{error}");
}

#[test]
fn int8_is_not_run_where_its_sums_overflow_unless_it_was_verified_there() {
    let folder = tiny(&[]);
    let onnx = built(folder.path(), Precision::Int8).onnx;
    let verified_where_they_overflow = |saturates| {
        let report = Report { saturates, ..Report::read(&onnx).unwrap() };
        report.write(&onnx).unwrap();
    };
    let found = |saturates| compiled::find_for(saturates, folder.path(), None);
    verified_where_they_overflow(false);
    assert!(matches!(found(false), (Some(_), notes) if notes.is_empty()));
    let (compiled, notes) = found(true);
    assert!(compiled.is_none() && notes[0].contains("its sums overflow"), "{notes:?}");
    assert!(notes[0].contains("rerank-proxy models build"), "{notes:?}");
    verified_where_they_overflow(true);
    assert!(matches!(found(true), (Some(_), notes) if notes.is_empty()));
}

#[test]
fn where_nothing_can_be_written_a_graph_is_verified_all_the_same() {
    // Without stock fp32 it has to be held against a graph that is written somewhere.
    let folder = tiny(&["onnx/model.onnx"]);
    // Built without a verdict: whether random weights pass at int8 is a matter of the processor, and here of none.
    let elsewhere = tempfile::tempdir().unwrap();
    let onnx = place(elsewhere.path(), Precision::Int8);
    fs::create_dir(elsewhere.path().join(FOLDER)).unwrap();
    let config = folder.path().join("config.json");
    let weights = weights_of(folder.path()).unwrap();
    let recipe = recipe(folder.path(), Precision::Int8, 512, None).unwrap();
    graphs::build(&config, &weights, &recipe, &onnx, &mut |_| ()).unwrap();
    fs::write(compiled::report_place(&onnx), "the report before").unwrap();
    // What a folder that is read-only refuses, also to root.
    let own = folder.path().join(FOLDER);
    fs::write(&own, "in its way").unwrap();
    fs::create_dir(compiled::report_place(&onnx).with_extension("json.part")).unwrap();
    let (report, kept) = verify_again(folder.path(), &onnx, &runtime(), &mut |_, _| ()).unwrap();
    let is_held_against = |other| report.checks.iter().any(|check| check.figure.contains(other));
    assert!(is_held_against("our own fp32 graph") && is_held_against("model_quantized.onnx"), "{report:#?}");
    assert!(report.compared && kept.is_err(), "{report:#?}");
    assert_eq!(fs::read_to_string(compiled::report_place(&onnx)).unwrap(), "the report before");
    assert_eq!(fs::read_to_string(own).unwrap(), "in its way");
}

#[test]
fn what_an_interrupted_build_left_is_removed_and_one_in_progress_is_left_alone() {
    let model = tempfile::tempdir().unwrap();
    let unverified = |number| model.path().join(format!("compiled/unverified-{number}"));
    for folder in [unverified(1), unverified(2)] {
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("int8.onnx"), "half of it").unwrap();
    }
    fs::write(unverified(1).join(IN_PROGRESS), "").unwrap();
    let other = File::create(unverified(2).join(IN_PROGRESS)).unwrap();
    other.lock().unwrap();
    let own = Unverified::create(model.path()).unwrap();
    assert!(!unverified(1).exists() && unverified(2).join("int8.onnx").exists());
    remove_interrupted(&model.path().join("compiled"));
    // Processes of two containers may have the same number, and these two have.
    let second = Unverified::create(model.path()).unwrap();
    assert!(own.folder().exists() && own.folder() != second.folder());
    drop(second);
    assert!(own.folder().exists());
    drop(own);
    assert_eq!(model.path().join("compiled").read_dir().unwrap().count(), 1);
}
