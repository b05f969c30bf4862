//! Any answer of Solr's has documents or a named reason; every document in its own place gives it back to the byte, and
//! whatever else is done to it, JSON stays JSON.

#![no_main]

use engines::{pace, solr};

libfuzzer_sys::fuzz_target!(|input: &[u8]| pace::hold(solr::fuzzing::rewrite, input));
