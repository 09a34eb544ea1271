//! One blocking connection that speaks frames. It checks what every answer must satisfy (the right
//! correlation id, the right header version, no byte left over) and judges nothing else.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka_protocol::messages::RequestHeader;
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Request, StrBytes};

use crate::broker::Broker;

/// Whatever should happen at once happens within this time, also on a busy machine. Requests that
/// wait on purpose ask for a much longer or a much shorter time.
pub const DEADLINE: Duration = Duration::from_secs(60);
/// What waiting requests ask for that must be woken: an answer within [`DEADLINE`] was not due to
/// the passing of time.
pub const LONG_WAIT_MS: i32 = 180_000;
/// An answer that has not come within this time is taken as withheld.
const SILENCE: Duration = Duration::from_millis(300);
/// What a test client calls itself.
pub const CLIENT_ID: &str = "wire-test";

pub struct Client {
    stream: TcpStream,
    next_correlation_id: i32,
    client_id: Option<&'static str>,
    /// Ottla stops when nobody holds it.
    _broker: Option<Arc<Broker>>,
}

impl Client {
    /// Panics if nobody listens at `address`.
    #[track_caller]
    pub fn connect(address: &str) -> Client {
        let stream = match TcpStream::connect(address) {
            Ok(stream) => stream,
            Err(e) => panic!("connecting to {address}: {e}"),
        };
        Client::over(stream)
    }

    /// Connects from an address of this machine's choice of loopback addresses.
    #[track_caller]
    pub fn connect_from(address: &str, source: &str) -> Client {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .build()
            .expect("a runtime");
        let connected = runtime.block_on(async {
            let socket = tokio::net::TcpSocket::new_v4()?;
            socket.bind((source.parse::<Ipv4Addr>().expect("an address"), 0).into())?;
            let address = address.parse().expect("an address with a port");
            socket.connect(address).await?.into_std()
        });
        match connected.and_then(|stream| stream.set_nonblocking(false).map(|()| stream)) {
            Ok(stream) => Client::over(stream),
            Err(e) => panic!("connecting to {address} from {source}: {e}"),
        }
    }

    fn over(stream: TcpStream) -> Client {
        stream.set_nodelay(true).expect("a fresh socket");
        stream
            .set_read_timeout(Some(DEADLINE))
            .expect("not zero, on a fresh socket");
        stream
            .set_write_timeout(Some(DEADLINE))
            .expect("not zero, on a fresh socket");
        Client {
            stream,
            next_correlation_id: 1_000,
            client_id: Some(CLIENT_ID),
            _broker: None,
        }
    }

    /// Keeps the broker running as long as the connection is held.
    pub fn holding(mut self, broker: Option<Arc<Broker>>) -> Client {
        self._broker = broker;
        self
    }

    /// The same connection under another name.
    pub fn called(mut self, client_id: Option<&'static str>) -> Client {
        self.client_id = client_id;
        self
    }

    /// Sends one request and waits for its answer.
    #[track_caller]
    pub fn call<R: Request>(&mut self, version: i16, request: &R) -> R::Response {
        let correlation_id = self.send(version, request);
        self.receive::<R>(version, correlation_id)
    }

    /// Sends one request; its answer, if any, is left in the connection.
    #[track_caller]
    pub fn send<R: Request>(&mut self, version: i16, request: &R) -> i32 {
        let correlation_id = self.correlation_id();
        let message = message(version, correlation_id, self.client_id, request);
        self.send_frame(&message);
        correlation_id
    }

    /// The next answer on the connection, which must be the one to `correlation_id`.
    #[track_caller]
    pub fn receive<R: Request>(&mut self, version: i16, correlation_id: i32) -> R::Response {
        let frame = self.read_frame();
        decode::<R>(version, correlation_id, frame)
    }

    /// A correlation id not used on this connection yet.
    pub fn correlation_id(&mut self) -> i32 {
        self.next_correlation_id += 1;
        self.next_correlation_id
    }

    /// Prefixes the length and sends.
    #[track_caller]
    pub fn send_frame(&mut self, message: &[u8]) {
        self.send_bytes(&framed(message));
    }

    /// Sends bytes as they are.
    #[track_caller]
    pub fn send_bytes(&mut self, bytes: &[u8]) {
        if let Err(e) = self.stream.write_all(bytes) {
            panic!("sending {} bytes: {e}", bytes.len());
        }
    }

