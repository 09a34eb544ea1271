//! Style as a test: layers point down, files and functions stay readable, and words that mean
//! "not finished" do not land.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Lowest first; a `use crate::x` may point to its own rank's folder or to a lower rank.
const LAYERS: &[&[&str]] = &[
    &["types", "error", "faults"],
    &["clock"],
    &["config"],
    &["budget"],
    &["protocol"],
    &["log"],
    &["metadata"],
    &["controller"],
    &["store", "partition"],
    &["coordinator"],
    &["group"],
    &["quorum"],
    &["broker"],
    &["api"],
    &["server"],
];
const FILE_LINES_MAX: usize = 600;
const FUNCTION_LINES_MAX: usize = 70;
/// Made by a script from Kafka's schemas.
const GENERATED: &[&str] = &["protocol/bounds_table.rs"];
const BANNED: &[&str] = &[
    "TODO",
    "FIXME",
    "XXX",
    "thread::sleep",
    "#[ignore",
    "unimplemented!",
];

#[test]
fn layers_point_down() {
    let rank = |module: &str| LAYERS.iter().position(|layer| layer.contains(&module));
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        let Some(own) = path.split(['/', '.']).next().filter(|m| rank(m).is_some()) else {
            continue;
        };
        for (number, line) in text.lines().enumerate() {
            let used = line.split("crate::").skip(1).filter_map(|rest| {
                rest.split(|c: char| !c.is_alphanumeric() && c != '_')
                    .next()
            });
            for module in used.filter(|module| *module != own) {
                if rank(module).is_some_and(|used| used >= rank(own).unwrap_or(usize::MAX)) {
                    wrong.push(format!("{path}:{}: {own} uses {module}", number + 1));
                }
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "imports that point up or sideways:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn files_and_functions_are_short_enough_to_read() {
    let mut long = Vec::new();
    for (path, text) in sources() {
        if GENERATED.contains(&path.as_str()) {
            continue;
        }
        let lines: Vec<&str> = text.lines().collect();
        if lines.len() > FILE_LINES_MAX {
            long.push(format!("{path}: {} lines", lines.len()));
        }
        for (start, length) in functions(&lines) {
            if length > FUNCTION_LINES_MAX {
                long.push(format!(
                    "{path}:{}: a function of {length} lines",
                    start + 1
                ));
            }
        }
    }
    assert!(long.is_empty(), "look for the seam:\n{}", long.join("\n"));
}

#[test]
fn nothing_unfinished_lands() {
    let mut found = Vec::new();
    for (path, text) in sources() {
        for (number, line) in text.lines().enumerate() {
            for word in BANNED.iter().filter(|word| line.contains(**word)) {
                found.push(format!("{path}:{}: {word}", number + 1));
            }
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn every_api_file_opens_with_the_versions_it_serves() {
    let without: Vec<String> = sources()
        .into_iter()
        .filter(|(path, text)| path.starts_with("api/") && text.contains("pub fn handle("))
        .filter(|(_, text)| {
            let first = text.lines().next().unwrap_or_default();
            !(first.starts_with("//!") && first.contains("), v"))
        })
        .map(|(path, _)| path)
        .collect();
    assert!(without.is_empty(), "{without:?}");
}

/// Path below `src/` and text of every source file but this one.
fn sources() -> BTreeMap<String, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = BTreeMap::new();
    collect(&root, &root, &mut found);
    found.remove("tidy.rs");
    found
}

fn collect(root: &Path, folder: &Path, found: &mut BTreeMap<String, String>) {
    let entries = fs::read_dir(folder).expect("src is readable");
    for path in entries.map(|entry| entry.expect("src is readable").path()) {
        if path.is_dir() {
            collect(root, &path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            let name = PathBuf::from(path.strip_prefix(root).expect("below src"));
            let text = fs::read_to_string(&path).expect("source is UTF-8");
            found.insert(name.to_string_lossy().into_owned(), text);
        }
    }
}

/// First line and length of each function. rustfmt closes a function at the indentation it
/// was opened with, which is all the parsing this needs.
fn functions(lines: &[&str]) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    for (start, line) in lines.iter().enumerate() {
        let body = line.trim_start();
        let is_function = [
            "fn ",
            "pub fn ",
            "async fn ",
            "pub async fn ",
            "pub(super) fn ",
            "pub(crate) fn ",
        ]
        .iter()
        .any(|opening| body.starts_with(opening));
        if !is_function {
            continue;
        }
        let closing = format!("{}}}", &line[..line.len() - body.len()]);
        if let Some(end) = lines[start..].iter().position(|line| *line == closing) {
            found.push((start, end + 1));
        }
    }
    found
}
