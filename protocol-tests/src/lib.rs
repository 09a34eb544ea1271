//! What the judges of Ottla share: a small client, the torture of a broker that is killed, and
//! the fuzzer of everything that reads bytes from outside.

pub mod client;
pub mod fuzz;
pub mod random;
pub mod request_body;
pub mod torture;
