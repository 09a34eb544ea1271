//! One entry of the key tables: what a setting is called, which values it takes, what it is worth
//! when unset, and what this broker does with it. Broker keys, topic keys and our own settings
//! are all made of it; validation, DescribeConfigs and `config.toml` read the same entries.
//!
//! Texts and canonical values are Kafka's (ConfigDef.parseType, ConfigDef.Range, ConfigDef.ValidString).

use crate::config::refusal::Refusal;
use crate::config::value;

/// One setting.
#[derive(Debug)]
pub struct Key {
    /// Kafka's name; for our own settings `table.key`.
    pub name: &'static str,
    pub kind: Type,
    /// The canonical text of the value when nobody sets it; `None` is Kafka's null.
    pub default: Option<&'static str>,
    pub rule: Rule,
    /// For a topic key: the broker keys its default comes from, strongest first.
    pub synonyms: &'static [&'static str],
    pub treatment: Treatment,
    /// Whether a running broker can take another value.
    pub update: Update,
    /// One or two sentences for people.
    pub doc: &'static str,
}

/// Kafka's config types with their codes in DescribeConfigs (v3+).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    Boolean = 1,
    String = 2,
    Int = 3,
    Short = 4,
    Long = 5,
    Double = 6,
    List = 7,
    Class = 8,
    Password = 9,
}

impl Type {
    /// The code in DescribeConfigs.
    pub fn code(self) -> i8 {
        self as i8
    }

    /// Kafka's name, as in `Not a number of type LONG`.
    pub fn name(self) -> &'static str {
        match self {
            Type::Boolean => "BOOLEAN",
            Type::String => "STRING",
            Type::Int => "INT",
            Type::Short => "SHORT",
            Type::Long => "LONG",
            Type::Double => "DOUBLE",
            Type::List => "LIST",
            Type::Class => "CLASS",
            Type::Password => "PASSWORD",
        }
    }
}

/// Which values of its type a key takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rule {
    Any,
    AtLeast(i64),
    Between(i64, i64),
    /// Exactly one of these; for a list, each item.
    OneOf(&'static [&'static str]),
    OneOfAnyCase(&'static [&'static str]),
    NonEmpty,
    /// A segment size: at least 1 MiB since Kafka 4.0, less under [`Minima::Relaxed`].
    SegmentBytes,
    GzipLevel,
    ThrottledReplicas,
    /// `earliest`, `latest`, or `by_duration:` with an ISO 8601 duration (KIP-932).
    AutoOffsetReset,
    /// A time with its unit, such as `9s` or `500ms`.
    Duration,
}

/// Whether the minima of Kafka 4.0 hold or, in the development profile, the older ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Minima {
    Strict,
    Relaxed,
}

/// What this broker does with a key that is set.
#[derive(Clone, Copy, Debug)]
pub enum Treatment {
    /// It acts on it.
    Honoured,
    /// Kept and shown; a later version acts on it. Reported at start.
    NotYet,
    /// Kept and shown; there is nothing here for it to steer. Reported at start.
    NoEffect,
    /// A setting of older releases. Reported at start.
    Ignored,
    /// The broker does not start with it.
    Refused(&'static Refusal),
}

/// Whether AlterConfigs may change a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Update {
    ReadOnly,
    Dynamic,
}

impl Key {
    /// The value in Kafka's canonical text (R246), or Kafka's sentence about what is wrong with it.
    pub fn canonical(&self, value: &str, minima: Minima) -> Result<String, String> {
        value::parse(self.kind, value)
            .and_then(|parsed| parsed.check(self, minima))
            .map_err(|flaw| {
                format!(
                    "Invalid value {} for configuration {}: {}",
                    flaw.shown, self.name, flaw.text
                )
            })
    }

    /// Whether DescribeConfigs and messages hide the value.
    pub fn is_sensitive(&self) -> bool {
        self.kind == Type::Password
    }
}

/// Writes a table of [`Key`]s, one entry per setting:
///
/// `Treatment Type "name" = default, rule, update, ["synonyms"]: "documentation";`
macro_rules! keys {
    (
        $visibility:vis const $table:ident:
        $(
            $treatment:ident $(($refusal:expr))? $kind:ident $name:literal = $default:tt,
            $rule:expr, $update:ident $(, [$($synonym:literal),*])?: $doc:literal;
        )*
    ) => {
        $visibility const $table: &[$crate::config::key::Key] = {
            #[allow(unused_imports, reason = "not every table uses every rule")]
            use $crate::config::key::{Key, Rule::*, Treatment, Type, Update};
            &[$(Key {
                name: $name,
                kind: Type::$kind,
                default: $crate::config::key::keys!(@default $default),
                rule: $rule,
                synonyms: &[$($($synonym),*)?],
                treatment: Treatment::$treatment $(($refusal))?,
                update: Update::$update,
                doc: $doc,
            }),*]
        };
    };
    (@default null) => { None };
    (@default $text:literal) => { Some($text) };
}
pub(crate) use keys;
