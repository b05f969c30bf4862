//! Clients that do not behave: they go in the middle of a request or of an answer, read slowly, never finish a head, or take all places.
//! Nobody looks at what they get.

use std::time::{Duration, Instant};

use fastrand::Rng;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::{sleep, timeout},
};

use crate::{faults::Fault, proxy::MAX_CONNECTIONS, wire::Way};

/// How many such clients there are at a time.
const CROWD: usize = 16;
/// A search whose body never comes whole.
const HALF: &str = "POST /kept-0/_search HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 500\r\n\r\n{\"query\":";
const SEARCH: &str = "GET /scored-1/_search?q=text:water HTTP/1.1\r\nhost: localhost\r\n\r\n";
const LARGE: &str = "GET /filling/chunked/4000000 HTTP/1.1\r\nhost: localhost\r\n\r\n";

/// Has a crowd misbehave so for a time.
pub async fn misbehave(way: &Way, fault: Fault, lasts: Duration, rng: &mut Rng) {
    let ends = Instant::now() + lasts;
    if fault == Fault::ConnectionFlood {
        return flood(way, lasts).await;
    }
    let one = |seed: u64| async move {
        let mut rng = Rng::with_seed(seed);
        while Instant::now() < ends {
            // It may be refused: so be it.
            let left = ends.saturating_duration_since(Instant::now());
            let _ = timeout(left, act(way, fault, left, &mut rng)).await;
            sleep(Duration::from_millis(5)).await;
        }
    };
    let crowd: Vec<u64> = (0..CROWD).map(|_| rng.u64(..)).collect();
    futures_util::future::join_all(crowd.into_iter().map(one)).await;
}

async fn act(way: &Way, fault: Fault, left: Duration, rng: &mut Rng) -> std::io::Result<()> {
    match fault {
        Fault::ClientsAbort => {
            let mut stream = way.bytes().await?;
            let said = [HALF, SEARCH, LARGE][rng.usize(..3)];
            stream.write_all(said.as_bytes()).await?;
            stream.flush().await?;
            let mut some = vec![0; 1 + rng.usize(..20_000)];
            let _ = timeout(Duration::from_millis(rng.u64(..50)), stream.read(&mut some)).await;
        }
        Fault::ClientsReadSlowly => {
            let mut stream = way.bytes().await?;
            stream.write_all([SEARCH, LARGE][rng.usize(..2)].as_bytes()).await?;
            let mut some = [0; 4096];
            while stream.read(&mut some).await? > 0 {
                sleep(Duration::from_millis(20)).await;
            }
        }
        _ => {
            // Half a head, in TLS; half a handshake; or plain words where TLS is spoken.
            match rng.u8(..3) {
                0 => {
                    let mut stream = way.bytes().await?;
                    stream.write_all(&SEARCH.as_bytes()[..rng.usize(1..40)]).await?;
                    stream.flush().await?;
                    sleep(left).await;
                }
                1 => {
                    let mut stream = way.plain().await?;
                    stream.write_all(&[22, 3, 1, 2]).await?;
                    sleep(left).await;
                }
                _ => {
                    let mut stream = way.plain().await?;
                    stream.write_all(SEARCH.as_bytes()).await?;
                    let _ = stream.read(&mut [0; 100]).await?;
                }
            }
        }
    }
    Ok(())
}

/// More connections than there are places, which say nothing.
async fn flood(way: &Way, lasts: Duration) {
    let opening = (0..MAX_CONNECTIONS + 50).map(|_| way.plain());
    let open = futures_util::future::join_all(opening).await;
    sleep(lasts).await;
    drop(open);
}
