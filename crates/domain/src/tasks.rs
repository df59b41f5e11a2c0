//! Everything that runs beside requests is spawned here, so that a shutdown can wait for it.

use std::future::Future;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The tasks of the process. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Tasks {
    tracker: TaskTracker,
    drain: CancellationToken,
    stop: CancellationToken,
}

impl Tasks {
    /// Runs a task that shutdown waits for. It should end soon after [`Tasks::stopping`] resolves.
    pub fn spawn<F>(&self, task: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.tracker.spawn(task);
    }

    /// Says that the process will end once its open calls have: it takes no new ones.
    pub fn drain(&self) {
        self.drain.cancel();
    }

    pub fn is_draining(&self) -> bool {
        self.drain.is_cancelled()
    }

    /// Resolves when the process takes no new calls, and wants those that are open to end.
    pub async fn draining(&self) {
        self.drain.cancelled().await;
    }

    /// Resolves when the process wants to end.
    pub async fn stopping(&self) {
        self.stop.cancelled().await;
    }

    pub fn is_stopping(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// Tells every task to end and waits until all have.
    pub async fn stop(&self) {
        self.drain.cancel();
        self.stop.cancel();
        self.tracker.close();
        self.tracker.wait().await;
    }
}
