//! What is tried again, how often, and after which time.

use std::time::Duration;

use http::{HeaderMap, StatusCode, header};

/// The attempts after the first.
const MORE: u32 = 4;

/// The longest time that is waited between two attempts: a server that asks for more is told of, and not waited for.
const LONGEST_WAIT: Duration = Duration::from_mins(1);

/// The longest time that is waited of our own accord.
const LONGEST_STEP: Duration = Duration::from_secs(8);

/// The attempts that are left of one transfer.
pub(super) struct Tries {
    left: u32,
    wait: Duration,
}

impl Tries {
    pub(super) fn new(first_wait: Duration) -> Self {
        Self { left: MORE, wait: first_wait }
    }

    /// Waits, if there is one more attempt: as long as the server asked for, or twice as long as the last time. Says so on stderr.
    pub(super) async fn again(&mut self, why: &str, asked: Option<Duration>) -> bool {
        let wait = asked.unwrap_or(self.wait).max(self.wait);
        if self.left == 0 || wait > LONGEST_WAIT {
            return false;
        }
        eprintln!("{why}: trying again in {:.1} s", wait.as_secs_f32());
        tokio::time::sleep(wait).await;
        self.left -= 1;
        self.wait = (self.wait * 2).min(LONGEST_STEP);
        true
    }
}

/// True for answers that may be another one in a moment.
pub(super) fn says_later(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 429 | 500 | 502 | 503 | 504)
}

/// The time that a server asks for, in seconds (RFC 9110, section 10.2.3), or as the Hub puts it: `RateLimit: "api";r=0;t=55`. A
/// date is not read.
pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name| headers.get(name)?.to_str().ok();
    let seconds = text(header::RETRY_AFTER.as_str()).and_then(|value| value.trim().parse().ok());
    let limited = || text("ratelimit")?.split(';').find_map(|part| part.trim().strip_prefix("t=")?.parse().ok());
    seconds.or_else(limited).map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: &'static str, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(name.parse().unwrap(), value.parse().unwrap())])
    }

    #[test]
    fn a_server_says_in_two_ways_how_long_to_wait() {
        assert_eq!(retry_after(&headers("retry-after", "7")), Some(Duration::from_secs(7)));
        assert_eq!(retry_after(&headers("ratelimit", "\"api\";r=0;t=55")), Some(Duration::from_secs(55)));
        assert_eq!(retry_after(&headers("retry-after", "Fri, 31 Dec 1999 23:59:59 GMT")), None);
    }

    #[tokio::test]
    async fn nobody_waits_for_long_or_for_ever() {
        let mut tries = Tries::new(Duration::from_millis(1));
        assert!(!tries.again("busy", Some(Duration::from_hours(1))).await);
        for _ in 0..MORE {
            assert!(tries.again("busy", Some(Duration::ZERO)).await);
        }
        assert!(!tries.again("busy", None).await);
    }
}
