//! What judges Ottla from outside, in one test binary.

mod bounds;
mod broker;
mod clients;
mod compaction;
mod coordinators;
mod crash;
mod disks;
mod dump_log;
mod durable;
mod faults;
mod fetch_codec;
mod fuzz;
mod produce_codec;
mod rules;
mod stored_batches;
mod three_brokers;
mod tools;
mod wire;
