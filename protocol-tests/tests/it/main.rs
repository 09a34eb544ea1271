//! What judges Ottla from outside, in one test binary.

mod bounds;
mod fetch_codec;
mod produce_codec;
mod random;
