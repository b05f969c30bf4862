//! Whatever a client asks, in whatever pieces it arrives, is read and answered as hyper's server does. The first line of the input says how
//! it comes and how it is answered: where it is cut, in bytes, and words such as `closes` and `trailers`.

#![no_main]

use engines::fuzzing;

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzzing::hold(http1::server_oracle::request, input));
