//! What an operator may write: server.properties, config.toml, the environment, the command line.

use std::collections::BTreeMap;
use std::fs;
use std::sync::LazyLock;

use bytes::Bytes;
use ottla::config::{CommandLine, Config, Surroundings, broker_keys};
use tempfile::TempDir;

use super::mutate::mutate;
use crate::random::Random;

static DIRECTORY: LazyLock<TempDir> =
    LazyLock::new(|| tempfile::tempdir().expect("a temporary directory"));

const VALUES: [&str; 16] = [
    "",
    "true",
    "-1",
    "0",
    "1",
    "9223372036854775808",
    "1e9",
    "PLAINTEXT://:9092,CONTROLLER://localhost:9093",
    "PLAINTEXT://[::1]:0",
    "//",
    "a,b,,c",
    "1@localhost:9093",
    "/tmp/a,/tmp/b",
    "broker,controller",
    "compact,delete",
    "100 %",
];

/// Where it is written, then lines of `key=value`.
pub fn make(random: &mut Random) -> Vec<u8> {
    let keys: Vec<&str> = broker_keys::all().map(|key| key.name).collect();
    let place = random.below(4) as u8;
    let mut text = String::new();
    for _ in 0..random.below(6) {
        let key = random.pick(&keys).copied().unwrap_or_default();
        let value = random.pick(&VALUES).copied().unwrap_or_default();
        let key = match place {
            2 => format!("KAFKA_{}", key.to_uppercase().replace('.', "_")),
            _ => key.to_owned(),
        };
        text += &match (place, random.one_in(4)) {
            (1, true) => format!("[kafka]\n{key:?} = {value:?}\n"),
            (1, false) => format!("[kafka]\n\"{key}\" = {}\n", random.i32()),
            (_, true) => format!("{key} : {value}\\\n"),
            (_, false) => format!("{key}={value}\n"),
        };
    }
    let mut bytes = text.into_bytes();
    mutate(&mut bytes, random);
    bytes.insert(0, place);
    bytes
}

pub fn check(bytes: &Bytes) -> bool {
    let Some((place, content)) = bytes.split_first() else {
        return false;
    };
    let file = DIRECTORY.path().join("file");
    let text = String::from_utf8_lossy(content);
    let lines = || text.lines().map(str::to_owned);
    let mut command_line = CommandLine::default();
    let mut surroundings = Surroundings {
        environment: BTreeMap::new(),
        config_files: Vec::new(),
        hostname: "host".to_owned(),
    };
    match place {
        0 => command_line.properties = Some(file.clone()),
        1 => command_line.config = Some(file.clone()),
        2 => {
            let pairs = text.lines().filter_map(|line| line.split_once('='));
            let pairs = pairs.map(|(key, value)| (key.to_owned(), value.to_owned()));
            surroundings.environment = pairs.collect();
        }
        _ => {
            command_line.overrides = lines().collect();
            command_line.set = lines().take(1).collect();
        }
    }
    if *place < 2 {
        fs::write(&file, content).expect("written");
    }
    match Config::load_in(&command_line, &surroundings) {
        Ok(_) => true,
        Err(error) => {
            assert!(
                !error.to_string().is_empty(),
                "a refusal without a sentence"
            );
            false
        }
    }
}
