//! The serving threads: one per core, each with a runtime, a share of the connections and a pool of upstream connections
//! of its own. Both legs of a request run on one thread, so no step of it has to wake another core; on small answers
//! that wake-up is most of what a proxy costs. What happens on a connection is the business of `connection`.

use std::{future::pending, io, rc::Rc, sync::Arc, thread};

use tokio::{
    runtime::{Builder, LocalOptions},
    sync::{mpsc, oneshot, watch},
    task::JoinSet,
};

use super::connection::{self, Arrival, Notice};
use crate::{
    cores::{self, Core},
    state::{Process, ServingThread},
};

/// What a thread is told; that nothing more can come, that the server ends.
enum Message {
    Arrived(Arrival),
    MakeRoom,
    /// To be answered, as a sign of life.
    AreYouThere(oneshot::Sender<()>),
}

/// Whether all serving threads are alive: what they do, they do between the messages to them.
pub(super) struct Pulse(Vec<mpsc::WeakUnboundedSender<Message>>);

impl Pulse {
    /// Resolves when each thread has answered, or is about to end. Never where one has
    /// ended by itself.
    pub(super) async fn felt(&self) {
        let ask = |thread: &mpsc::WeakUnboundedSender<Message>| {
            let (answer, answered) = oneshot::channel();
            // Where it cannot be told, nobody will answer.
            let _ = thread.upgrade()?.send(Message::AreYouThere(answer));
            Some(answered)
        };
        for answered in self.0.iter().filter_map(ask).collect::<Vec<_>>() {
            if answered.await.is_err() {
                pending::<()>().await;
            }
        }
    }
}

/// All serving threads.
pub(super) struct Threads {
    threads: Vec<(mpsc::UnboundedSender<Message>, oneshot::Receiver<()>)>,
    next: usize,
}

impl Threads {
    /// One thread per core, all of them together for so many connections. Fails where the system gives no thread or no reactor.
    pub(super) fn start(process: &Arc<Process>, connections: usize) -> io::Result<Self> {
        let cores = cores::available();
        let own = cores::one_each(process.snapshot().settings.server.pin_threads);
        // Connections that wait for later requests take descriptors as well.
        let idle = connections.div_ceil(cores);
        let threads = (0..cores).map(|number| start(number, own.get(number).copied(), process.clone(), idle));
        Ok(Self { threads: threads.collect::<io::Result<_>>()?, next: 0 })
    }

    /// Hands a connection to the next thread in turn.
    pub(super) fn deal(&mut self, arrival: Arrival) {
        self.next = (self.next + 1) % self.threads.len();
        // A thread ends only after its sender was dropped; a connection it cannot take is closed by being dropped.
        let _ = self.threads[self.next].0.send(Message::Arrived(arrival));
    }

    /// Their pulse, which does not keep them from ending.
    pub(super) fn pulse(&self) -> Pulse {
        Pulse(self.threads.iter().map(|(sender, _)| sender.downgrade()).collect())
    }

    /// Has connections closed that wait for nothing.
    pub(super) fn make_room(&self) {
        for (sender, _) in &self.threads {
            let _ = sender.send(Message::MakeRoom);
        }
    }

    /// Resolves when every thread has answered its open requests and closed its connections.
    pub(super) async fn finish(self) {
        let (senders, done): (Vec<_>, Vec<_>) = self.threads.into_iter().unzip();
        drop(senders);
        for done in done {
            let _ = done.await;
        }
    }
}

fn start(
    number: usize,
    core: Option<Core>,
    process: Arc<Process>,
    idle: usize,
) -> io::Result<(mpsc::UnboundedSender<Message>, oneshot::Receiver<()>)> {
    let (sender, receiver) = mpsc::unbounded_channel();
    let (finished, done) = oneshot::channel();
    let (started, has_started) = std::sync::mpsc::channel();
    thread::Builder::new().name(format!("serve-{number}")).spawn(move || {
        if let Some(core) = core {
            core.keep();
        }
        // It is made here since it never leaves its thread, and nor does what runs on it.
        let mut runtime = Builder::new_current_thread();
        match runtime.enable_all().on_thread_start(cores::leave).build_local(LocalOptions::default()) {
            Ok(runtime) => {
                let _ = started.send(Ok(()));
                runtime.block_on(serve(receiver, Rc::new(process.serving_thread(idle))));
            }
            Err(error) => drop(started.send(Err(error))),
        }
        let _ = finished.send(());
    })?;
    has_started.recv().unwrap_or_else(|_| Err(io::Error::other("a serving thread ended at once")))?;
    Ok((sender, done))
}

/// Serves connections until no more can come, then waits for the open requests.
async fn serve(mut messages: mpsc::UnboundedReceiver<Message>, thread: Rc<ServingThread>) {
    let (notices, _) = watch::channel(Notice::Serve);
    let mut replacements = thread.process.replacements();
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            message = messages.recv() => match message {
                Some(Message::Arrived(arrival)) => {
                    connections.spawn_local(connection::serve(arrival, thread.clone(), notices.subscribe()));
                }
                Some(Message::MakeRoom) => {
                    notices.send_replace(Notice::MakeRoom);
                }
                Some(Message::AreYouThere(answer)) => {
                    // Whoever asked may have gone.
                    let _ = answer.send(());
                }
                None => break,
            },
            Ok(()) = replacements.changed() => thread.follow(),
            // Only so that those that ended take no memory.
            Some(_) = connections.join_next() => {}
        }
    }
    notices.send_replace(Notice::Close);
    while connections.join_next().await.is_some() {}
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn the_pulse_is_felt_only_where_every_thread_answers() {
        let (answering, mut asked) = mpsc::unbounded_channel();
        let (stuck, _never_read) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Some(message) = asked.recv().await {
                if let Message::AreYouThere(answer) = message {
                    let _ = answer.send(());
                }
            }
        });
        Pulse(vec![answering.downgrade()]).felt().await;
        let both = Pulse(vec![answering.downgrade(), stuck.downgrade()]);
        tokio::task::yield_now().await;
        assert!(both.felt().now_or_never().is_none());
        drop(stuck);
        both.felt().await;
        let (ended, receiver) = mpsc::unbounded_channel();
        drop(receiver);
        assert!(Pulse(vec![ended.downgrade()]).felt().now_or_never().is_none());
    }
}
