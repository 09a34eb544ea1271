//! What a handler returns: an answer ready to be sent, a parked future, or nothing.

use std::future::Future;
use std::pin::Pin;

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::protocol::{Encodable, HeaderVersion, StrBytes};

use super::RequestContext;
use crate::error::Error;
use crate::protocol::fetch::{Chunk, Plan};

/// What became of a request.
pub enum Outcome {
    Answer(Answer),
    Park(Parked),
    /// acks=0 (R36).
    NoAnswer,
}

pub type BoxedAnswer = Pin<Box<dyn Future<Output = Answer> + Send>>;

/// An answer that must wait.
pub struct Parked {
    pub answer: BoxedAnswer,
    /// Whether later requests of the connection must not start before it is done: true for
    /// changes of metadata, false for what is already sequenced (a produce) or only reads.
    pub exclusive: bool,
}

impl Parked {
    /// For changes of metadata.
    pub fn exclusive(answer: impl Future<Output = Answer> + Send + 'static) -> Outcome {
        Outcome::Park(Parked {
            answer: Box::pin(answer),
            exclusive: true,
        })
    }

    /// For what is sequenced already, or only reads.
    pub fn shared(answer: impl Future<Output = Answer> + Send + 'static) -> Outcome {
        Outcome::Park(Parked {
            answer: Box::pin(answer),
            exclusive: false,
        })
    }
}

/// A whole response, its length prefix included.
pub struct Answer {
    head: Bytes,
    rest: Vec<Chunk>,
}

impl Answer {
    /// A response whose body is planned as chunks.
    pub fn of_plan(header: ResponseHeader, plan: Plan) -> Answer {
        let mut head = BytesMut::with_capacity(RESPONSE_HEADER_MAX);
        header.write(&mut head, plan.len);
        Answer {
            head: head.freeze(),
            rest: plan.chunks,
        }
    }

    /// A response whose body is written by `write` behind the header, without a copy.
    pub fn write(header: ResponseHeader, write: impl FnOnce(&mut BytesMut)) -> Answer {
        let mut buffer = BytesMut::with_capacity(128);
        header.write(&mut buffer, 0);
        write(&mut buffer);
        let size = (buffer.len() - 4) as u32;
        buffer[..4].copy_from_slice(&size.to_be_bytes());
        Answer {
            head: buffer.freeze(),
            rest: Vec::new(),
        }
    }

    /// Bytes in memory; regions of files take none.
    pub fn memory(&self) -> usize {
        self.head.len() + self.rest.iter().map(Chunk::memory).sum::<usize>()
    }

    /// What is to be sent, in order.
    pub fn into_chunks(self) -> impl Iterator<Item = Chunk> {
        std::iter::once(Chunk::Inline(self.head)).chain(self.rest)
    }
}

const RESPONSE_HEADER_MAX: usize = 4 + 4 + 1;

/// What stands between the length and the body.
#[derive(Clone, Copy)]
pub struct ResponseHeader {
    pub correlation_id: i32,
    /// Header v1 ends in an (empty) section of tagged fields.
    pub flexible: bool,
}

impl ResponseHeader {
    fn write(self, out: &mut BytesMut, body_size: usize) {
        let size = 4 + usize::from(self.flexible) + body_size;
        out.put_u32(size as u32);
        out.put_i32(self.correlation_id);
        if self.flexible {
            out.put_u8(0);
        }
    }
}

/// Encodes a response of the crate's types in `version`.
pub fn encode<R: Encodable + HeaderVersion>(
    correlation_id: i32,
    version: i16,
    response: &R,
) -> Answer {
    let flexible = R::header_version(version) >= 1;
    let header = ResponseHeader {
        correlation_id,
        flexible,
    };
    Answer::write(header, |out| {
        // Fails only where a field is set that the version cannot hold: our mistake, not input.
        let encoded = response.encode(out, version);
        assert!(
            encoded.is_ok(),
            "a response does not fit version {version}: {encoded:?}"
        );
    })
}

/// The longest `error_message`, in bytes: a string of the older encodings ends at 32,767, and a
/// sentence may quote a name of that length.
const SENTENCE_MAX: usize = 16 << 10;

/// A sentence for an `error_message` field, cut where no version could hold it.
pub fn sentence(mut text: String) -> StrBytes {
    if text.len() > SENTENCE_MAX {
        let boundary = (0..=SENTENCE_MAX)
            .rev()
            .find(|&at| text.is_char_boundary(at));
        text.truncate(boundary.unwrap_or(0));
    }
    StrBytes::from_string(text)
}

/// The two fields that say what became of something: 0 and no message where all is well.
pub fn code_and_sentence(error: Option<Error>) -> (i16, Option<StrBytes>) {
    match error {
        None => (0, None),
        Some(error) => (error.code.code(), error.message.map(sentence)),
    }
}

/// [`encode`] as the outcome of a request that needs no waiting.
pub fn now<R: Encodable + HeaderVersion>(
    cx: &RequestContext,
    version: i16,
    response: &R,
) -> Outcome {
    Outcome::Answer(encode(cx.header.correlation_id, version, response))
}

/// Encodes a response of a version that the crate does not know: header v0, body by `write`.
pub fn encode_legacy(correlation_id: i32, write: impl FnOnce(&mut BytesMut)) -> Answer {
    Answer::write(
        ResponseHeader {
            correlation_id,
            flexible: false,
        },
        write,
    )
}

/// [`encode_legacy`] as the outcome of a request that needs no waiting.
pub fn now_legacy(cx: &RequestContext, write: impl FnOnce(&mut BytesMut)) -> Outcome {
    Outcome::Answer(encode_legacy(cx.header.correlation_id, write))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_is_cut_between_characters() {
        assert_eq!(sentence("short".to_owned()).as_str(), "short");
        let long = sentence(format!("x{}", "ö".repeat(20_000)));
        assert_eq!(long.len(), SENTENCE_MAX - 1);
    }
}
