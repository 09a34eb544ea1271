//! Headers and small bodies byte by byte, as Kafka's protocol guide has them: what the rest of the
//! tests leave to the kafka-protocol crate.

use super::subject;

#[test]
fn request_headers_with_and_without_a_tag_buffer_are_understood() {
    let mut client = subject().connect();
    // key 3, version 1, correlation id, client id "abc"; no topics
    let v1 = b"\x00\x03\x00\x01\x01\x02\x03\x04\x00\x03abc\x00\x00\x00\x00";
    // key 3, version 9, correlation id, client id "abc", no tags; no topics, three flags, no tags
    let v2 = b"\x00\x03\x00\x09\x05\x06\x07\x08\x00\x03abc\x00\x01\x00\x00\x00\x00";
    // the same with client id null and an unknown tag 5 of two bytes
    let tagged = b"\x00\x03\x00\x09\x09\x0a\x0b\x0c\xff\xff\x01\x05\x02xy\x01\x00\x00\x00\x00";
    client.send_frame(v1);
    client.send_frame(v2);
    client.send_frame(tagged);
    let answer = client.read_frame();
    assert_eq!(&answer[..4], [1, 2, 3, 4]);
    assert_eq!(&answer[4..8], [0, 0, 0, 1], "one broker directly behind");
    let answer = client.read_frame();
    assert_eq!(&answer[..4], [5, 6, 7, 8]);
    assert_eq!(answer[4], 0, "the tag buffer");
    assert_eq!(&answer[5..9], [0; 4], "the throttle time");
    assert_eq!(answer[9], 2, "one broker, as a compact array");
    let answer = client.read_frame();
    assert_eq!(&answer[..5], [9, 10, 11, 12, 0]);
}

#[test]
fn response_headers_get_a_tag_buffer_with_the_first_flexible_version() {
    let mut client = subject().connect();
    // ListOffsets: replica −1, isolation 0, topic "nope.r2", partition 0, any epoch, time −1
    let v5 = b"\x00\x02\x00\x05\x00\x00\x00\x07\xff\xff\xff\xff\xff\xff\x00\
        \x00\x00\x00\x01\x00\x07nope.r2\x00\x00\x00\x01\x00\x00\x00\x00\
        \xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff";
    client.send_frame(v5);
    // throttle time; the topic; partition 0, error 3, time −1, offset −1, epoch −1
    let expected = b"\x00\x00\x00\x07\x00\x00\x00\x00\x00\x00\x00\x01\x00\x07nope.r2\
        \x00\x00\x00\x01\x00\x00\x00\x00\x00\x03\xff\xff\xff\xff\xff\xff\xff\xff\
        \xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff";
    assert_eq!(client.read_frame(), &expected[..]);

    let v6 = b"\x00\x02\x00\x06\x00\x00\x00\x07\xff\xff\x00\xff\xff\xff\xff\x00\
        \x02\x08nope.r2\x02\x00\x00\x00\x00\
        \xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00";
    client.send_frame(v6);
    let expected = b"\x00\x00\x00\x07\x00\x00\x00\x00\x00\x02\x08nope.r2\
        \x02\x00\x00\x00\x00\x00\x03\xff\xff\xff\xff\xff\xff\xff\xff\
        \xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00";
    assert_eq!(client.read_frame(), &expected[..]);
}

#[test]
fn a_produce_answer_is_these_bytes() {
    let mut client = subject().connect();
    // v3: transactional id null, acks −1, timeout 1000, topic "nope.r3", partition 0, no records
    let request = b"\x00\x00\x00\x03\x00\x00\x00\x07\xff\xff\xff\xff\xff\xff\x00\x00\x03\xe8\
        \x00\x00\x00\x01\x00\x07nope.r3\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00";
    client.send_frame(request);
    let expected = b"\x00\x00\x00\x07\x00\x00\x00\x01\x00\x07nope.r3\x00\x00\x00\x01\
        \x00\x00\x00\x00\x00\x03\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\
        \x00\x00\x00\x00";
    assert_eq!(client.read_frame(), &expected[..]);
}

#[test]
fn a_fetch_answer_is_these_bytes() {
    let mut client = subject().connect();
    // v4: replica −1, max wait 0, min bytes 0, max bytes 1 MiB, isolation 0, topic "nope.r4",
    // partition 0 from offset 0, 1 MiB
    let request = b"\x00\x01\x00\x04\x00\x00\x00\x07\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00\
        \x00\x00\x00\x00\x00\x10\x00\x00\x00\x00\x00\x00\x01\x00\x07nope.r4\x00\x00\x00\x01\
        \x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x10\x00\x00";
    client.send_frame(request);
    // error 3, high watermark −1, last stable offset −1, no aborted transactions (R84), empty
    // records (R78)
    let expected = b"\x00\x00\x00\x07\x00\x00\x00\x00\x00\x00\x00\x01\x00\x07nope.r4\
        \x00\x00\x00\x01\x00\x00\x00\x00\x00\x03\xff\xff\xff\xff\xff\xff\xff\xff\
        \xff\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00\x00\x00\x00\x00";
    assert_eq!(client.read_frame(), &expected[..]);
}
