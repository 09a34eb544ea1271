//! ListTransactions (66), v0–2. Transactions by state, producer id, duration (v1, KIP-994) and
//! pattern (v2, KIP-1152). There is no transaction coordinator yet: the list is empty, and filters
//! are judged as ever (R139).

use kafka_protocol::messages::{ListTransactionsRequest, ListTransactionsResponse};

use super::{Outcome, RequestContext, answer};
use crate::error::ResponseError;

/// kafka:TransactionState.
const STATES: [&str; 8] = [
    "Empty",
    "Ongoing",
    "PrepareCommit",
    "PrepareAbort",
    "CompleteCommit",
    "CompleteAbort",
    "Dead",
    "PrepareEpochFence",
];

pub fn handle(cx: &RequestContext, request: ListTransactionsRequest) -> Outcome {
    let pattern = request.transactional_id_pattern.as_deref().unwrap_or("");
    let response = if regex_syntax::parse(pattern).is_err() {
        let error = ResponseError::InvalidRegularExpression;
        ListTransactionsResponse::default().with_error_code(error.code())
    } else {
        let filters = request.state_filters.into_iter();
        let unknown = filters.filter(|state| !STATES.contains(&state.as_str()));
        ListTransactionsResponse::default().with_unknown_state_filters(unknown.collect())
    };
    answer::now(cx, cx.version(), &response)
}
