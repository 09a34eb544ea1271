//! What kafka-protocol does not do: the table of served versions, the bounds check that every
//! request body passes first, zero-copy Produce and Fetch codecs, the view of a record batch,
//! compression, and codecs of the versions Kafka 4 dropped. Pure: no sockets, no clock.

pub mod batch;
pub mod bounds;
pub mod bounds_table;
pub mod compression;
pub mod fetch;
mod fetch_response;
pub mod header;
pub mod leader_hint;
pub mod legacy;
pub mod produce;
mod record_errors;
mod record_input;
pub mod record_wire;
pub mod records;
pub mod retain;
pub mod shape;
mod snappy;
pub mod table;
pub mod validate;
pub mod varint;
mod wire;
