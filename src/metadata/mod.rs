//! The cluster's metadata: the records of its log (`records`) and what they add up to (`image`,
//! through `replay`). Pure: files and threads are in `quorum`, decisions in `controller`.

pub mod image;
pub mod image_writer;
mod record_bodies;
pub mod records;
pub mod replay;
mod sharded;
pub mod topic_config;
