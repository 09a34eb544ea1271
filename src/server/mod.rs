//! (being built)
pub mod accept;
pub mod connection;
pub mod frame;
