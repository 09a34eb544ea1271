//! Request bodies that are right, made by the table of shapes: for the bounds check and the fuzzer.

use ottla::protocol::shape::{Field, Message, Shape};
use ottla::protocol::varint;

use crate::random::Random;

/// Versions that Kafka 4 dropped: they have codecs of ours (R14, R15) or get one when served.
pub fn crate_cannot(api_key: i16, version: i16) -> bool {
    match api_key {
        0 => version <= 2,
        19 => version <= 1,
        20 | 29 | 30 | 31 | 32 => version == 0,
        _ => false,
    }
}

/// A valid body and where its array counts stand: offset and width.
pub struct Body {
    pub bytes: Vec<u8>,
    pub counts: Vec<(usize, usize)>,
}

/// Seed 0 gives the shortest body: empty texts and arrays, null where allowed.
pub fn random_body(message: &Message, version: i16, seed: u64) -> Body {
    let mut writer = Writer {
        body: Body {
            bytes: Vec::new(),
            counts: Vec::new(),
        },
        version,
        flexible: message.is_flexible(version),
        shortest: seed == 0,
        random: Random::new(seed ^ (message.api_key as u64) << 32 ^ (version as u64) << 48),
    };
    writer.structure(message.fields);
    writer.body
}

struct Writer {
    body: Body,
    version: i16,
    flexible: bool,
    shortest: bool,
    random: Random,
}

impl Writer {
    fn structure(&mut self, fields: &[Field]) {
        let present: Vec<&Field> = fields
            .iter()
            .filter(|f| (f.first_version..=f.last_version).contains(&self.version))
            .collect();
        for field in present.iter().filter(|f| f.tag.is_none()) {
            self.field(field);
        }
        if self.flexible {
            self.tagged_fields(present.into_iter().filter(|f| f.tag.is_some()).collect());
        }
    }

    fn tagged_fields(&mut self, mut known: Vec<&Field>) {
        known.retain(|_| self.up_to(1) == 1);
        let unknown = if self.up_to(9) == 9 { self.up_to(3) } else { 0 };
        varint::put_unsigned(&mut self.body.bytes, known.len() as u32 + unknown);
        for field in known {
            let start = self.body.bytes.len();
            let counts = self.body.counts.len();
            self.field(field);
            let content = self.body.bytes.split_off(start);
            varint::put_unsigned(&mut self.body.bytes, field.tag.expect("tagged"));
            varint::put_unsigned(&mut self.body.bytes, content.len() as u32);
            let shift = self.body.bytes.len() - start;
            self.body.counts[counts..]
                .iter_mut()
                .for_each(|(at, _)| *at += shift);
            self.body.bytes.extend(content);
        }
        for i in 0..unknown {
            varint::put_unsigned(&mut self.body.bytes, 100 + i);
            let size = self.up_to(5);
            varint::put_unsigned(&mut self.body.bytes, size);
            self.fill(size as usize);
        }
    }

    fn field(&mut self, field: &Field) {
        let null = self.version >= field.first_nullable && self.up_to(3) == 0;
        match (&field.shape, null) {
            (Shape::Struct(_), true) => self.body.bytes.push(0xff),
            (Shape::Struct(_), false) if self.version >= field.first_nullable => {
                self.body.bytes.push(1);
                self.value(&field.shape);
            }
            (Shape::String, true) => self.length(-1, 2),
            (_, true) => self.length(-1, 4),
            (shape, false) => self.value(shape),
        }
    }

    fn value(&mut self, shape: &Shape) {
        match shape {
            Shape::Bool => {
                let value = self.up_to(1) as u8;
                self.body.bytes.push(value);
            }
            Shape::Int8 => self.fill(1),
            Shape::Int16 | Shape::Uint16 => self.fill(2),
            Shape::Int32 => self.fill(4),
            Shape::Int64 | Shape::Float64 => self.fill(8),
            Shape::Uuid => self.fill(16),
            Shape::String => {
                // Beyond 127 a compact length takes two bytes.
                let length = if self.up_to(20) == 20 {
                    200
                } else {
                    self.up_to(8)
                };
                self.length(length as i32, 2);
                (0..length).for_each(|i| self.body.bytes.push(b'a' + (i % 26) as u8));
            }
            Shape::Bytes => {
                let length = self.up_to(20);
                self.length(length as i32, 4);
                self.fill(length as usize);
            }
            Shape::Array(element, _) => {
                let count = self.up_to(3);
                let at = self.body.bytes.len();
                self.length(count as i32, 4);
                self.body.counts.push((at, self.body.bytes.len() - at));
                (0..count).for_each(|_| self.value(element));
            }
            Shape::Struct(fields) => self.structure(fields),
        }
    }

    fn length(&mut self, length: i32, width: usize) {
        if self.flexible {
            varint::put_unsigned(&mut self.body.bytes, (length + 1) as u32);
        } else {
            self.body.bytes.extend(&length.to_be_bytes()[4 - width..]);
        }
    }

    fn fill(&mut self, size: usize) {
        for _ in 0..size {
            let byte = self.up_to(255) as u8;
            self.body.bytes.push(byte);
        }
    }

    fn up_to(&mut self, most: u64) -> u32 {
        if self.shortest {
            0
        } else {
            self.random.below(most + 1) as u32
        }
    }
}
