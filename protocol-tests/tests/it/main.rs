//! What judges Ottla from outside, in one test binary.

mod crash;
