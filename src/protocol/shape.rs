//! Shapes: what a request looks like on the wire, version by version, as constants. The rows are
//! generated (`bounds_table`); this is what they are made of. It does not know values.

use super::bounds_table::MESSAGES;

/// Stands for "no such version" as a first version and for "no end" as a last one.
pub const NEVER: i16 = i16::MAX;

/// The shape of one request in every version; see [`message`].
#[derive(Debug)]
pub struct Message {
    pub api_key: i16,
    pub name: &'static str,
    pub first_version: i16,
    pub last_version: i16,
    /// Flexible versions have compact lengths and a tagged section in each structure (KIP-482).
    pub first_flexible: i16,
    pub fields: &'static [Field],
}

impl Message {
    /// The shape of `version` of `api_key`, if the pair is known at all.
    pub fn find(api_key: i16, version: i16) -> Option<&'static Message> {
        let index = MESSAGES
            .binary_search_by_key(&api_key, |m| m.api_key)
            .ok()?;
        let message = &MESSAGES[index];
        (message.first_version..=message.last_version)
            .contains(&version)
            .then_some(message)
    }

    pub fn is_flexible(&self, version: i16) -> bool {
        version >= self.first_flexible
    }
}

/// One field of a structure, present from `first_version` to `last_version`.
#[derive(Debug)]
pub struct Field {
    pub name: &'static str,
    pub first_version: i16,
    pub last_version: i16,
    pub shape: Shape,
    pub first_nullable: i16,
    /// Some for fields that travel in the tagged section.
    pub tag: Option<u32>,
}

#[derive(Debug)]
pub enum Shape {
    Bool,
    Int8,
    Int16,
    Uint16,
    Int32,
    Int64,
    Float64,
    Uuid,
    String,
    /// Also record batches: the same framing.
    Bytes,
    /// Elements, and the bytes that one of them takes decoded.
    Array(&'static Shape, usize),
    Struct(&'static [Field]),
}

/// A row of the generated table.
pub const fn message(
    api_key: i16,
    name: &'static str,
    first_version: i16,
    last_version: i16,
    first_flexible: i16,
    fields: &'static [Field],
) -> Message {
    Message {
        api_key,
        name,
        first_version,
        last_version,
        first_flexible,
        fields,
    }
}

/// A field that is never null and not tagged.
pub const fn field(
    name: &'static str,
    first_version: i16,
    last_version: i16,
    shape: Shape,
) -> Field {
    Field {
        name,
        first_version,
        last_version,
        shape,
        first_nullable: NEVER,
        tag: None,
    }
}

impl Field {
    pub const fn or_null_from(mut self, version: i16) -> Field {
        self.first_nullable = version;
        self
    }

    pub const fn tagged(mut self, tag: u32) -> Field {
        self.tag = Some(tag);
        self
    }

    pub fn is_in(&self, version: i16) -> bool {
        (self.first_version..=self.last_version).contains(&version)
    }
}

impl Shape {
    /// Bytes that the shortest value of this shape takes on the wire.
    pub fn min_size(&self, version: i16, flexible: bool) -> usize {
        match self {
            Shape::Bool | Shape::Int8 => 1,
            Shape::Int16 | Shape::Uint16 => 2,
            Shape::Int32 => 4,
            Shape::Int64 | Shape::Float64 => 8,
            Shape::Uuid => 16,
            Shape::String | Shape::Bytes | Shape::Array(..) if flexible => 1,
            Shape::String => 2,
            Shape::Bytes | Shape::Array(..) => 4,
            Shape::Struct(fields) => {
                let fields = fields
                    .iter()
                    .filter(|f| f.is_in(version) && f.tag.is_none())
                    .map(|f| match f.shape {
                        Shape::Struct(_) if version >= f.first_nullable => 1,
                        _ => f.shape.min_size(version, flexible),
                    });
                fields.sum::<usize>() + usize::from(flexible)
            }
        }
    }
}
