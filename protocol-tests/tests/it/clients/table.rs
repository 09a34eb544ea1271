//! The matrix as text.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::programs::CLIENTS;
use super::{Cell, Column, SCENARIOS};

/// The table with its footnotes, and whether all is well.
pub fn render(columns: &BTreeMap<&'static str, Column>) -> (String, bool) {
    let mut passed = true;
    let mut notes: Vec<String> = Vec::new();
    let mut table = format!("{:24}", "scenario");
    for client in CLIENTS {
        let _ = write!(table, "{:20}", client.name); // writing to a String cannot fail
    }
    for scenario in SCENARIOS {
        let _ = write!(table, "\n{scenario:24}");
        for client in CLIENTS {
            let cell = columns
                .get(client.name)
                .and_then(|column| column.get(*scenario));
            let (word, note) = match cell {
                Some(Cell::Ok { restriction }) => ("ok", restriction.as_str()),
                Some(Cell::NotApplicable { reason }) => ("n/a", reason.as_str()),
                Some(Cell::Fail { reason }) => ("FAIL", reason.as_str()),
                None => ("FAIL", "was not run"),
            };
            passed &= word != "FAIL";
            let mark = footnote(&mut notes, client.name, note);
            let _ = write!(table, "{:20}", format!("{word}{mark}"));
        }
    }
    for (number, note) in (1..).zip(&notes) {
        let _ = write!(table, "\n[{number}] {note}");
    }
    (table, passed)
}

/// ` [n]` for a note, the same n for the same words.
fn footnote(notes: &mut Vec<String>, client: &str, note: &str) -> String {
    if note.is_empty() {
        return String::new();
    }
    let note = format!("{client}: {note}");
    let index = notes
        .iter()
        .position(|known| *known == note)
        .unwrap_or_else(|| {
            notes.push(note);
            notes.len() - 1
        });
    format!(" [{}]", index + 1)
}
