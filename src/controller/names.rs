//! Which topic names are allowed (R46; kafka:Topic.java).

/// The longest topic name, in characters: directory names hold it with partition and suffix.
pub const MAX_NAME_LENGTH: usize = 249;

/// The log of metadata is no topic that a client may create (R159).
pub const CLUSTER_METADATA_TOPIC: &str = "__cluster_metadata";

/// `Err` is the sentence of INVALID_TOPIC_EXCEPTION.
pub fn validate(name: &str) -> Result<(), String> {
    let problem = if name.is_empty() {
        "the empty string is not allowed".to_owned()
    } else if name == "." || name == ".." {
        format!("'{name}' is not allowed")
    } else if name.encode_utf16().count() > MAX_NAME_LENGTH {
        format!("the length of '{name}' is longer than the max allowed length {MAX_NAME_LENGTH}")
    } else if !name.bytes().all(is_allowed) {
        format!(
            "'{name}' contains one or more characters other than ASCII alphanumerics, '.', '_' \
             and '-'"
        )
    } else {
        return Ok(());
    };
    Err(format!("Topic name is invalid: {problem}"))
}

fn is_allowed(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-')
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    #[test]
    fn r46_a_bad_name_is_refused_in_kafkas_words() {
        let long = "x".repeat(250);
        let said: Vec<String> = ["", ".", "..", "a b", "ä", "ok_1.2-3", &long[1..], &long]
            .iter()
            .map(|name| match validate(name) {
                Ok(()) => format!("{}: ok", name.len()),
                Err(sentence) => sentence.replace(&long, "x…"),
            })
            .collect();
        expect![[r#"
            Topic name is invalid: the empty string is not allowed
            Topic name is invalid: '.' is not allowed
            Topic name is invalid: '..' is not allowed
            Topic name is invalid: 'a b' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'
            Topic name is invalid: 'ä' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'
            8: ok
            249: ok
            Topic name is invalid: the length of 'x…' is longer than the max allowed length 249"#]]
        .assert_eq(&said.join("\n"));
    }
}
