//! One connection, from its acceptance to its end. Owns what is spoken on it, who answers, and when it ends though the client
//! does not end it.

use std::{
    cell::Cell,
    convert::Infallible,
    error::Error,
    future::poll_fn,
    io,
    net::{SocketAddr, TcpStream},
    pin::{Pin, pin},
    rc::Rc,
    sync::Arc,
    task::{self, Poll, ready},
    time::Duration,
};

use bytes::BytesMut;
use futures_util::FutureExt;
use http::{HeaderValue, Request, Response, Version, header};
use http1::server::Serving;
use hyper::{body::Incoming, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use net::tcp;
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    sync::{OwnedSemaphorePermit, Semaphore, oneshot, watch},
    time::{Instant, Sleep, sleep_until, timeout},
};
use tracing::debug;

use super::{
    activity::{Activity, Held},
    admission::Place,
    handshake::{NoTls, handshake},
    observed::{ObservedStream, ObservedWrites},
    proxy_protocol::{self, NoHeader},
    stream::ClientStream,
    unread::UnreadAnswers,
};
use crate::{
    api,
    client::Client,
    client_body::ClientBody,
    cluster::body::Body,
    route,
    state::{Context, ServingThread},
};

/// How long a connection in the reserve lives. It is for one short answer.
const RESERVE_LIFE: Duration = Duration::from_secs(5);
/// While the server ends: how long a connection of HTTP/2 without an open request may be silent. Its client is told which of
/// its requests were taken, and is to say that it knows (RFC 9113, section 6.8).
const GOODBYE: Duration = Duration::from_secs(1);

/// How long a request waits where as many others are with the cluster as may be (`limits.in_flight`).
const TURN: Duration = Duration::from_secs(1);
/// The room for what a client begins with, in bytes. Most requests fit.
const FIRST_ROOM: usize = 8 * 1024;
/// The longest head of a request in HTTP/2, in bytes: a connection has many, and each is held decoded.
const HTTP_2_HEAD: u32 = 16 * 1024;
/// How many requests one connection of HTTP/2 may have open: as many as RFC 9113, section 6.5.2, asks for at least.
const STREAMS: u32 = 100;

/// Who answers on a connection.
#[derive(Debug, Clone, Copy)]
pub(super) enum Front {
    /// The pipeline, as the cluster would.
    Proxy,
    /// The rerank API.
    Api,
}

/// A connection that was accepted.
#[derive(Debug)]
pub(super) struct Arrival {
    pub(super) stream: TcpStream,
    pub(super) peer: SocketAddr,
    pub(super) front: Front,
    pub(super) place: Place,
}

/// What all connections of a thread are told.
#[derive(Debug, Clone, Copy)]
pub(super) enum Notice {
    /// Nothing yet.
    Serve,
    /// There are more clients than places.
    MakeRoom,
    /// The server ends.
    Close,
}

/// Why a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// HTTP says so, or the stream broke.
    OfItself,
    /// Who connects for others does not say for whom.
    NoHeader,
    /// The client does not speak TLS as it is spoken here.
    NoTls,
    /// The client's certificate is missing, or not accepted.
    ClientCertificate,
    /// A request's head did not come in time.
    HeaderTimeout,
    /// It waits for nothing, and others need its place.
    MadeRoom,
    /// The client did not read an answer that is held for it.
    Unread,
    /// The server ends, and no request is open here.
    Closing,
    /// It has been in the reserve for long enough, or others need that.
    LeftReserve,
}

impl End {
    /// What the metrics call it, where the connection might have gone on.
    fn reason(self) -> Option<&'static str> {
        match self {
            Self::NoHeader => Some("proxy-protocol"),
            Self::NoTls => Some("tls-handshake"),
            Self::ClientCertificate => Some("client-certificate"),
            Self::HeaderTimeout => Some("header-timeout"),
            Self::MadeRoom => Some("idle"),
            Self::Unread => Some("unread"),
            Self::OfItself | Self::Closing | Self::LeftReserve => None,
        }
    }
}

