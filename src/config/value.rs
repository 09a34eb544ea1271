//! Values of settings: Kafka's parsing of each type, its checks, and the canonical text it shows
//! (ConfigDef.parseType, ConfigDef.convertToString, Double.toString).

use std::time::Duration;

use crate::config::key::{Key, Minima, Rule, Type};

/// What is wrong with a value: Kafka's `Invalid value {shown} for configuration k: {text}`.
pub(super) struct Flaw {
    pub shown: String,
    pub text: String,
}

impl Flaw {
    fn new(shown: impl Into<String>, text: impl Into<String>) -> Flaw {
        Flaw {
            shown: shown.into(),
            text: text.into(),
        }
    }
}

/// A value of the right type.
pub(super) enum Parsed {
    Boolean(bool),
    Number(i64),
    Double(f64),
    List(Vec<String>),
    Text(String),
}

/// Java's `String.trim`: everything up to the blank goes.
pub(super) fn trim(text: &str) -> &str {
    text.trim_matches(|c| c <= ' ')
}

/// The items of a comma list; an empty text has none, empty items stay.
pub(super) fn split_list(text: &str) -> Vec<String> {
    let text = trim(text);
    if text.is_empty() {
        return Vec::new();
    }
    text.split(',').map(|item| item.trim().to_owned()).collect()
}

pub(super) fn parse(kind: Type, value: &str) -> Result<Parsed, Flaw> {
    let trimmed = trim(value);
    let number = |smallest: i64, largest: i64| {
        trimmed
            .parse::<i64>()
            .ok()
            .filter(|n| (smallest..=largest).contains(n))
            .map(Parsed::Number)
    };
    let parsed = match kind {
        Type::Boolean => {
            return match trimmed.to_ascii_lowercase().as_str() {
                "true" => Ok(Parsed::Boolean(true)),
                "false" => Ok(Parsed::Boolean(false)),
                _ => Err(Flaw::new(
                    value,
                    "Expected value to be either true or false",
                )),
            };
        }
        Type::Short => number(i16::MIN.into(), i16::MAX.into()),
        Type::Int => number(i32::MIN.into(), i32::MAX.into()),
        Type::Long => number(i64::MIN, i64::MAX),
        Type::Double => java_double(trimmed).map(Parsed::Double),
        Type::List => Some(Parsed::List(split_list(value))),
        Type::String | Type::Class | Type::Password => Some(Parsed::Text(trimmed.to_owned())),
    };
    parsed.ok_or_else(|| Flaw::new(value, format!("Not a number of type {}", kind.name())))
}

impl Parsed {
    /// The canonical text, if `key` takes the value.
    pub(super) fn check(self, key: &Key, minima: Minima) -> Result<String, Flaw> {
        match key.rule {
            Rule::Any => {}
            Rule::AtLeast(least) => self.within(least, i64::MAX)?,
            Rule::Between(least, most) => self.within(least, most)?,
            Rule::SegmentBytes => self.within(smallest_segment(minima), i64::MAX)?,
            Rule::OneOf(allowed) => self.each(
                |item| allowed.contains(&item),
                || format!("String must be one of: {}", allowed.join(", ")),
            )?,
            Rule::OneOfAnyCase(allowed) => self.each(
                |item| allowed.iter().any(|one| one.eq_ignore_ascii_case(item)),
                || {
                    format!(
                        "String must be one of (case insensitive): {}",
                        allowed.join(", ")
                    )
                },
            )?,
            Rule::NonEmpty => self.each(
                |item| !item.is_empty(),
                || "String must be non-empty".to_owned(),
            )?,
            Rule::GzipLevel => match self {
                Parsed::Number(-1 | 1..=9) => {}
                _ => {
                    return Err(Flaw::new(
                        self.text(),
                        "Value must be between 1 and 9 or equal to -1",
                    ));
                }
            },
            Rule::ThrottledReplicas => self.throttled_replicas(key.name)?,
            Rule::AutoOffsetReset => self.auto_offset_reset(key.name)?,
            Rule::Duration => self.each(
                |item| duration(item).is_some(),
                || "Expected a time with its unit: ms, s, m or h".to_owned(),
            )?,
        }
        Ok(self.text())
    }

    fn within(&self, least: i64, most: i64) -> Result<(), Flaw> {
        let (below, above) = match self {
            Parsed::Number(n) => (*n < least, *n > most),
            Parsed::Double(d) => (*d < least as f64, *d > most as f64),
            Parsed::Boolean(_) | Parsed::List(_) | Parsed::Text(_) => (false, false),
        };
        if below {
            return Err(Flaw::new(
                self.text(),
                format!("Value must be at least {least}"),
            ));
        }
        if above {
            return Err(Flaw::new(
                self.text(),
                format!("Value must be no more than {most}"),
            ));
        }
        Ok(())
    }

