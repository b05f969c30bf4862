//! Whatever a server answers, in whatever pieces it arrives, is read as hyper's client reads it. The first line of the input
//! says how it comes: `METHOD`, where it is cut, in bytes, and `closes` where the connection is closed behind it.

#![no_main]

use engines::fuzzing;

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzzing::hold(http1::oracle::answer, input));
