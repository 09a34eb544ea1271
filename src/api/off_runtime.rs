//! Disk work of handlers, away from the threads that serve connections.

/// Runs `work` on the blocking pool. A panic in it ends the connection, as one in a handler does.
pub async fn off_runtime<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime ends and nobody reads the answer any more.
            Err(_) => std::future::pending().await,
        },
    }
}
