//! Any body can be read as a rerank call through each door, or is refused with a reason.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| rerank_proxy::api::fuzzing::call(input));
