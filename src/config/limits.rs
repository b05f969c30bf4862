//! The table `[limits]`: how much of requests and answers is held in memory, and for how long.

use std::time::Duration;

use bytesize::ByteSize;
use http1::server::MAX_BUFFER;

use super::reading::section::Section;
use crate::memory::{ANSWER_COPIES, REQUEST_COPIES};

/// The most requests with the cluster that can be asked for: nobody means more, and tokio's semaphore has its own bound.
const MAX_IN_FLIGHT: usize = 1 << 20;

/// The least that a head may be limited to, in bytes: less than any client says.
const MIN_HEAD: usize = 4 * 1024;

/// The limits, in bytes and time.
#[derive(Debug, Clone)]
pub struct LimitsConfig {
    /// The longest head of a request.
    pub head: usize,
    /// The largest body of a search.
    pub request_body: usize,
    /// The largest answer that is reranked.
    pub answer: usize,
    /// The memory of all requests and answers together.
    pub memory: usize,
    /// The most requests that are with the cluster at a time; 0 for as many as there may be connections.
    pub in_flight: usize,
    /// The time that a body that is to be buffered may take to come; of the cluster's, the longest pause in it.
    pub body_timeout: Duration,
    /// The time that a client may take to read an answer that is buffered.
    pub send_timeout: Duration,
}

impl LimitsConfig {
    pub(super) fn read(section: &Section) -> Self {
        let config = Self {
            head: section.bytes("head", ByteSize::kib(MAX_BUFFER as u64 / 1024)),
            request_body: section.bytes("request_body", ByteSize::mib(1)),
            answer: section.bytes("answer", ByteSize::mib(32)),
            memory: section.bytes("memory", ByteSize::mib(256)),
            in_flight: section.or("in_flight", 0),
            body_timeout: section.or("body_timeout", Duration::from_secs(30)),
            send_timeout: section.or("send_timeout", Duration::from_mins(1)),
        };
        if !(MIN_HEAD..=MAX_BUFFER).contains(&config.head) {
            section.error("head", format!("must be {}KiB to {}KiB", MIN_HEAD / 1024, MAX_BUFFER / 1024));
        }
        if config.in_flight > MAX_IN_FLIGHT {
            let message = format!("must be at most {MAX_IN_FLIGHT}; 0 for as many as there may be connections");
            section.error("in_flight", message);
        }
        for (key, largest, copies) in
            [("request_body", config.request_body, REQUEST_COPIES), ("answer", config.answer, ANSWER_COPIES)]
        {
            config.check_fit(section, key, largest, copies);
        }
        section.finish();
        config
    }

    /// Reports a mistake where something of `largest` bytes, of which so many copies count, never fits into the memory.
    pub(super) fn check_fit(&self, section: &Section, key: &str, largest: usize, copies: usize) {
        let needed = largest.saturating_mul(copies);
        if needed > self.memory {
            let [largest, needed, memory] = [largest, needed, self.memory].map(|bytes| ByteSize::b(bytes as u64));
            let why = format!("{largest} never fits into limits.memory ({memory}): it takes {needed} there");
            section.error(key, format!("{why}; lower this, or raise that"));
        }
    }
}
