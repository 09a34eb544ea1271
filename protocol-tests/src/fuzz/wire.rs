//! What every client may send: streams to be cut into frames, and requests of every key and
//! version up to the point where a handler would see them.

use bytes::{BufMut, Bytes};
use kafka_protocol::messages::{ApiKey, RequestKind};
use ottla::protocol::bounds_table::MESSAGES;
use ottla::protocol::header::parse_request_header;
use ottla::protocol::{bounds, fetch, legacy, produce, varint};
use ottla::server::frame::FrameReader;

use super::mutate::mutate;
use crate::random::Random;
use crate::request_body::{crate_cannot, random_body};

/// As `socket.request.max.bytes` says by default.
const MAX_FRAME: usize = 100 << 20;

/// Some requests one after the other, each behind its length.
pub fn make_stream(random: &mut Random) -> Vec<u8> {
    let mut stream = Vec::new();
    for _ in 0..1 + random.below(4) {
        let frame = make_request(random);
        stream.put_i32(frame.len() as i32);
        stream.extend(frame);
    }
    mutate(&mut stream, random);
    stream
}

/// As a connection does: bytes arrive in pieces, frames are taken as they become whole.
pub fn check_stream(stream: &Bytes) -> bool {
    let mut reader = FrameReader::new(MAX_FRAME);
    let mut pieces = Random::new(stream.len() as u64);
    let (mut rest, mut frames) = (&stream[..], 0);
    while !rest.is_empty() {
        let room = reader.room(false);
        let free = room.capacity() - room.len();
        let size = (1 + pieces.below(300) as usize).min(free).min(rest.len());
        let (piece, behind) = rest.split_at(size);
        room.extend_from_slice(piece);
        rest = behind;
        loop {
            match reader.next_frame() {
                Ok(Some(frame)) => frames += usize::from(!frame.is_empty()),
                Ok(None) => break,
                Err(_) => return false,
            }
        }
        reader.went_idle();
    }
    frames > 0
}

/// A request of any key and version that has a shape, damaged.
pub fn make_request(random: &mut Random) -> Vec<u8> {
    let Some(message) = random.pick(MESSAGES) else {
        unreachable!("there are messages");
    };
    let versions = (message.last_version - message.first_version + 1) as u64;
    let version = message.first_version + random.below(versions) as i16;
    let mut frame = Vec::new();
    frame.put_i16(message.api_key);
    frame.put_i16(version);
    frame.put_i32(random.i32());
    match random.below(3) {
        0 => frame.put_i16(-1),
        _ => {
            let client_id = random.bytes();
            frame.put_i16(client_id.len() as i16);
            frame.extend(client_id);
        }
    }
    if message.is_flexible(version) {
        varint::put_unsigned(&mut frame, 0);
    }
    if random.one_in(20) {
        mutate(&mut frame, random);
    }
    let mut body = random_body(message, version, random.next()).bytes;
    mutate(&mut body, random);
    frame.extend(body);
    frame
}

/// What `api::dispatch` does before a handler is called.
pub fn check_request(frame: &Bytes) -> bool {
    let Ok(header) = parse_request_header(frame) else {
        return false;
    };
    let (key, version) = (header.api_key, header.api_version);
    match key {
        0 => return produce::decode_request(version, header.body).is_ok(),
        1 => return fetch::decode_request(version, header.body).is_ok(),
        _ => {}
    }
    let Ok(walked) = bounds::check(key, version, &header.body) else {
        return false;
    };
    match key {
        19 if version <= 1 => legacy::decode_create_topics(&header.body, version).is_some(),
        20 if version == 0 => legacy::decode_delete_topics(&header.body, version).is_some(),
        _ if crate_cannot(key, version) => true,
        _ => {
            let mut rest = header.body;
            let api_key = ApiKey::try_from(key).expect("the crate knows every key of the table");
            let decoded = RequestKind::decode(api_key, &mut rest, version);
            if decoded.is_ok() {
                assert_eq!(rest.len(), walked.trailing, "walked and decoded differ");
            }
            decoded.is_ok()
        }
    }
}