impl From<&(dyn Error + 'static)> for End {
    fn from(why: &(dyn Error + 'static)) -> Self {
        let no_tls = || why.downcast_ref::<NoTls>().map(Self::from);
        why.downcast_ref::<NoHeader>().map(Self::from).or_else(no_tls).unwrap_or(Self::OfItself)
    }
}

impl From<&NoHeader> for End {
    fn from(why: &NoHeader) -> Self {
        match why {
            NoHeader::Nothing => Self::OfItself,
            NoHeader::Malformed | NoHeader::BrokenOff(_) => Self::NoHeader,
        }
    }
}

impl From<&NoTls> for End {
    fn from(why: &NoTls) -> Self {
        match why {
            NoTls::Nothing => Self::OfItself,
            NoTls::Plain | NoTls::Handshake(_) => Self::NoTls,
            NoTls::Certificate(_) => Self::ClientCertificate,
        }
    }
}

/// Serves a connection to its end.
pub(super) async fn serve(arrival: Arrival, thread: Rc<ServingThread>, mut notices: watch::Receiver<Notice>) {
    // The place is the last to go: it is free when the stream is closed.
    let Arrival { place: mut its_place, stream, peer, front } = arrival;
    let stream = match tokio::net::TcpStream::from_std(stream) {
        Ok(stream) => stream,
        Err(error) => return debug!(%peer, %error, "cannot take a connection"),
    };
    tcp::prepare(&stream);
    let activity = Activity::new();
    let (header_timeout, send_timeout, max_head, speaks_for_others, acceptor) = {
        let snapshot = thread.process.snapshot();
        let config = &snapshot.settings;
        let speaks_for_others = config.server.speaks_for_others(peer.ip());
        let (server, limits) = (&config.server, &config.limits);
        let acceptor = snapshot.acceptor.clone();
        (server.header_timeout, limits.send_timeout, limits.head, speaks_for_others, acceptor)
    };
    let mut must_leave = its_place.reserve.take();
    let (in_reserve, in_reserve_until) = (must_leave.is_some(), Instant::now() + RESERVE_LIFE);
    let exchanges = its_place.exchanges.clone();
    let unread = Rc::new(UnreadAnswers::new(send_timeout));
    let respond = |client: &Rc<Client>, request: Request<ClientBody>| {
        let context = thread.context(client, request.uri().path());
        let (open, unread, exchanges) = (activity.request(), unread.clone(), exchanges.clone());
        let answered = match in_reserve {
            true => {
                let answered = answer_in_reserve(front, context, request).map(|response| (response, Held::default()));
                answered.boxed_local().right_future()
            }
            false => answer(front, context, request, exchanges).left_future(),
        };
        answered.map(move |(response, held)| unread.track(response).map(|body| open.with(held).until_sent(body)))
    };
    let closing = Cell::new(false);
    let mut http = pin!(async {
        let (address, stream) = match speaks_for_others {
            true => Box::pin(proxy_protocol::read(stream)).await?,
            false => (None, stream),
        };
        let client = Rc::new(Client { address: address.unwrap_or(peer), is_secure: acceptor.is_some() });
        let stream = match &acceptor {
            None => ClientStream::Plain(ObservedWrites::new(stream, activity.clone())),
            Some(acceptor) => Box::pin(handshake(acceptor, stream, &activity)).await?,
        };
        let mut stream = ObservedStream::new(stream, activity.clone());
        let read = first_bytes(&mut stream, &activity).await?;
        if activity.has_broken_its_word() {
            return Err("the client has agreed on HTTP/2, and speaks something else".into());
        }
        if activity.is_http2() {
            let service = service_fn(|request: Request<Incoming>| {
                let response = respond(&client, request.map(ClientBody::Http2));
                async { Ok::<_, Infallible>(response.await) }
            });
            let mut http = pin!(http2(max_head).serve_connection(TokioIo::new(stream.again(read.freeze())), service));
            poll_fn(|cx| {
                if closing.take() {
                    http.as_mut().graceful_shutdown();
                }
                http.as_mut().poll(cx)
            })
            .await?;
        } else {
            let http = Serving::new(stream, read, |request| respond(&client, request.map(ClientBody::Http1)));
            let mut http = http.with_max_head(max_head);
            poll_fn(|cx| {
                if closing.take() {
                    http.graceful_shutdown();
                }
                Pin::new(&mut http).poll(cx)
            })
            .await?;
        }
        Ok::<(), Box<dyn Error>>(())
    });
    let mut watchdog = Watchdog::new(&activity, header_timeout);
    let end = loop {
        tokio::select! {
            // The others judge by what the first has just done.
            biased;
            ended = http.as_mut() => {
                let Err(error) = ended else { break End::OfItself };
                debug!(%peer, %error, "connection ended early");
                break End::from(&*error);
            }
            end = watchdog.bites() => break end,
            () = unread.overdue(&activity) => break End::Unread,
            () = leaves(&mut must_leave, in_reserve_until) => break End::LeftReserve,
            Ok(()) = notices.changed() => {
                let notice = *notices.borrow_and_update();
                match notice {
                    Notice::MakeRoom if !activity.is_busy() && activity.last_moved().elapsed() >= header_timeout => {
                        break End::MadeRoom;
                    }
                    Notice::Serve | Notice::MakeRoom => {}
                    Notice::Close => {
                        closing.set(true);
                        watchdog.closing = true;
                    }
                }
            }
        }
    };
    if end != End::OfItself && !activity.is_busy() {
        activity.end_between_requests();
    }
    if let Some(reason) = end.reason() {
        thread.process.metrics.connection_closed(reason);
    }
    debug!(%peer, ?end, "connection closed");
}

/// Runs what belongs to a connection on its own thread: the streams of HTTP/2.
#[derive(Debug, Clone, Copy)]
struct ThisThread;

impl<F: Future + 'static> hyper::rt::Executor<F> for ThisThread
where
    F::Output: 'static,
{
    fn execute(&self, task: F) {
        tokio::task::spawn_local(task);
    }
}

/// Reads until the protocol shows: where none was agreed on, HTTP/1.1 and HTTP/2 are told apart by how a client begins.
async fn first_bytes<S: AsyncRead + Unpin>(
    stream: &mut ObservedStream<S>,
    activity: &Activity,
) -> io::Result<BytesMut> {
    let mut read = BytesMut::with_capacity(FIRST_ROOM);
    while activity.is_of_unknown_protocol() && stream.read_buf(&mut read).await? > 0 {}
    Ok(read)
}

/// No `Date` of our own: what the cluster does not do, the proxy does not either.
fn http2(max_head: usize) -> http2::Builder<ThisThread> {
    let mut server = http2::Builder::new(ThisThread);
    server.timer(TokioTimer::new()).auto_date_header(false).max_concurrent_streams(STREAMS);
    server.max_header_list_size(u32::try_from(max_head).map_or(HTTP_2_HEAD, |head| head.min(HTTP_2_HEAD)));
    server
}

/// The answer, and what is to be held until it is sent.
fn answer(
    front: Front,
    context: Context,
    request: Request<ClientBody>,
    exchanges: Arc<Semaphore>,
) -> impl Future<Output = (Response<Body>, Held)> {
    let asks_the_cluster = matches!(front, Front::Proxy) && !api::is_ours(&context, request.uri().path());
    // Mostly there is a permit, and nothing has to wait for one.
    let exchange = if asks_the_cluster { exchanges.clone().try_acquire_owned().ok() } else { None };
    if exchange.is_some() {
        return route::handle(context, request)
            .map(|(response, line)| (response, Held { line, exchange }))
            .left_future();
    }
    let rare = async move {
        let ((response, line), exchange) = match front {
            Front::Api => (route::handle_api(context, request).await, None),
            Front::Proxy if !asks_the_cluster => (route::handle(context, request).await, None),
            Front::Proxy => match turn(exchanges).await {
                None => ((route::handle_in_reserve(context, request).await, None), None),
                exchange => (route::handle(context, request).await, exchange),
            },
        };
        (response, Held { line, exchange })
    };
    rare.boxed_local().right_future()
}

/// A permit to ask the cluster; none where others take all of them for too long.
async fn turn(exchanges: Arc<Semaphore>) -> Option<OwnedSemaphorePermit> {
    timeout(TURN, exchanges.acquire_owned()).await.ok()?.ok()
}

/// Only how we are; and the connection is not kept, so that others can ask.
async fn answer_in_reserve(front: Front, context: Context, request: Request<ClientBody>) -> Response<Body> {
    let is_http1 = request.version() <= Version::HTTP_11;
    let mut response = match front {
        Front::Proxy => route::handle_in_reserve(context, request).await,
        Front::Api => Box::pin(api::handle_in_reserve(&context, request, true)).await,
    };
    if is_http1 {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// Resolves when a connection must leave the reserve, which is at the latest `at`; never for one that has a place of its own.
async fn leaves(reserve: &mut Option<oneshot::Receiver<Infallible>>, at: Instant) {
    match reserve {
        Some(must_leave) => tokio::select! {
            _ = must_leave => {}
            () = sleep_until(at) => {}
        },
        None => std::future::pending().await,
    }
}

/// Ends what the client does not end.
struct Watchdog<'a> {
    activity: &'a Activity,
    header_timeout: Duration,
    /// The server ends: what has no open request is to end as well.
    closing: bool,
    timer: Pin<Box<Sleep>>,
}

impl<'a> Watchdog<'a> {
    fn new(activity: &'a Activity, header_timeout: Duration) -> Self {
        let timer = Box::pin(sleep_until(Instant::now() + header_timeout));
        Self { activity, header_timeout, closing: false, timer }
    }

    /// Resolves when the connection is to end. To be polled whenever the connection has done something.
    async fn bites(&mut self) -> End {
        poll_fn(|cx| self.poll(cx)).await
    }

    fn poll(&mut self, cx: &mut task::Context<'_>) -> Poll<End> {
        let Some((end, at)) = self.due() else { return Poll::Pending };
        if self.timer.deadline() != at {
            self.timer.as_mut().reset(at);
        }
        ready!(self.timer.as_mut().poll(cx));
        Poll::Ready(end)
    }

    /// What is due next, and when.
    fn due(&self) -> Option<(End, Instant)> {
        if self.closing && !self.activity.is_busy() {
            // An open head of HTTP/1 is closed at once, and so is what is idle.
            let goodbye = if self.activity.is_http2() { GOODBYE } else { Duration::ZERO };
            let silent_since = self.activity.waits_for_head_since().unwrap_or_else(|| self.activity.last_moved());
            return Some((End::Closing, silent_since + goodbye));
        }
        Some((End::HeaderTimeout, self.activity.waits_for_head_since()? + self.header_timeout))
    }
}
