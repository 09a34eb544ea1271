//! Where settings come from: the defaults, files, the environment and the command line, each read
//! into a layer.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::config::environment::{self, Meaning};
use crate::config::error::ConfigError;
use crate::config::layers::{Layer, LayerKind};
use crate::config::{broker_keys, own_keys, properties, toml_file};

/// What the command line says.
#[derive(Clone, Debug, Default)]
pub struct CommandLine {
    /// `--config FILE`
    pub config: Option<PathBuf>,
    /// `--properties FILE`
    pub properties: Option<PathBuf>,
    /// `--override key=value`, Kafka's keys, in order.
    pub overrides: Vec<String>,
    /// `--set table.key=value`, our own settings, in order.
    pub set: Vec<String>,
    /// `--dev`
    pub dev: bool,
}

/// What of the machine a configuration depends on.
#[derive(Clone, Debug)]
pub struct Surroundings {
    pub environment: BTreeMap<String, String>,
    /// Where a `config.toml` is looked for when `--config` is absent, first found first.
    pub config_files: Vec<PathBuf>,
    /// The name of this machine.
    pub hostname: String,
}

impl Surroundings {
    /// Those of this process.
    pub fn of_process() -> Surroundings {
        let environment: BTreeMap<String, String> = std::env::vars_os()
            .filter_map(|(name, value)| {
                Some((
                    name.into_string().ok()?,
                    value.to_string_lossy().into_owned(),
                ))
            })
            .collect();
        let uname = rustix::system::uname();
        Surroundings {
            environment,
            config_files: vec!["/etc/ottla/config.toml".into(), "config.toml".into()],
            hostname: uname.nodename().to_string_lossy().into_owned(),
        }
    }
}

/// Kafka's defaults and ours.
pub(super) fn defaults() -> Layer {
    let mut layer = Layer::new(LayerKind::Default);
    for key in broker_keys::all() {
        if let Some(value) = key.default {
            layer.set(key.name, value, None);
        }
    }
    for key in own_keys::KEYS {
        if let Some(value) = key.default {
            layer.set_own(key.name, value, None);
        }
    }
    layer
}

/// The explicit layers of a process, weakest first.
pub(super) fn of_process(
    command_line: &CommandLine,
    surroundings: &Surroundings,
) -> Result<Vec<Layer>, ConfigError> {
    let mut layers = Vec::new();
    let found = || surroundings.config_files.iter().find(|path| path.exists());
    if let Some(path) = command_line.config.as_ref().or_else(found) {
        let bytes = read(path)?;
        let text = String::from_utf8_lossy(&bytes);
        layers.push(toml_file::parse(&path.display().to_string(), &text)?);
    }
    if let Some(path) = &command_line.properties {
        layers.push(properties_layer(path)?);
    }
    layers.push(environment_layer(&surroundings.environment));
    layers.push(flags(command_line)?);
    Ok(layers)
}

fn read(path: &Path) -> Result<Vec<u8>, ConfigError> {
    std::fs::read(path).map_err(|error| {
        ConfigError::new(
            format!("cannot read {}: {error}", path.display()),
            "check the path and who may read it",
        )
    })
}

fn properties_layer(path: &Path) -> Result<Layer, ConfigError> {
    let name = path.display();
    let read = properties::parse(&read(path)?).map_err(|malformed| {
        ConfigError::new(malformed.problem, "mend the line")
            .at(format!("{name}:{}", malformed.line))
    })?;
    let mut layer = Layer::new(LayerKind::Properties);
    for property in read {
        let place = format!("{name}:{}", property.line);
        layer.set(&property.key, property.value, Some(place));
    }
    Ok(layer)
}

/// `KAFKA_CFG_*` below `KAFKA_*`: both may name the same key.
fn environment_layer(environment: &BTreeMap<String, String>) -> Layer {
    let mut layer = Layer::new(LayerKind::Environment);
    for weaker in [true, false] {
        for (name, value) in environment {
            match environment::meaning(name, value) {
                Some(Meaning::Kafka { key, weak }) if weak == weaker => {
                    layer.set(&key, value, Some(name.clone()));
                }
                Some(Meaning::Own(key)) => layer.set_own(&key, value, Some(name.clone())),
                _ => {}
            }
        }
    }
    layer
}

fn flags(command_line: &CommandLine) -> Result<Layer, ConfigError> {
    let mut layer = Layer::new(LayerKind::Flag);
    if command_line.dev {
        layer.set_own("server.dev", "true", Some("--dev".to_owned()));
    }
    let pair = |flag: &'static str, text: &str| {
        let pair = text
            .split_once('=')
            .filter(|(key, _)| !key.trim().is_empty());
        pair.map(|(key, value)| (key.trim().to_owned(), value.to_owned()))
            .ok_or_else(|| {
                ConfigError::new(format!("{flag} {text} has no value"), "write key=value")
            })
    };
    for text in &command_line.overrides {
        let (key, value) = pair("--override", text)?;
        layer.set(&key, value, Some("--override".to_owned()));
    }
    for text in &command_line.set {
        let (key, value) = pair("--set", text)?;
        layer.set_own(&key, value, Some("--set".to_owned()));
    }
    Ok(layer)
}
