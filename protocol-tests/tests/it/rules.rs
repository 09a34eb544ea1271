//! Which of the numbered rules of compatibility have a test: a rule is covered when a test carries
//! its number in its name. What one broker without transactions cannot show stands here with the
//! reason.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// The rules of the areas that one broker answers for: API table, connections, metadata, produce,
/// fetch, offsets by time and epoch, groups, administration, configs, errors, tools, formats.
const RULES: &[u16] = &[
    10, 11, 12, 13, 14, 15, 16, 17, 20, 21, 22, 23, 24, 25, 26, 28, 29, 30, 31, 32, 33, 35, 36, 37,
    38, 39, 40, 41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61,
    62, 63, 64, 65, 66, 67, 68, 69, 70, 71, 72, 73, 74, 75, 76, 77, 78, 79, 80, 81, 82, 83, 84, 85,
    86, 87, 88, 89, 90, 91, 92, 93, 95, 96, 97, 98, 99, 100, 101, 102, 103, 105, 106, 107, 108,
    109, 110, 111, 112, 113, 114, 115, 116, 117, 118, 121, 155, 156, 157, 158, 159, 160, 161, 162,
    163, 164, 175, 176, 177, 178, 179, 180, 185, 186, 187, 188, 200, 201, 202, 203, 204, 205, 206,
    207, 208, 209, 210, 211, 212, 213, 220, 221, 222, 223, 224, 225, 226, 227, 228, 240, 241, 243,
    244, 246, 247, 248, 249,
];

/// What a later milestone has to show, and why not this one.
const LATER: &[(u16, &str)] = &[
    (33, "needs a controller listener"),
    (42, "needs SASL"),
    (52, "needs a broker that is fenced while another lives"),
    (89, "needs a follower"),
    (92, "versions of the next release"),
    (97, "needs a new leader behind its epoch's start"),
    (102, "commits in transactions"),
    (116, "the consumer group protocol of KIP-848"),
    (121, "the consumer group protocol of KIP-848"),
    (180, "which group protocols there are: KIP-848"),
    (205, "Streams: transactions"),
    (206, "Connect: transactions"),
    (207, "MirrorMaker: Connect"),
    (209, "Flink and Spark: transactions"),
    (227, "control batches: transactions"),
];

#[test]
fn every_rule_that_one_broker_can_show_has_a_test() {
    let covered = rules_in_test_names();
    let later: BTreeMap<u16, &str> = LATER.iter().copied().collect();
    let wanted: BTreeSet<u16> = RULES
        .iter()
        .filter(|rule| !later.contains_key(rule))
        .copied()
        .collect();
    let missing: Vec<u16> = wanted.difference(&covered).copied().collect();
    println!(
        "rules: {} of {} that one broker can show have a test; without: {}",
        wanted.len() - missing.len(),
        wanted.len(),
        names(&missing)
    );
    for (rule, reason) in &later {
        println!("rules: R{rule} comes later: {reason}");
    }
    assert!(missing.is_empty(), "without a test: {}", names(&missing));
}

fn names(rules: &[u16]) -> String {
    if rules.is_empty() {
        return "none".to_owned();
    }
    let names: Vec<String> = rules.iter().map(|rule| format!("R{rule}")).collect();
    names.join(" ")
}

/// The numbers of `fn r75_r76_what_holds` behind a test attribute.
fn rules_in_test_names() -> BTreeSet<u16> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut found = BTreeSet::new();
    for folder in ["src", "tests", "protocol-tests/src", "protocol-tests/tests"] {
        read_folder(&root.join(folder), &mut found);
    }
    found
}

fn read_folder(folder: &Path, found: &mut BTreeSet<u16>) {
    for entry in std::fs::read_dir(folder).expect("a folder of sources") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            read_folder(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).expect("a source file");
            read_tests(&text, found);
        }
    }
}

fn read_tests(text: &str, found: &mut BTreeSet<u16>) {
    let mut in_test = false;
    for line in text.lines().map(str::trim) {
        if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
            in_test = true;
        }
        let name = line.strip_prefix("async ").unwrap_or(line);
        if let Some(name) = name.strip_prefix("fn ")
            && std::mem::take(&mut in_test)
        {
            found.extend(numbers(name));
        }
    }
}

/// The leading `rNN` parts of a name.
fn numbers(name: &str) -> impl Iterator<Item = u16> {
    name.split('_')
        .map_while(|part| part.strip_prefix('r')?.parse().ok())
}
