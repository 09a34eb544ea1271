//! (being built)
pub mod leader;
pub mod manager;
