//! Any request to Solr, written as `METHOD /path?query`, header lines, an empty line and a body, has a plan or a named reason;
//! and what is sent in its place is the client's own behind ours, to the byte.

#![no_main]

use engines::fuzzing;

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzzing::hold(fuzzing::solr_plan, input));
