//! Why a configuration is refused: one sentence with the key, its value, where it was set, and
//! what to do.

use std::fmt;

/// The first thing that is wrong with a configuration. Nothing was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// What is wrong, in Kafka's words where Kafka has some.
    pub problem: String,
    /// The setting with its value, unless the problem names both or the value is secret.
    pub setting: Option<String>,
    /// `server.properties:12`, `KAFKA_NODE_ID`, `--override`, with what it overrides.
    pub place: Option<String>,
    pub remedy: String,
}

impl ConfigError {
    pub(super) fn new(problem: impl Into<String>, remedy: impl Into<String>) -> ConfigError {
        ConfigError {
            problem: problem.into(),
            setting: None,
            place: None,
            remedy: remedy.into(),
        }
    }

    pub(super) fn at(mut self, place: impl Into<String>) -> ConfigError {
        self.place = Some(place.into());
        self
    }

    pub(super) fn of(mut self, setting: impl Into<String>) -> ConfigError {
        self.setting = Some(setting.into());
        self
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(setting) = &self.setting {
            write!(f, "{setting}: ")?;
        }
        write!(f, "{}", self.problem.trim_end_matches('.'))?;
        if let Some(place) = &self.place {
            write!(f, " ({place})")?;
        }
        write!(f, "; {}", self.remedy)
    }
}

impl std::error::Error for ConfigError {}
