//! (being built)
pub mod image;
pub mod publisher;
pub mod records;
pub mod topic_config;
