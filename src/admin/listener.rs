//! The admin listener's thread: accepts connections and speaks HTTP/1.1 on them. What is answered is not its business.

use std::{
    cell::Cell, collections::VecDeque, convert::Infallible, io, net::TcpListener, rc::Rc, sync::Arc, thread,
    time::Duration,
};

use http::Request;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::TcpStream,
    runtime::{Builder, LocalOptions},
    sync::{Semaphore, oneshot},
};
use tracing::{debug, warn};

use super::Admin;
use crate::{reload::Reloads, state::Process};

/// The most connections at a time. Further ones take the place of those that wait for nothing, the oldest first, or wait for one.
pub(crate) const CONNECTIONS: usize = 16;
/// How long a connection may take for a head, or keep silent.
const SILENCE: Duration = Duration::from_mins(1);
/// How long to wait after a failed `accept`.
const PAUSE: Duration = Duration::from_millis(50);

/// A connection that is open, or was until a moment ago.
struct Guest {
    /// Dropping it ends the connection.
    stays: oneshot::Sender<Infallible>,
    /// A request of it is being answered.
    is_answered: Rc<Cell<bool>>,
}

/// The thread, which ends when this is dropped.
#[derive(Debug)]
pub struct AdminThread {
    running: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl AdminThread {
    /// Answers on `listener` from now on.
    ///
    /// # Errors
    /// The system gives no thread or no reactor.
    pub fn start(listener: TcpListener, process: Arc<Process>, reloads: Reloads) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        let runtime = || Builder::new_current_thread().enable_all().build_local(LocalOptions::default());
        let (running, ended) = oneshot::channel();
        let (started, has_started) = std::sync::mpsc::channel();
        let thread = thread::Builder::new().name("admin".to_owned()).spawn(move || match runtime() {
            Ok(runtime) => {
                let _ = started.send(Ok(()));
                runtime.block_on(async {
                    tokio::select! {
                        () = serve(listener, Rc::new(Admin::new(process, reloads))) => {}
                        _ = ended => {}
                    }
                });
            }
            Err(error) => drop(started.send(Err(error))),
        })?;
        has_started.recv().unwrap_or_else(|_| Err(io::Error::other("the admin thread ended at once")))?;
        Ok(Self { running: Some(running), thread: Some(thread) })
    }
}

impl Drop for AdminThread {
    fn drop(&mut self) {
        drop(self.running.take());
        // One that panicked has ended as well.
        let _ = self.thread.take().map(thread::JoinHandle::join);
    }
}

async fn serve(listener: TcpListener, admin: Rc<Admin>) {
    let listener = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return warn!(%error, "cannot serve the admin listener"),
    };
    net::tcp::prepare_listener(&listener);
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let mut guests = VecDeque::<Guest>::new();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                guests.retain(|guest| !guest.stays.is_closed());
                // Who says nothing, or reads nothing, keeps no probe out: that would have the process ended.
                if places.available_permits() == 0
                    && let Some(silent) = guests.iter().position(|guest| !guest.is_answered.get())
                {
                    guests.remove(silent);
                }
                let Ok(place) = places.clone().acquire_owned().await else { return };
                let (stays, leaves) = oneshot::channel();
                let is_answered = Rc::new(Cell::new(false));
                guests.push_back(Guest { stays, is_answered: is_answered.clone() });
                let admin = admin.clone();
                tokio::task::spawn_local(async move {
                    let _place = place;
                    tokio::select! {
                        () = connection(stream, admin, &is_answered) => {}
                        _ = leaves => debug!("a connection of the admin listener ended for a newer one"),
                    }
                });
            }
            Err(error) => {
                warn!(%error, "cannot accept a connection of the admin listener");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// Serves a connection; `is_answered` while a request of it is.
async fn connection(stream: TcpStream, admin: Rc<Admin>, is_answered: &Cell<bool>) {
    net::tcp::prepare(&stream);
    let service = service_fn(|request: Request<Incoming>| {
        let admin = admin.clone();
        async move {
            is_answered.set(true);
            let answer = admin.answer(&request.into_parts().0).await;
            is_answered.set(false);
            Ok::<_, Infallible>(answer)
        }
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(SILENCE);
    if let Err(error) = http.serve_connection(TokioIo::new(stream), service).await {
        debug!(%error, "a connection of the admin listener ended early");
    }
}
