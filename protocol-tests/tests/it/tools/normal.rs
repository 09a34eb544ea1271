//! What two brokers cannot have in common is made the same: ids, times, positions in their logs.
//! Addresses and directories are replaced by who knows them (`peers`).

use super::runner::Output;

/// Labels of a value that is the broker's own; what follows up to the next delimiter is left out.
const OWN_VALUES: [&str; 12] = [
    "TopicId: ",
    "topic id ",
    "Cluster ID: ",
    "ClusterId: ",
    "LeaderEpoch: ",
    "HighWatermark: ",
    "Epoch: ",
    "127.0.0.1:",
    "crc: ",
    "Timestamp: ",
    "tries=",
    "after ",
];
/// A time in ms has as many digits.
const DIGITS_OF_TIME: usize = 13;
const UUID_LENGTH: usize = 36;

/// The output line by line, in the order of the tool; the status is the first line.
pub fn lines(output: &Output) -> Vec<String> {
    let text = output.text.lines();
    // Where in the tool something happened differs by how it was called.
    let told = text.filter(|line| !line.starts_with("\tat ") && !line.trim().is_empty());
    // A slow run of the performance tools reports on its way; the last line has percentiles.
    let told = told.filter(|line| !line.contains(" records/sec") || line.contains("50th"));
    let status = format!("exit {}", output.status);
    std::iter::once(status).chain(told.map(line)).collect()
}

fn line(line: &str) -> String {
    let line = line.trim_end();
    // Rates of the performance tools, in which nothing is the same twice.
    if line.contains(" records/sec") || line.starts_with("20") {
        let words = line.split_whitespace();
        let words = words.map(|word| {
            if word.contains(|c: char| c.is_ascii_digit()) {
                "…"
            } else {
                word
            }
        });
        return words.collect::<Vec<_>>().join(" ");
    }
    if let Some(sorted) = sorted_json(line) {
        return without_times(&sorted);
    }
    // A set of states, in the order of a hash map.
    let line = line.split(" Valid states are:").next().unwrap_or_default();
    let mut line = without_uuids(line);
    for label in OWN_VALUES {
        line = without_value(&line, label);
    }
    without_times(&line)
}

/// Kafka's verifiable tools print fields in the order of a hash map, and kafka-log-dirs partitions.
fn sorted_json(line: &str) -> Option<String> {
    let mut json: serde_json::Value = serde_json::from_str(line).ok()?;
    json.as_object()?;
    // Rates, in which nothing is the same twice.
    if let Some(rate) = json.get_mut("avg_throughput") {
        rate.take();
    }
    let brokers = json.get_mut("brokers").and_then(|it| it.as_array_mut());
    let directories = brokers
        .into_iter()
        .flatten()
        .filter_map(|broker| broker.get_mut("logDirs")?.as_array_mut());
    for directory in directories.flatten() {
        if let Some(partitions) = directory["partitions"].as_array_mut() {
            partitions.sort_by_key(|partition| partition.to_string());
        }
    }
    Some(json.to_string())
}

/// Replaces what follows each `label`.
fn without_value(line: &str, label: &str) -> String {
    let mut parts = line.split(label);
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let value = part.trim_start();
        let end = value.find([' ', '\t', ',', '"', ']', '}', ')', '\'', '/']);
        out += label;
        out += "…";
        out += &value[end.unwrap_or(value.len())..];
    }
    out
}

/// Replaces the UUIDs that end the ids of members.
fn without_uuids(line: &str) -> String {
    let is_uuid = |text: &str| uuid::Uuid::try_parse(text).is_ok();
    let mut out = String::new();
    let mut rest = line;
    while let Some(next) = rest.chars().next() {
        let step = match rest.get(..UUID_LENGTH) {
            Some(text) if is_uuid(text) => {
                out += "…";
                UUID_LENGTH
            }
            _ => {
                out.push(next);
                next.len_utf8()
            }
        };
        rest = &rest[step..];
    }
    out
}

/// Replaces numbers that are times.
fn without_times(line: &str) -> String {
    let mut out = String::new();
    let mut rest = line;
    while let Some(start) = rest.find(|c: char| c.is_ascii_digit()) {
        let digits = &rest[start..];
        let end = digits.find(|c: char| !c.is_ascii_digit());
        let length = end.unwrap_or(digits.len());
        out += &rest[..start];
        out += if length >= DIGITS_OF_TIME {
            "…"
        } else {
            &digits[..length]
        };
        rest = &digits[length..];
    }
    out + rest
}
