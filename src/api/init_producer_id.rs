//! InitProducerId (22), v0–5. Ids for idempotent producers (KIP-98): every call gets an id never
//! used before in this cluster, epoch 0, whatever id and epoch it brings (R71). Transactional ids
//! are answered NOT_COORDINATOR until there is a transaction coordinator; clients cannot find one
//! either, so none gets here by the book.

use kafka_protocol::messages::{InitProducerIdRequest, InitProducerIdResponse};

use super::{Outcome, Parked, RequestContext, answer};
use crate::error::ResponseError;

const NO_PRODUCER_ID: i64 = -1;
const NO_PRODUCER_EPOCH: i16 = -1;

pub fn handle(cx: &RequestContext, request: InitProducerIdRequest) -> Outcome {
    let version = cx.version();
    if let Err(error) = check(version, &request) {
        return answer::now(cx, version, &respond(Err(error)));
    }
    if let Some(id) = cx.shared.producer_ids.next() {
        return answer::now(cx, version, &respond(Ok(id)));
    }
    let (shared, correlation_id) = (cx.shared.clone(), cx.header.correlation_id);
    Parked::exclusive(async move {
        let id = shared
            .producer_ids
            .next_from_new_block(&shared.controller)
            .await;
        answer::encode(correlation_id, version, &respond(id))
    })
}

fn check(version: i16, request: &InitProducerIdRequest) -> Result<(), ResponseError> {
    match &request.transactional_id {
        Some(id) if id.is_empty() => return Err(ResponseError::InvalidRequest),
        Some(_) => return Err(ResponseError::NotCoordinator),
        None => {}
    }
    let has_id = request.producer_id.0 != NO_PRODUCER_ID;
    let has_epoch = request.producer_epoch != NO_PRODUCER_EPOCH;
    if version >= 3 && has_id != has_epoch {
        return Err(ResponseError::InvalidRequest);
    }
    Ok(())
}

fn respond(id: Result<i64, ResponseError>) -> InitProducerIdResponse {
    match id {
        Ok(id) => InitProducerIdResponse::default()
            .with_producer_id(id.into())
            .with_producer_epoch(0),
        Err(error) => InitProducerIdResponse::default()
            .with_error_code(error.code())
            .with_producer_id(NO_PRODUCER_ID.into())
            .with_producer_epoch(NO_PRODUCER_EPOCH),
    }
}
