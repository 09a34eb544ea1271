//! DescribeTransactions (65), v0. Transactions by their ids (KIP-664). There is no transaction
//! coordinator yet, and InitProducerId refuses transactional ids: none is known (R139).

use kafka_protocol::messages::describe_transactions_response::TransactionState;
use kafka_protocol::messages::{DescribeTransactionsRequest, DescribeTransactionsResponse};

use super::{Outcome, RequestContext, answer};
use crate::error::ResponseError;

pub fn handle(cx: &RequestContext, request: DescribeTransactionsRequest) -> Outcome {
    let states = request.transactional_ids.into_iter().map(|id| {
        let error = match id.is_empty() {
            true => ResponseError::InvalidRequest,
            false => ResponseError::TransactionalIdNotFound,
        };
        TransactionState::default()
            .with_error_code(error.code())
            .with_transactional_id(id)
    });
    let response =
        DescribeTransactionsResponse::default().with_transaction_states(states.collect());
    answer::now(cx, cx.version(), &response)
}
