//! What the requests to group coordinators share: waiting for the coordinator, and how a peer
//! appears in a group.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use kafka_protocol::protocol::StrBytes;

use super::{Answer, Outcome, Parked};
use crate::error::ResponseError;
use crate::group::coordinator::Asked;

/// Answers when the coordinator has, at once if it has already. Later requests of the connection
/// need not wait: this one is in its place in the coordinator's log.
pub fn when<T: Send + 'static>(
    mut asked: Asked<T>,
    encode: impl FnOnce(Result<T, ResponseError>) -> Answer + Send + 'static,
) -> Outcome {
    match asked.now() {
        Some(answer) => Outcome::Answer(encode(answer)),
        None => Parked::shared(async move { encode(asked.get().await) }),
    }
}

/// As [`when`], once all of them have answered; in order.
pub fn when_all<T: Send + 'static>(
    asked: Vec<Asked<T>>,
    encode: impl FnOnce(Vec<Result<T, ResponseError>>) -> Answer + Send + 'static,
) -> Outcome {
    let (mut answers, mut waiting) = (Vec::new(), Vec::new());
    for (index, mut asked) in asked.into_iter().enumerate() {
        match asked.now() {
            Some(answer) => answers.push((index, answer)),
            None => waiting.push((index, asked)),
        }
    }
    let in_order = |mut answers: Vec<(usize, Result<T, ResponseError>)>| {
        answers.sort_by_key(|(index, _)| *index);
        answers.into_iter().map(|(_, answer)| answer).collect()
    };
    if waiting.is_empty() {
        return Outcome::Answer(encode(in_order(answers)));
    }
    Parked::shared(async move {
        for (index, asked) in waiting {
            answers.push((index, asked.get().await));
        }
        encode(in_order(answers))
    })
}

pub fn code_of<T>(result: &Result<T, ResponseError>) -> i16 {
    result.as_ref().err().map_or(0, |error| error.code())
}

pub fn text(text: impl Into<String>) -> StrBytes {
    StrBytes::from_string(text.into())
}

pub fn owned(text: Option<StrBytes>) -> Option<String> {
    text.map(|text| text.to_string())
}

pub fn shared(text: &StrBytes) -> Arc<str> {
    Arc::from(text.as_str())
}

/// The longest client id that a group remembers, in bytes: a member id is made of it and has to fit
/// into a string of the protocol.
const CLIENT_ID_MAX: usize = 16 << 10;

pub fn client_id(client_id: Option<&str>) -> String {
    let id = client_id.unwrap_or("");
    let end = (0..=id.len().min(CLIENT_ID_MAX)).rev();
    let end = end.into_iter().find(|end| id.is_char_boundary(*end));
    id[..end.unwrap_or(0)].to_owned()
}

/// As Java writes an address: `/127.0.0.1`, and IPv6 without abbreviations.
pub fn client_host(address: &SocketAddr) -> String {
    match address.ip().to_canonical() {
        IpAddr::V4(ip) => format!("/{ip}"),
        IpAddr::V6(ip) => {
            let groups = ip.segments().map(|group| format!("{group:x}"));
            format!("/{}", groups.join(":"))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn hosts_are_written_as_in_java() {
        let host = |text: &str| client_host(&text.parse().expect("an address"));
        let local = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
        assert_eq!(client_host(&local), "/127.0.0.1");
        assert_eq!(host("[::1]:5"), "/0:0:0:0:0:0:0:1");
        assert_eq!(host("[::ffff:10.0.0.1]:5"), "/10.0.0.1");
    }

    #[test]
    fn a_long_client_id_is_cut_between_characters() {
        assert_eq!(client_id(None), "");
        assert_eq!(client_id(Some("me")), "me");
        let long = format!("x{}", "ö".repeat(20_000));
        assert_eq!(client_id(Some(&long)).len(), CLIENT_ID_MAX - 1);
    }
}
