//! The loggers of a broker, resource type 8: which there are, at which level each is, and what a
//! client may set. The names are those that the log lines end with. Kafka forgets changed levels
//! when it stops; ours stand in the metadata log like every config (R178).

use std::collections::BTreeMap;

/// The logger that all others inherit from, libraries included.
pub const ROOT: &str = "root";

/// The parts of the broker that have a level of their own: the modules of this crate that log,
/// which a test looks after.
pub const NAMES: [&str; 12] = [
    ROOT,
    "ottla",
    "ottla.api",
    "ottla.broker",
    "ottla.budget",
    "ottla.coordinator",
    "ottla.group",
    "ottla.log",
    "ottla.partition",
    "ottla.quorum",
    "ottla.server",
    "ottla.store",
];

/// Kafka's names, in the order of its sentence.
const LEVELS: [&str; 6] = ["DEBUG", "ERROR", "FATAL", "INFO", "TRACE", "WARN"];

pub fn exists(name: &str) -> bool {
    NAMES.contains(&name)
}

/// Kafka's sentence if `level` is none: exact, without blanks, in upper case.
pub fn check_level(logger: &str, level: &str) -> Result<(), String> {
    if LEVELS.contains(&level) {
        return Ok(());
    }
    Err(format!(
        "Cannot set the log level of {logger} to {level} as it is not a supported log level. \
         Valid log levels are {}",
        LEVELS.join(", ")
    ))
}

/// The level each logger is at, given what was set for it and the level of `[logging]`.
pub fn levels(set: &BTreeMap<String, String>, configured: &str) -> BTreeMap<&'static str, String> {
    NAMES
        .into_iter()
        .map(|name| (name, level(name, set, configured)))
        .collect()
}

fn level(name: &str, set: &BTreeMap<String, String>, configured: &str) -> String {
    if let Some(level) = set.get(name) {
        return level.clone();
    }
    match name.rsplit_once('.') {
        Some((parent, _)) => level(parent, set, configured),
        None if name == ROOT => below(configured).to_ascii_uppercase(),
        // The configured level is ours; a level set for the root is everybody's.
        None => set
            .get(ROOT)
            .cloned()
            .unwrap_or_else(|| configured.to_ascii_uppercase()),
    }
}

/// What the libraries below say in detail is of no use to an operator.
fn below(configured: &str) -> &str {
    match configured {
        "debug" | "trace" => "info",
        coarser => coarser,
    }
}

/// The same as directives of `tracing`: `info,ottla=debug,ottla::log=off`. Nothing of ours is
/// FATAL, so that level is silence.
pub fn directives(set: &BTreeMap<String, String>, configured: &str) -> String {
    let levels = levels(set, configured);
    let directives = levels.iter().map(|(name, level)| {
        let level = match level.as_str() {
            "FATAL" => "off".to_owned(),
            level => level.to_ascii_lowercase(),
        };
        match *name {
            ROOT => level,
            name => format!("{}={level}", name.replace('.', "::")),
        }
    });
    directives.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        pairs.iter().map(owned).collect()
    }

    #[test]
    fn a_logger_is_at_its_own_level_or_at_that_of_what_is_above_it() {
        let levels = levels(&set(&[("ottla", "WARN"), ("ottla.log", "TRACE")]), "info");
        assert_eq!(levels[ROOT], "INFO");
        assert_eq!(levels["ottla.api"], "WARN");
        assert_eq!(levels["ottla.log"], "TRACE");
    }

    #[test]
    fn the_configured_level_is_ours_and_one_set_for_the_root_is_everybodys() {
        let configured = levels(&BTreeMap::new(), "debug");
        assert_eq!(
            (&*configured[ROOT], &*configured["ottla.api"]),
            ("INFO", "DEBUG")
        );
        let root = set(&[(ROOT, "FATAL")]);
        assert_eq!(levels(&root, "debug")["ottla.api"], "FATAL");
        let directives = directives(&root, "debug");
        assert!(directives.contains("off,"), "{directives}");
        assert!(directives.contains("ottla::api=off"), "{directives}");
    }

    /// A module that logs and is not listed could not be turned up alone.
    #[test]
    fn every_module_that_logs_is_a_logger() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let mut missing = Vec::new();
        for entry in std::fs::read_dir(root).expect("src is readable") {
            let path = entry.expect("src is readable").path();
            let module = path
                .file_stem()
                .expect("a name")
                .to_string_lossy()
                .into_owned();
            let is_ours = !["main", "lib", "tidy", "logging", "healthcheck"].contains(&&*module);
            if is_ours && logs(&path) && !exists(&format!("ottla.{module}")) {
                missing.push(module);
            }
        }
        assert!(missing.is_empty(), "{missing:?}");
    }

    fn logs(path: &std::path::Path) -> bool {
        if path.is_dir() {
            let entries = std::fs::read_dir(path).expect("src is readable");
            return entries.flatten().any(|entry| logs(&entry.path()));
        }
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let levels = ["trace", "debug", "info", "warn", "error"];
        let logs_at = |level: &str| text.contains(&format!("{level}!("));
        levels.into_iter().any(logs_at) && text.contains("tracing")
    }
}
