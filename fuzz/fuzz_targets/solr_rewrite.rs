//! Any answer of Solr's has documents or a named reason; every document in its own place gives it back to the byte, and
//! whatever else is done to it, JSON stays JSON.

#![no_main]

use engines::fuzzing;

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzzing::hold(fuzzing::solr_rewrite, input));
