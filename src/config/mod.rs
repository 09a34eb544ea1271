//! (being built)
pub mod broker_keys;
pub mod layers;
pub mod listeners;
pub mod topic_keys;
