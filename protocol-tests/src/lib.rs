//! What the judges of Ottla share: a small client, the torture of a broker that is killed, the
//! fuzzer of everything that reads bytes from outside, and what measures.

pub mod client;
pub mod floor;
pub mod fuzz;
pub mod load;
pub mod measure;
pub mod random;
pub mod request_body;
pub mod stopwatch;
pub mod torture;