    /// Every item of a list, or the one text, passes `allowed`.
    fn each(
        &self,
        allowed: impl Fn(&str) -> bool,
        complaint: impl Fn() -> String,
    ) -> Result<(), Flaw> {
        let text = self.text();
        let items: Vec<&str> = match self {
            Parsed::List(items) => items.iter().map(String::as_str).collect(),
            _ => vec![&text],
        };
        match items.into_iter().find(|item| !allowed(item)) {
            Some(item) => Err(Flaw::new(item, complaint())),
            None => Ok(()),
        }
    }

    /// Kafka: ThrottledReplicaListValidator.
    fn throttled_replicas(&self, name: &str) -> Result<(), Flaw> {
        let Parsed::List(items) = self else {
            return Ok(());
        };
        let is_replica = |item: &String| {
            item.split_once(':').is_some_and(|(partition, broker)| {
                let digits =
                    |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
                digits(partition) && digits(broker)
            })
        };
        // The validator joins the items again and splits as Java does: trailing empties fall away.
        let significant = items.iter().rposition(|item| !item.is_empty());
        let items = &items[..significant.map_or(0, |last| last + 1)];
        if (items.len() == 1 && items[0] == "*") || items.iter().all(is_replica) {
            return Ok(());
        }
        Err(Flaw::new(
            format!("[{}]", items.join(", ")),
            format!(
                "{name} must be the literal '*' or a list of replicas in the following format: \
                 [partitionId]:[brokerId],[partitionId]:[brokerId],..."
            ),
        ))
    }

    /// Kafka: ShareGroupAutoOffsetResetStrategy.Validator.
    fn auto_offset_reset(&self, name: &str) -> Result<(), Flaw> {
        let text = self.text();
        let is_strategy = match text.strip_prefix("by_duration:") {
            Some(duration) => is_java_duration(duration),
            None => matches!(text.as_str(), "earliest" | "latest"),
        };
        if is_strategy {
            return Ok(());
        }
        let complaint = format!(
            "Invalid value `{text}` for configuration {name}. The value must be either \
             'earliest', 'latest' or of the format 'by_duration:<PnDTnHnMn.nS>'."
        );
        Err(Flaw::new(text, complaint))
    }

    fn text(&self) -> String {
        match self {
            Parsed::Boolean(value) => value.to_string(),
            Parsed::Number(value) => value.to_string(),
            Parsed::Double(value) => java_text(*value),
            Parsed::List(items) => items.join(","),
            Parsed::Text(text) => text.clone(),
        }
    }
}

fn smallest_segment(minima: Minima) -> i64 {
    match minima {
        Minima::Strict => 1024 * 1024,
        // Kafka before 4.0: the size of the oldest record format's overhead.
        Minima::Relaxed => 14,
    }
}

/// Java's `Duration.parse` for what is not negative: `P1D`, `PT1H30M`, `P1DT0.5S`.
fn is_java_duration(text: &str) -> bool {
    let upper = text.to_ascii_uppercase();
    let Some(rest) = upper.strip_prefix('P') else {
        return false;
    };
    let (days, time) = match rest.split_once('T') {
        Some((days, time)) => (days, Some(time)),
        None => (rest, None),
    };
    let parts = |mut text: &str, units: &str| {
        // Each unit at most once, in order.
        for unit in units.chars() {
            if let Some((number, rest)) = text.split_once(unit) {
                let whole = number.strip_suffix('.').unwrap_or(number);
                let fits = if unit == 'S' { whole } else { number };
                let plain = fits
                    .bytes()
                    .all(|b| b.is_ascii_digit() || (unit == 'S' && b == b'.'));
                if !plain || fits.parse::<f64>().is_err() {
                    return false;
                }
                text = rest;
            }
        }
        text.is_empty()
    };
    match time {
        None => !days.is_empty() && parts(days, "D"),
        Some(time) => !time.is_empty() && parts(days, "D") && parts(time, "HMS"),
    }
}

/// Java's `Double.parseDouble` for decimal numbers; NaN and infinity, which Kafka lets through,
/// are refused.
fn java_double(text: &str) -> Option<f64> {
    let digits = text.strip_suffix(['d', 'D', 'f', 'F']).unwrap_or(text);
    let plain = digits
        .bytes()
        .all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte));
    digits
        .parse()
        .ok()
        .filter(|number: &f64| plain && number.is_finite())
}

/// Java's `Double.toString`: always a point, and an exponent outside 10^-3 to 10^7.
fn java_text(value: f64) -> String {
    let magnitude = value.abs();
    if value == 0.0 || (1e-3..1e7).contains(&magnitude) {
        return format!("{value:?}");
    }
    let text = format!("{value:E}");
    match text.split_once('E') {
        Some((digits, exponent)) if !digits.contains('.') => format!("{digits}.0E{exponent}"),
        _ => text,
    }
}

/// A time with its unit: `500ms`, `9s`, `2m`, `1h`.
pub(super) fn duration(text: &str) -> Option<Duration> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (count, unit) = text.split_at(digits);
    let unit_ms = match unit.trim() {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    let milliseconds = count.parse::<u64>().ok()?.checked_mul(unit_ms)?;
    Some(Duration::from_millis(milliseconds))
}
