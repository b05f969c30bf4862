//! External data in ONNX files that are written here, byte by byte.

use super::*;
use crate::models::written::{bytes, external, group, model, number, pair};

fn found(file: &[u8]) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.onnx");
    std::fs::write(&path, file).unwrap();
    locations(&path).unwrap().into_iter().collect()
}

#[test]
fn every_external_file_is_found_wherever_its_tensor_is() {
    let tensor = |name: &str| external(name);
    let sparse = |name: &str| bytes(1, &tensor(name));
    let subgraph = bytes(6, &bytes(5, &tensor("subgraph")));
    let attributes = [
        bytes(5, &bytes(5, &tensor("constant"))),
        bytes(5, &bytes(10, &tensor("list"))),
        bytes(5, &subgraph),
        bytes(5, &bytes(22, &sparse("sparse constant"))),
    ];
    let graph = [
        bytes(1, &attributes.concat()),
        bytes(5, &tensor("initializer")),
        bytes(5, &tensor("initializer")),
        bytes(15, &sparse("sparse")),
    ];
    let function = bytes(25, &bytes(7, &bytes(5, &bytes(5, &tensor("function")))));
    let training = bytes(20, &bytes(1, &bytes(5, &tensor("training"))));
    let file = [number(1, 8), group(30), bytes(7, &graph.concat()), function, training].concat();
    let expected = ["constant", "function", "initializer", "list", "sparse", "sparse constant", "subgraph", "training"];
    assert_eq!(found(&file), expected);
}

#[test]
fn what_only_looks_like_one_is_none() {
    let inside = [number(2, 1), bytes(9, &[7]), pair("location", "stale")].concat();
    assert_eq!(found(&model(&[inside])), [""; 0]);
    assert_eq!(found(b"this is no model"), [""; 0]);
    assert_eq!(found(b""), [""; 0]);
}

#[test]
fn messages_within_each_other_without_end_are_read_in_bounded_memory() {
    let nested = (0..3000).fold(Vec::new(), |inner, _| bytes(6, &bytes(1, &bytes(5, &inner))));
    assert_eq!(found(&bytes(7, &bytes(1, &bytes(5, &nested)))), [""; 0]);
}

#[test]
fn a_file_outside_of_the_folder_is_refused_and_one_that_is_missing_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let onnx = folder.path().join("model.onnx");
    for location in ["../secret", "/etc/passwd", "a/../../secret"] {
        std::fs::write(&onnx, model(&[external(location)])).unwrap();
        let error = files(&onnx).unwrap_err().to_string();
        assert!(error.contains("model.onnx") && error.contains(location) && error.contains("outside"), "{error}");
    }
    std::fs::write(&onnx, model(&[external("parts/one.bin")])).unwrap();
    let error = files(&onnx).unwrap_err().to_string();
    assert!(error.contains("one.bin is missing") && error.contains("model.onnx keeps values in it"), "{error}");
    std::fs::create_dir(folder.path().join("parts")).unwrap();
    std::fs::write(folder.path().join("parts/one.bin"), "values").unwrap();
    assert_eq!(files(&onnx).unwrap(), [folder.path().join("parts/one.bin")]);
}
