//! Any answer has candidates or a named reason; every hit in its own place gives it back to the byte, and a new order, new
//! scores, notes, taking fields out and filtering change nothing else.

#![no_main]

use engines::fuzzing;

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzzing::hold(fuzzing::rewrite, input));
