//! Configs of client-metrics subscriptions (KIP-714; kafka:ClientMetricsConfigs). No telemetry is
//! collected yet: a subscription is judged, kept, listed and shown.

use std::collections::BTreeMap;

use crate::config::key::{Key, Minima, keys};
use crate::config::value;
use crate::error::{Error, ResponseError};

keys! { pub const KEYS:
    NotYet Int "interval.ms" = "300000", Any, Dynamic:
        "How often subscribed clients push their metrics.";
    NotYet List "match" = "", Any, Dynamic:
        "Which clients are subscribed, as `selector=pattern`; empty for all.";
    NotYet List "metrics" = "", Any, Dynamic:
        "Which metrics are pushed, by the beginning of their names; `*` for all.";
}

/// What a pattern of `match` may look at.
const SELECTORS: [&str; 6] = [
    "client_instance_id",
    "client_id",
    "client_software_name",
    "client_software_version",
    "client_source_address",
    "client_source_port",
];
const SHORTEST_INTERVAL_MS: i64 = 100;
const LONGEST_INTERVAL_MS: i64 = 3_600_000;

pub fn find(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}

/// All configs of one subscription in canonical text, or what a client is told.
pub fn validate_all(configs: &BTreeMap<String, String>) -> Result<BTreeMap<String, String>, Error> {
    if let Some(unknown) = configs.keys().find(|name| find(name).is_none()) {
        let sentence = format!("Unknown client metrics configuration: {unknown}");
        return Err(Error::new(ResponseError::InvalidRequest, sentence));
    }
    let invalid = |sentence| Error::new(ResponseError::InvalidConfig, sentence);
    let mut canonical = BTreeMap::new();
    for key in KEYS {
        if let Some(value) = configs.get(key.name) {
            let value = key.canonical(value, Minima::Strict).map_err(invalid)?;
            canonical.insert(key.name.to_owned(), value);
        }
    }
    if let Some(interval) = canonical.get("interval.ms") {
        let limits = SHORTEST_INTERVAL_MS..=LONGEST_INTERVAL_MS;
        if !interval.parse().is_ok_and(|ms: i64| limits.contains(&ms)) {
            let sentence = format!(
                "Invalid value {interval} for interval.ms, interval must be between 100 and \
                 3600000 (1 hour)"
            );
            return Err(Error::new(ResponseError::InvalidRequest, sentence));
        }
    }
    let patterns = canonical.get("match").map(String::as_str).unwrap_or("");
    for pattern in value::split_list(patterns) {
        if !is_pattern(&pattern) {
            return Err(invalid(format!(
                "Illegal client matching pattern: {pattern}"
            )));
        }
    }
    Ok(canonical)
}

/// A selector and a regular expression. Of the expression only its brackets are judged here:
/// nothing matches it yet.
fn is_pattern(pattern: &str) -> bool {
    let Some((selector, expression)) = pattern.split_once('=') else {
        return false;
    };
    SELECTORS.contains(&selector.trim()) && has_closed_brackets(expression.trim())
}

fn has_closed_brackets(expression: &str) -> bool {
    let (mut open, mut in_class, mut escaped) = (0_i64, false, false);
    for c in expression.chars() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            ']' => in_class = false,
            _ if in_class => {}
            '[' => in_class = true,
            '(' => open += 1,
            ')' => open -= 1,
            _ => {}
        }
        if open < 0 {
            return false;
        }
    }
    open == 0 && !in_class && !escaped && !expression.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r177_a_pattern_names_a_selector_and_an_expression_that_ends() {
        for good in [
            "client_id=b.*",
            " client_id = a ",
            "client_source_port=[0-9(]*",
        ] {
            assert!(is_pattern(good), "{good}");
        }
        for bad in [
            "foo",
            "foo=b",
            "client_id=[",
            "client_id=(",
            "client_id=)",
            "client_id=",
        ] {
            assert!(!is_pattern(bad), "{bad}");
        }
    }
}
