//! Any text can be read as a query in each Lucene syntax; what comes out is text that was in it, and says where it was
//! looked for.

#![no_main]

use engines::fuzzing;

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzzing::hold(fuzzing::lucene, input));
