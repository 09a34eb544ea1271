//! Expectations that fail a scenario with a sentence.

use std::fmt::{Debug, Display, Formatter};
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};

/// How long anything may take, on a machine that is busy with other tests.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// Ends a scenario that the client cannot express, with the reason.
#[derive(Debug)]
pub struct NotApplicable(pub &'static str);

impl Display for NotApplicable {
    fn fmt(&self, f: &mut Formatter) -> std::fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for NotApplicable {}

pub fn equal<T: PartialEq + Debug>(got: T, wanted: T, what: &str) -> Result<()> {
    let shorten = |value: &T| format!("{value:?}").chars().take(200).collect::<String>();
    ensure!(
        got == wanted,
        "{what}: got {}, wanted {}",
        shorten(&got),
        shorten(&wanted)
    );
    Ok(())
}

pub fn wait_until(what: &str, mut condition: impl FnMut() -> Result<bool>) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while !condition()? {
        if Instant::now() > deadline {
            bail!("still not: {what}");
        }
        std::thread::sleep(Duration::from_millis(20)); // between two looks at the condition
    }
    Ok(())
}
