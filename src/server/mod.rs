//! Sockets: accept, cut frames, keep answers in order. Knows bytes, frames and the order of
//! answers; knows no API and no partition. A frame goes to `api::dispatch` and an
//! [`api::Outcome`](crate::api::Outcome) comes back.

pub mod accept;
pub mod connection;
pub mod frame;
pub mod output;

pub use accept::{BoundListener, bind};
