//! The signals that an operator sends. Owns what each of them means.

use std::io;

use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::oneshot,
};

use crate::reload::Reloads;

/// The requests to stop, each of which resolves once.
#[derive(Debug)]
pub struct Stop {
    first: oneshot::Receiver<()>,
    second: oneshot::Receiver<()>,
}

impl Stop {
    /// Listens from now on: SIGTERM and SIGINT ask to stop.
    ///
    /// Fails where the signals cannot be listened for.
    pub fn listen() -> io::Result<Self> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let ((tell_first, first), (tell_second, second)) = (oneshot::channel(), oneshot::channel());
        tokio::spawn(async move {
            either(&mut terminate, &mut interrupt).await;
            // Whoever does not wait for it does not want to know.
            let _ = tell_first.send(());
            either(&mut terminate, &mut interrupt).await;
            let _ = tell_second.send(());
        });
        Ok(Self { first, second })
    }

    /// The first signal, which asks to end in an orderly way, and the second, which asks to end now.
    pub fn into_parts(self) -> (impl Future<Output = ()>, impl Future<Output = ()>) {
        (told(self.first), told(self.second))
    }
}

async fn either(terminate: &mut Signal, interrupt: &mut Signal) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

/// Resolves when it is told; never where nobody is left who could tell it.
async fn told(receiver: oneshot::Receiver<()>) {
    if receiver.await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// From now on SIGHUP, which would end the process, has the configuration read again.
///
/// Fails where the signal cannot be listened for.
pub fn reload_at_hangup(reloads: Reloads) -> io::Result<()> {
    let mut hangup = signal(SignalKind::hangup())?;
    tokio::spawn(async move {
        while hangup.recv().await.is_some() {
            reloads.ask("SIGHUP").await;
        }
    });
    Ok(())
}
