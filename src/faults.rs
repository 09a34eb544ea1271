//! Faults that the tests' own proof needs: points at which a process kills itself, and bugs that
//! a checker must find. Only the feature `faults` compiles them in, and only `ottla-faults` and
//! `fuzz-faults` are built with it; every other build carries empty functions.
//!
//! Knows no name: a point or a bug is named where it stands.

#[cfg(feature = "faults")]
use std::sync::LazyLock;
#[cfg(feature = "faults")]
use std::sync::atomic::{AtomicU64, Ordering};

/// `NAME:N` in the environment: the process is killed when point NAME is reached the Nth time.
#[cfg(feature = "faults")]
static CRASH: LazyLock<Option<(String, u64)>> = LazyLock::new(|| {
    let asked = std::env::var("FAULTS_CRASH_AT").ok()?;
    let (name, nth) = asked.split_once(':')?;
    Some((name.to_owned(), nth.parse().ok()?))
});

/// The name of a bug in the environment.
#[cfg(feature = "faults")]
static BUG: LazyLock<Option<String>> = LazyLock::new(|| std::env::var("FAULTS_BUG").ok());

/// A place between two steps of which the disk may hold the first alone.
#[cfg(feature = "faults")]
pub fn crash_point(name: &str) {
    static REACHED: AtomicU64 = AtomicU64::new(0);
    let Some((wanted, nth)) = &*CRASH else {
        return;
    };
    if wanted == name && REACHED.fetch_add(1, Ordering::SeqCst) + 1 == *nth {
        let me = rustix::process::getpid();
        let killed = rustix::process::kill_process(me, rustix::process::Signal::KILL);
        unreachable!("a process killed itself and lives: {killed:?}");
    }
}

/// A place between two steps of which the disk may hold the first alone.
#[cfg(not(feature = "faults"))]
#[inline(always)]
pub fn crash_point(_name: &str) {}

/// Whether the bug of this name was asked for.
#[cfg(feature = "faults")]
pub fn is_planted(bug: &str) -> bool {
    BUG.as_deref() == Some(bug)
}

/// Whether the bug of this name was asked for.
#[cfg(not(feature = "faults"))]
#[inline(always)]
pub fn is_planted(_bug: &str) -> bool {
    false
}
