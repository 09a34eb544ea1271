//! What kafka-protocol does not do: the table of served versions, the bounds check that every
//! request body passes first, zero-copy Produce and Fetch codecs, the view of a record batch,
//! compression, and codecs of the versions Kafka 4 dropped. Pure: no sockets, no clock.
pub mod batch;
pub mod bounds;
pub mod bounds_table;
pub mod compression;
pub mod fetch;
pub mod header;
pub mod legacy;
pub mod produce;
pub mod records;
pub mod shape;
pub mod table;
pub mod validate;
pub mod varint;
