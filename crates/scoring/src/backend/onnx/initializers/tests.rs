//! Constants of ONNX files that are written here, byte by byte.

use proptest::prelude::*;

use super::*;
use crate::models::written::{bytes, external, model, number, pair};

fn read_bytes(file: &[u8]) -> io::Result<Vec<Initializer>> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.onnx");
    std::fs::write(&path, file).unwrap();
    read(&path, 1)
}

#[test]
fn constants_are_read_from_the_file_and_from_those_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    let values: Vec<u8> = [1.5_f32, -2.0].iter().flat_map(|value| value.to_le_bytes()).collect();
    let inside = [number(1, 2), number(2, 1), bytes(8, b"inside"), bytes(9, &values)].concat();
    let place = [pair("location", "model.data"), pair("offset", "3"), pair("length", "8")].concat();
    let beside = [bytes(1, &[1, 2]), number(2, 1), bytes(8, b"beside"), place, number(14, 1)].concat();
    let small = [number(1, 1), number(2, 3), bytes(8, b"small"), bytes(9, &[7])].concat();
    std::fs::write(folder.path().join("model.onnx"), model(&[inside, beside, small])).unwrap();
    std::fs::write(folder.path().join("model.data"), [b"xxx", &values[..]].concat()).unwrap();

    let found = read(&folder.path().join("model.onnx"), 2).unwrap();
    let shapes: Vec<_> = found.iter().map(|one| (one.name(), one.shape(), one.data_type())).collect();
    assert_eq!(shapes, [("inside", &[2][..], 1), ("beside", &[1, 2], 1)]);
    assert!(found.iter().all(|one| one.values::<f32>().unwrap() == [1.5, -2.0]));
    assert!(found[0].values::<i8>().is_err(), "the shape has two, not eight");
}

#[test]
fn nothing_outside_the_folder_is_read() {
    for location in ["../secret", "/etc/passwd"] {
        assert!(read_bytes(&model(&[external(location)])).is_err(), "{location}");
    }
}

#[test]
fn values_that_end_after_the_file_are_an_error_before_memory_is_asked_for() {
    let place = [pair("location", "model.onnx"), pair("length", "4611686018427387904")].concat();
    let shape = bytes(1, &[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x10]);
    let tensor = [shape, number(2, 1), bytes(8, b"x"), place, number(14, 1)].concat();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("model.onnx"), model(&[tensor])).unwrap();
    let found = read(&folder.path().join("model.onnx"), 1).unwrap();
    assert!(found[0].values::<f32>().is_err());
}

proptest! {
    #[test]
    fn any_bytes_end_in_constants_or_an_error(file in prop::collection::vec(any::<u8>(), 0..200)) {
        let nested = model(std::slice::from_ref(&file));
        for file in [file, nested] {
            for one in read_bytes(&file).unwrap_or_default() {
                let _ = one.values::<u8>();
            }
        }
    }
}
