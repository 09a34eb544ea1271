//! The cluster's metadata: the records of its log (`records`), what they add up to (`image`,
//! through `replay`), and what a change means for one broker (`publisher`). Pure: files and
//! threads are in `quorum`, decisions in `controller`.

pub mod image;
pub mod publisher;
mod record_bodies;
pub mod records;
pub mod replay;
mod sharded;
pub mod topic_config;
mod wire;
