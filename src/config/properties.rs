//! Java's `.properties` files (java.util.Properties.load): comments, continued lines, escapes,
//! `=`, `:` or blanks between key and value. Knows nothing of what the keys mean.

use std::iter::Peekable;
use std::str::Chars;

/// One key of a file, in file order; a later duplicate wins.
#[derive(Debug, PartialEq, Eq)]
pub struct Property {
    pub key: String,
    pub value: String,
    /// Where it starts, from 1.
    pub line: usize,
}

/// What cannot be read, and on which line.
#[derive(Debug, PartialEq, Eq)]
pub struct Malformed {
    pub line: usize,
    pub problem: &'static str,
}

/// Reads a whole file. Bytes that are not UTF-8 are taken as ISO 8859-1, Java's encoding of these files.
pub fn parse(bytes: &[u8]) -> Result<Vec<Property>, Malformed> {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text.trim_start_matches('\u{feff}').to_owned(),
        Err(_) => bytes.iter().map(|&byte| char::from(byte)).collect(),
    };
    logical_lines(&text)
        .into_iter()
        .map(|(line, text)| property(&text, line).map_err(|problem| Malformed { line, problem }))
        .collect()
}

/// Lines without comments and blank ones, continuations joined. Escapes are still in them.
fn logical_lines(text: &str) -> Vec<(usize, String)> {
    let mut lines = Vec::new();
    let mut open: Option<(usize, String)> = None;
    // Java ends a line at \n, \r or \r\n.
    let natural = text.replace("\r\n", "\n").replace('\r', "\n");
    for (index, line) in natural.split('\n').enumerate() {
        let line = line.trim_start_matches(BLANKS);
        let (number, mut joined) = match open.take() {
            Some((number, so_far)) => (number, so_far + line),
            None if line.is_empty() || line.starts_with(['#', '!']) => continue,
            None => (index + 1, line.to_owned()),
        };
        let backslashes = line.chars().rev().take_while(|&c| c == '\\').count();
        if backslashes % 2 == 1 {
            joined.pop();
            open = Some((number, joined));
        } else {
            lines.push((number, joined));
        }
    }
    lines.extend(open);
    lines
}

const BLANKS: [char; 3] = [' ', '\t', '\u{c}'];

fn property(text: &str, line: usize) -> Result<Property, &'static str> {
    let mut rest = text.chars().peekable();
    let key = unescaped(&mut rest, |c| BLANKS.contains(&c) || c == '=' || c == ':')?;
    skip_blanks(&mut rest);
    if rest.next_if(|&c| c == '=' || c == ':').is_some() {
        skip_blanks(&mut rest);
    }
    let value = unescaped(&mut rest, |_| false)?;
    Ok(Property { key, value, line })
}

fn skip_blanks(rest: &mut Peekable<Chars<'_>>) {
    while rest.next_if(|c| BLANKS.contains(c)).is_some() {}
}

/// Reads up to an unescaped character that `ends` it, resolving escapes.
fn unescaped(
    rest: &mut Peekable<Chars<'_>>,
    ends: impl Fn(char) -> bool,
) -> Result<String, &'static str> {
    // Java's strings are UTF-16: two \u escapes may make one character.
    let mut units: Vec<u16> = Vec::new();
    while let Some(c) = rest.next_if(|&c| !ends(c)) {
        let c = match c {
            '\\' => match rest.next() {
                Some('u') => {
                    units.push(hex_unit(rest)?);
                    continue;
                }
                Some('t') => '\t',
                Some('n') => '\n',
                Some('r') => '\r',
                Some('f') => '\u{c}',
                Some(other) => other,
                None => break,
            },
            plain => plain,
        };
        units.extend_from_slice(c.encode_utf16(&mut [0; 2]));
    }
    String::from_utf16(&units).map_err(|_| "half of a pair of \\u escapes is missing")
}

fn hex_unit(rest: &mut Peekable<Chars<'_>>) -> Result<u16, &'static str> {
    let mut unit = 0;
    for _ in 0..4 {
        let digit = rest.next().and_then(|c| c.to_digit(16));
        unit = unit * 16 + digit.ok_or("Malformed \\uxxxx encoding.")? as u16;
    }
    Ok(unit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pairs(text: &str) -> Vec<(usize, String, String)> {
        let read = parse(text.as_bytes()).expect("well formed");
        read.into_iter().map(|p| (p.line, p.key, p.value)).collect()
    }

    fn one(text: &str) -> (String, String) {
        let (_, key, value) = pairs(text).remove(0);
        (key, value)
    }

    #[test]
    fn equals_colon_and_blanks_part_key_and_value() {
        for text in [
            "a.b=c d",
            "a.b:c d",
            "a.b c d",
            "  a.b \t = c d",
            "a.b\u{c}:  c d",
        ] {
            assert_eq!(one(text), ("a.b".into(), "c d".into()), "{text:?}");
        }
        assert_eq!(one("a=b=c"), ("a".into(), "b=c".into()));
        assert_eq!(one("a"), ("a".into(), String::new()));
        assert_eq!(one("a = b  "), ("a".into(), "b  ".into()));
    }

    #[test]
    fn comments_and_blank_lines_count_as_lines_and_nothing_else() {
        let text = "# one\n\n  ! two\na=1\r\n\r\nb=2\rc=3";
        assert_eq!(
            pairs(text),
            [
                (4, "a".into(), "1".into()),
                (6, "b".into(), "2".into()),
                (7, "c".into(), "3".into())
            ]
        );
    }

    #[test]
    fn an_odd_number_of_backslashes_continues_the_line() {
        let text = "listeners=A://:1,\\\n    B://:2,\\\n\t# not a comment\nx=1\\\\\ny=2";
        assert_eq!(
            pairs(text),
            [
                (
                    1,
                    "listeners".into(),
                    "A://:1,B://:2,# not a comment".into()
                ),
                (4, "x".into(), "1\\".into()),
                (5, "y".into(), "2".into())
            ]
        );
        assert_eq!(one("a=b\\"), ("a".into(), "b".into()));
    }

    #[test]
    fn escapes_are_resolved() {
        assert_eq!(
            one(r"a\=b\:c\ d=\t\u00e9\q"),
            ("a=b:c d".into(), "\té\u{71}".into())
        );
        assert_eq!(one(r"a=\ud83d\ude00"), ("a".into(), "😀".into()));
        assert_eq!(parse(b"ok=1\na=\\u12x4").map_err(|e| e.line), Err(2));
        assert_eq!(parse(b"a=\\ud83d").map_err(|e| e.line), Err(1));
    }

    #[test]
    fn bytes_that_are_not_utf8_are_latin_1() {
        let read = parse(b"rack=caf\xe9").expect("well formed");
        assert_eq!(read[0].value, "café");
    }

    proptest! {
        #[test]
        fn no_input_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&bytes);
        }
    }
}
