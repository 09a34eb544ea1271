//! `config.toml`: Kafka's keys under `[kafka]`, quoted; our own settings in tables of their own.
//! Gives a layer with the line of every value. Knows nothing of what keys mean.

use std::collections::BTreeMap;

use toml::{Table, Value};

use crate::config::error::ConfigError;
use crate::config::layers::{Layer, LayerKind};

/// Reads a whole file that messages call `name`.
pub(super) fn parse(name: &str, text: &str) -> Result<Layer, ConfigError> {
    let tables: Table = toml::from_str(text).map_err(|error| {
        let problem = error.message().trim_end().replace('\n', ", ");
        let start = error.span().map_or(0, |span| span.start);
        let before = text.as_bytes().iter().take(start);
        let line = before.filter(|&&byte| byte == b'\n').count() + 1;
        ConfigError::new(problem, "mend the file").at(format!("{name}:{line}"))
    })?;
    let lines = lines(text);
    let place = |key: &str| match lines.get(key) {
        Some(line) => format!("{name}:{line}"),
        None => name.to_owned(),
    };
    let mut layer = Layer::new(LayerKind::ConfigFile);
    for (table, entries) in &tables {
        let Value::Table(entries) = entries else {
            return Err(ConfigError::new(
                format!("{table} stands outside of any table"),
                "put Kafka's keys under [kafka] and our own under their table",
            )
            .at(place(&format!(".{table}"))));
        };
        for (key, value) in flatten(entries) {
            let at = place(&format!("{table}.{key}"));
            let Some(value) = text_of(value) else {
                return Err(ConfigError::new(
                    format!("{key} is neither a text, a number, a boolean nor a list of them"),
                    "write one of these",
                )
                .at(at));
            };
            if table == "kafka" {
                layer.set(&key, value, Some(at));
            } else {
                layer.set_own(&format!("{table}.{key}"), value, Some(at));
            }
        }
    }
    Ok(layer)
}

/// An unquoted `num.partitions = 3` is a table to TOML; it is read as the key it looks like.
fn flatten(table: &Table) -> Vec<(String, &Value)> {
    let mut flat = Vec::new();
    for (key, value) in table {
        match value {
            Value::Table(inner) => {
                let inner = flatten(inner).into_iter();
                flat.extend(inner.map(|(rest, value)| (format!("{key}.{rest}"), value)));
            }
            _ => flat.push((key.clone(), value)),
        }
    }
    flat
}

fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Integer(number) => Some(number.to_string()),
        Value::Float(number) => Some(number.to_string()),
        Value::Boolean(flag) => Some(flag.to_string()),
        Value::Array(items) => {
            let items: Option<Vec<String>> = items.iter().map(text_of).collect();
            Some(items?.join(","))
        }
        Value::Datetime(_) | Value::Table(_) => None,
    }
}

/// Where each `table.key` stands. Good enough for messages: a line inside a text of several lines
/// may be taken for a key.
fn lines(text: &str) -> BTreeMap<String, usize> {
    let mut lines = BTreeMap::new();
    let mut table = "";
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if let Some(header) = line.strip_prefix('[').and_then(|line| line.split_once(']')) {
            table = header.0.trim();
        } else if let Some((key, _)) = line.split_once('=') {
            let key = key.trim().trim_matches(['"', '\'']);
            lines.insert(format!("{table}.{key}"), index + 1);
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::layers::Settings;

    fn shown(text: &str) -> Vec<String> {
        let layer = parse("config.toml", text).expect("well formed");
        let settings = Settings::merge(&[layer]).expect("merges");
        let all = settings.kafka.iter().chain(&settings.own);
        all.map(|(key, setting)| format!("{key}={} ({})", setting.value, setting.origin))
            .collect()
    }

    #[test]
    fn kafka_keys_and_own_tables_are_read_with_their_lines() {
        let text = "# comment\n[kafka]\n\"num.partitions\" = 3\n\"log.dirs\" = [\"/a\", \"/b\"]\n\
                    \"delete.topic.enable\" = false\nmax.connections = 5\n\n[storage]\ndurable = true\n";
        assert_eq!(
            shown(text),
            [
                "delete.topic.enable=false (config.toml:5)",
                "log.dirs=/a,/b (config.toml:4)",
                "max.connections=5 (config.toml:6)",
                "num.partitions=3 (config.toml:3)",
                "storage.durable=true (config.toml:9)",
            ]
        );
    }

    #[test]
    fn a_file_that_cannot_be_read_is_refused_with_its_line() {
        let refused = |text: &str| parse("c.toml", text).expect_err("malformed").to_string();
        assert_eq!(
            refused("[kafka]\nx = = 1\n"),
            "invalid string, expected `\"`, `'` (c.toml:2); mend the file"
        );
        assert_eq!(
            refused("durable = true\n"),
            "durable stands outside of any table (c.toml:1); \
             put Kafka's keys under [kafka] and our own under their table"
        );
    }
}
