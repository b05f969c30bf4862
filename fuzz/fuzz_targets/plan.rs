//! Any request, written as `METHOD /path?query`, header lines, an empty line and a body, gets for each of its searches a
//! plan or a named reason; and what is sent in its place differs from it only where the plans say so, to the byte.

#![no_main]

use engines::fuzzing;

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzzing::hold(fuzzing::plan, input));
