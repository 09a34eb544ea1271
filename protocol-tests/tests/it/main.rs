//! What judges Ottla from outside, in one test binary.

mod bounds;
mod broker;
mod clients;
mod stored_batches;
mod wire;
