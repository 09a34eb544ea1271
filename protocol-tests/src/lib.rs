//! What the judges of Ottla share: a small client, and the torture of a broker that is killed.

pub mod client;
pub mod random;
pub mod torture;