    /// Sends bytes to a broker that may hang up meanwhile.
    pub fn offer_bytes(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes); // a closed connection is judged by the reader
    }

    /// The content of the next frame, correlation id included.
    #[track_caller]
    pub fn read_frame(&mut self) -> Bytes {
        let mut length = [0; 4];
        if let Err(e) = self.stream.read_exact(&mut length) {
            panic!("no answer: {e}");
        }
        let length = u32::from_be_bytes(length) as usize;
        assert!(length < 1 << 28, "an answer of {length} bytes");
        let mut frame = vec![0; length];
        if let Err(e) = self.stream.read_exact(&mut frame) {
            panic!("an answer of {length} bytes broke off: {e}");
        }
        frame.into()
    }

    /// Everything up to the end of the connection; panics if it stays open.
    #[track_caller]
    pub fn read_until_close(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        match self.stream.read_to_end(&mut bytes) {
            Ok(_) => bytes,
            // A broker that closes with unread bytes in its socket resets the connection.
            Err(e) if e.kind() == ErrorKind::ConnectionReset => bytes,
            Err(e) => panic!("still open after {} bytes: {e}", bytes.len()),
        }
    }

    /// The broker hangs up without having said anything.
    #[track_caller]
    pub fn expect_close(&mut self) {
        let bytes = self.read_until_close();
        assert!(bytes.is_empty(), "answered before closing: {bytes:02x?}");
    }

    /// Waits until an answer has begun to come, and leaves it in the connection.
    #[track_caller]
    pub fn expect_answers(&mut self) {
        let peeked = self.peek_for(DEADLINE);
        assert!(matches!(peeked, Ok(1)), "no answer: {peeked:?}");
    }

    /// Whether an answer begins to come within a while.
    pub fn answers_within(&mut self, a_while: Duration) -> bool {
        matches!(self.peek_for(a_while), Ok(1))
    }

    /// Waits a while for a byte and leaves it there; 0 is the end of the connection.
    fn peek_for(&mut self, a_while: Duration) -> std::io::Result<usize> {
        self.stream
            .set_read_timeout(Some(a_while))
            .expect("not zero");
        let peeked = loop {
            match self.stream.peek(&mut [0]) {
                // This process was stopped and goes on.
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                other => break other,
            }
        };
        self.stream
            .set_read_timeout(Some(DEADLINE))
            .expect("not zero");
        peeked
    }

    /// Neither an answer nor a close for a while.
    #[track_caller]
    pub fn expect_silence(&mut self) {
        self.expect_silence_for(SILENCE);
    }

    #[track_caller]
    pub fn expect_silence_for(&mut self, a_while: Duration) {
        match self.peek_for(a_while) {
            Ok(0) => panic!("the connection was closed"),
            Ok(_) => panic!("an answer came although none was due"),
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(e) => panic!("the connection broke: {e}"),
        }
    }

    /// Says that no more requests follow.
    pub fn finish_sending(&self) {
        let _ = self.stream.shutdown(Shutdown::Write); // it may be closed already
    }
}

/// A request with its header, without the length in front.
#[track_caller]
pub fn message<R: Request>(
    version: i16,
    correlation_id: i32,
    client_id: Option<&'static str>,
    request: &R,
) -> Vec<u8> {
    let mut bytes = BytesMut::new();
    RequestHeader::default()
        .with_request_api_key(R::KEY)
        .with_request_api_version(version)
        .with_correlation_id(correlation_id)
        .with_client_id(client_id.map(StrBytes::from_static_str))
        .encode(&mut bytes, R::header_version(version))
        .expect("headers can always be encoded");
    if let Err(e) = request.encode(&mut bytes, version) {
        panic!("key {} v{version} cannot be encoded: {e}", R::KEY);
    }
    bytes.to_vec()
}

/// A message with its length in front.
pub fn framed(message: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(4 + message.len());
    bytes.put_u32(u32::try_from(message.len()).expect("test messages are small"));
    bytes.put_slice(message);
    bytes
}

/// Decodes a whole answer: nothing may be missing and nothing left over.
#[track_caller]
pub fn decode<R: Request>(version: i16, correlation_id: i32, mut frame: Bytes) -> R::Response {
    let key = R::KEY;
    assert!(
        frame.len() >= 4,
        "key {key} v{version}: {} bytes",
        frame.len()
    );
    let answered = frame.get_i32();
    assert_eq!(answered, correlation_id, "key {key} v{version}");
    // Headers with tagged fields are version 1; brokers have no tags to send.
    if <R::Response as HeaderVersion>::header_version(version) >= 1 {
        assert!(frame.has_remaining(), "key {key} v{version}: no tag buffer");
        assert_eq!(frame.get_u8(), 0, "key {key} v{version}: the tag buffer");
    }
    let whole = frame.clone();
    match R::Response::decode(&mut frame, version) {
        Ok(_) if frame.has_remaining() => {
            panic!("key {key} v{version}: {frame:02x?} left over of {whole:02x?}")
        }
        Ok(response) => response,
        Err(e) => panic!("key {key} v{version}: {e} in {whole:02x?}"),
    }
}
