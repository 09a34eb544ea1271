//! What a client is told. `ResponseError` is Kafka's table of error codes and the vocabulary of
//! every core; [`Error`] adds the sentence that `error_message` fields and logs carry.

use std::fmt;

pub use kafka_protocol::ResponseError;

/// An error code with, where Kafka sends one, its sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    pub code: ResponseError,
    pub message: Option<String>,
}

impl Error {
    pub fn new(code: ResponseError, message: impl Into<String>) -> Error {
        Error {
            code,
            message: Some(message.into()),
        }
    }
}

impl From<ResponseError> for Error {
    fn from(code: ResponseError) -> Error {
        Error {
            code,
            message: None,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.message {
            Some(message) => write!(f, "{:?}: {message}", self.code),
            None => write!(f, "{:?}", self.code),
        }
    }
}

impl std::error::Error for Error {}
