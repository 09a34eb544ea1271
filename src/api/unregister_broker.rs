//! UnregisterBroker (64), v0. The metadata forgets a broker, live or not (KIP-631, R164). One that
//! still runs leads nothing until it starts again.

use kafka_protocol::messages::{UnregisterBrokerRequest, UnregisterBrokerResponse};

use super::{Outcome, Parked, RequestContext, answer};
use crate::types::BrokerId;

pub fn handle(cx: &RequestContext, request: UnregisterBrokerRequest) -> Outcome {
    let (version, correlation_id) = (cx.version(), cx.header.correlation_id);
    let shared = cx.shared.clone();
    Parked::exclusive(async move {
        let id = BrokerId(request.broker_id.0);
        let outcome = shared.controller.unregister_broker(id).await;
        let (code, message) = answer::code_and_sentence(outcome.err());
        let response = UnregisterBrokerResponse::default()
            .with_error_code(code)
            .with_error_message(message);
        answer::encode(correlation_id, version, &response)
    })
}
