//! What needs no Redis. What does is in tests/e2e/test_cache.py.

use redis::IntoConnectionInfo;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use super::*;
use crate::model_output::Output;

const PLENTY: Duration = Duration::from_mins(1);

fn options(address: &str, timeout: Duration) -> SharedOptions {
    let server = format!("redis://{address}").into_connection_info().unwrap();
    SharedOptions { server, timeout, ttl: PLENTY, prefix: "test:".to_owned() }
}

fn later() -> Instant {
    Instant::now() + PLENTY
}

/// A server that answers the probe of each connection and then as the closure says.
async fn server(answer: fn(usize) -> Option<&'static str>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        let mut asked = 0;
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            request(&mut stream).await;
            stream.write_all(b"*2\r\n$-1\r\n$-1\r\n").await.unwrap();
            while request(&mut stream).await {
                let Some(answer) = answer(asked) else { continue };
                asked += 1;
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        }
    });
    address
}

/// Whether a request came; as small as they are here, each comes in one piece.
async fn request(stream: &mut TcpStream) -> bool {
    stream.read(&mut [0; 4096]).await.is_ok_and(|count| count > 0)
}

async fn connected(shared: &Shared) {
    while !shared.stats().connected {
        sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn a_server_that_is_away_costs_a_search_nothing() {
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let shared = Shared::start(options(&closed.to_string(), PLENTY)).unwrap();
    assert_eq!(shared.look_up_all(&[Key(1), Key(2)], later()).await, [None, None]);
    shared.insert(Key(1), ModelOutput { output: Output::Logit(1.0), truncated: false, span: None, tokens: 3 });
    while shared.stats().dropped == 0 {
        sleep(Duration::from_millis(1)).await;
    }
    let stats = shared.stats();
    assert_eq!((stats.hits, stats.misses, stats.failures, stats.stored, stats.connected), (0, 0, 0, 0, false));
}

#[tokio::test]
async fn a_search_waits_no_longer_than_its_deadline_and_that_tells_nothing_of_the_server() {
    let shared = Shared::start(options(&server(|_| None).await, PLENTY)).unwrap();
    connected(&shared).await;
    for _ in 0..10 {
        let deadline = Instant::now() + Duration::from_millis(5);
        assert_eq!(shared.look_up_all(&[Key(1)], deadline).await, [None]);
    }
    assert_eq!(shared.look_up_all(&[Key(1)], Instant::now()).await, [None], "and is not even asked");
    let stats = shared.stats();
    assert_eq!((stats.failures, stats.connected), (10, true));
}

#[tokio::test]
async fn a_server_that_answers_too_late_again_and_again_is_left_alone() {
    let shared = Shared::start(options(&server(|_| None).await, Duration::from_millis(200))).unwrap();
    connected(&shared).await;
    for _ in 0..5 {
        assert_eq!(shared.look_up_all(&[Key(1)], later()).await, [None]);
    }
    let stats = shared.stats();
    assert_eq!((stats.failures, stats.connected), (5, false));
}

#[tokio::test]
async fn a_server_that_hangs_is_left_alone_though_no_search_has_the_time_that_a_look_up_has() {
    let shared = Shared::start(options(&server(|_| None).await, Duration::from_millis(100))).unwrap();
    connected(&shared).await;
    let began = Instant::now();
    while shared.stats().connected {
        assert!(began.elapsed() < PLENTY, "every search waited for it");
        let deadline = Instant::now() + Duration::from_millis(5);
        assert_eq!(shared.look_up_all(&[Key(1)], deadline).await, [None]);
    }
    assert!(began.elapsed() >= Duration::from_millis(500), "not before it had its time, again and again");
}

#[tokio::test]
async fn an_answer_that_makes_no_sense_is_no_score() {
    let answers = |asked| {
        Some(["*1\r\n$5\r\nhello\r\n", "*2\r\n$-1\r\n$-1\r\n", "-NOPERM no\r\n", ":7\r\n", "*1\r\n$-1\r\n"][asked % 5])
    };
    let shared = Shared::start(options(&server(answers).await, PLENTY)).unwrap();
    connected(&shared).await;
    for _ in 0..5 {
        assert_eq!(shared.look_up_all(&[Key(1)], later()).await, [None]);
        connected(&shared).await;
    }
    assert!(shared.stats().misses >= 2);
}

#[tokio::test]
async fn neither_logs_nor_debug_show_credentials() {
    let shared = Shared::start(options("me:s3cret@127.0.0.1:1", PLENTY)).unwrap();
    assert_eq!(shared.common.link.to_string(), "127.0.0.1:1");
    assert!(!format!("{shared:?}").contains("s3cret"));
}

#[tokio::test]
async fn what_waits_to_be_written_is_bounded_in_bytes() {
    let shared = Shared::start(options(&server(|_| None).await, PLENTY)).unwrap();
    connected(&shared).await;
    let vector: Arc<[f32]> = vec![0.5; 4096].into();
    for number in 0..2000 {
        let output = Output::Embedding(vector.iter().copied().collect());
        shared.insert(Key(number), ModelOutput { output, truncated: false, span: None, tokens: 3 });
    }
    assert!(shared.common.waiting.load(Ordering::Relaxed) <= BUFFER_BYTES);
    assert!(shared.stats().dropped > 500, "32 MB of vectors, {:?}", shared.stats());
}
