//! SIGTERM and SIGINT: the first asks, the second insists.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::exit;

/// A signal that ends the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    Terminate,
    Interrupt,
}

impl Stop {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Terminate => "SIGTERM",
            Self::Interrupt => "SIGINT",
        }
    }

    /// Returns the exit code of a process that a signal has ended: 128 and its number.
    fn exit_code(self) -> i32 {
        match self {
            Self::Terminate => 128 + 15,
            Self::Interrupt => 128 + 2,
        }
    }

    /// Ends the process at once, whatever is in flight.
    pub(crate) fn insist(self) -> ! {
        tracing::warn!(signal = self.name(), "second signal: ending at once");
        exit::at_once(self.exit_code())
    }
}

/// The signals as they come in.
#[derive(Debug)]
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Takes the signals over from the system, which would end the process.
    ///
    /// # Errors
    /// If the system refuses.
    pub(crate) fn listen() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Waits for the next signal.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub(crate) async fn next(&mut self) -> Stop {
        tokio::select! {
            _ = self.terminate.recv() => Stop::Terminate,
            _ = self.interrupt.recv() => Stop::Interrupt,
        }
    }

    /// Drives `work` to its end unless another signal insists.
    pub(crate) async fn unless_insisted<T>(&mut self, work: impl Future<Output = T>) -> T {
        tokio::select! {
            result = work => result,
            stop = self.next() => stop.insist(),
        }
    }
}
