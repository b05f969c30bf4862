//! A writer of protobuf, for tests: messages as bytes, so that files can be wrong in ways that no type allows.

/// A field of bytes.
pub(crate) fn bytes(number: u8, value: &[u8]) -> Vec<u8> {
    let mut field = key(number, 2);
    let mut length = value.len();
    while length > 0x7f {
        field.push(length as u8 | 0x80);
        length >>= 7;
    }
    field.push(length as u8);
    [&field, value].concat()
}

/// A field that is a number.
pub(crate) fn number(number: u8, value: u8) -> Vec<u8> {
    [key(number, 0), vec![value]].concat()
}

/// A group with nothing in it.
pub(crate) fn group(number: u8) -> Vec<u8> {
    [key(number, 3), key(number, 4)].concat()
}

/// A model with these initializers.
pub(crate) fn model(tensors: &[Vec<u8>]) -> Vec<u8> {
    let graph: Vec<u8> = tensors.iter().flat_map(|tensor| bytes(5, tensor)).collect();
    [bytes(2, b"a producer"), bytes(7, &[bytes(2, b"a graph"), graph].concat())].concat()
}

/// An entry of `external_data`.
pub(crate) fn pair(key: &str, value: &str) -> Vec<u8> {
    bytes(13, &[bytes(1, key.as_bytes()), bytes(2, value.as_bytes())].concat())
}

/// A tensor whose values are in the file `location`.
pub(crate) fn external(location: &str) -> Vec<u8> {
    [number(2, 1), bytes(8, b"x"), pair("location", location), pair("length", "8"), number(14, 1)].concat()
}

fn key(number: u8, kind: u8) -> Vec<u8> {
    match number {
        0..16 => vec![number << 3 | kind],
        _ => vec![number << 3 & 0x7f | kind | 0x80, number >> 4],
    }
}
