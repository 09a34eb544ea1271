//! Every explicit value against its table entry: wrong values, unknown names and refused keys
//! stop the start; what is accepted without effect is reported.

use crate::config::error::ConfigError;
use crate::config::key::{Key, Minima, Treatment};
use crate::config::layers::{Setting, Settings};
use crate::config::refusal::Refusal;
use crate::config::{broker_keys, own_keys};

/// One line about the configuration, for the log at start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    pub level: Level,
    pub text: String,
}

/// How much a report matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    Info,
    Warn,
}

impl Report {
    pub(super) fn warn(text: impl Into<String>) -> Report {
        Report {
            level: Level::Warn,
            text: text.into(),
        }
    }

    fn info(text: impl Into<String>) -> Report {
        Report {
            level: Level::Info,
            text: text.into(),
        }
    }
}

/// Puts every known value into its canonical text, or says why it is refused.
pub(super) fn check(settings: &mut Settings) -> Result<Vec<Report>, ConfigError> {
    for (name, setting) in &mut settings.own {
        let Some(key) = own_keys::find(name) else {
            return Err(ConfigError::new(
                format!("{name} is no setting"),
                format!("did you mean {}?", own_keys::nearest(name)),
            )
            .at(setting.origin.to_string()));
        };
        canonical(key, setting, Minima::Strict)?;
    }
    let minima = minima(settings);
    let ignore_plugins = is_on(settings, "compat.ignore_plugins");
    let mut seen = Seen::default();
    for (name, setting) in &mut settings.kafka {
        if let Some(key) = broker_keys::find(name) {
            canonical(key, setting, minima)?;
        }
        if setting.origin.layer.is_explicit() {
            seen.note(name, setting, ignore_plugins)?;
        }
    }
    Ok(seen.reports())
}

/// The minima of the profile in force.
pub(super) fn minima(settings: &Settings) -> Minima {
    if is_on(settings, "server.dev") {
        Minima::Relaxed
    } else {
        Minima::Strict
    }
}

pub(super) fn is_on(settings: &Settings, own: &str) -> bool {
    let value = settings.own.get(own).map(|setting| &setting.value);
    value.is_some_and(|value| value.eq_ignore_ascii_case("true"))
}

fn canonical(key: &Key, setting: &mut Setting, minima: Minima) -> Result<(), ConfigError> {
    use crate::config::key::Type;
    // Kafka takes a trailing comma for an empty item; compose files and frameworks leave some.
    if key.kind == Type::List {
        let items = setting.value.split(',').map(str::trim);
        let items: Vec<&str> = items.filter(|item| !item.is_empty()).collect();
        setting.value = items.join(",");
    }
    // Kafka before 4.0 made up an id for this value.
    if matches!(key.name, "node.id" | "broker.id") && setting.value.trim() == "-1" {
        return Ok(());
    }
    setting.value = key.canonical(&setting.value, minima).map_err(|problem| {
        let remedy = match key.default {
            Some("") | None => "change or remove it".to_owned(),
            Some(default) => format!("change it, or remove it for the default {default}"),
        };
        ConfigError::new(problem, remedy).at(setting.origin.to_string())
    })?;
    Ok(())
}

/// Explicit keys that do not act, with where they were set.
#[derive(Default)]
struct Seen {
    not_yet: Vec<String>,
    no_effect: Vec<String>,
    ignored: Vec<String>,
    plugins: Vec<String>,
    unknown: Vec<String>,
}

impl Seen {
    fn note(
        &mut self,
        name: &str,
        setting: &Setting,
        ignore_plugins: bool,
    ) -> Result<(), ConfigError> {
        let placed = || format!("{name} ({})", setting.origin.place);
        match broker_keys::treatment(name) {
            Some(Treatment::Honoured) => {}
            Some(Treatment::NotYet) => self.not_yet.push(placed()),
            Some(Treatment::NoEffect) => self.no_effect.push(placed()),
            Some(Treatment::Ignored) => self.ignored.push(placed()),
            Some(Treatment::Refused(refusal)) => match refusal.allows(&setting.value) {
                true => {}
                false if refusal.ignorable && ignore_plugins => self.plugins.push(placed()),
                false => return Err(refused(name, setting, refusal)),
            },
            None => self.unknown.push(name.to_owned()),
        }
        Ok(())
    }

    fn reports(self) -> Vec<Report> {
        let mut reports = Vec::new();
        let mut say = |names: Vec<String>, report: &dyn Fn(String) -> Report| {
            if !names.is_empty() {
                reports.push(report(names.join(", ")));
            }
        };
        say(self.not_yet, &|names| {
            Report::warn(format!(
                "These settings have no effect in this version: {names}"
            ))
        });
        say(self.plugins, &|names| {
            Report::warn(format!(
                "These settings name Java classes and are ignored, as [compat] ignore_plugins asks: {names}"
            ))
        });
        say(self.ignored, &|names| {
            Report::warn(format!(
                "These settings of older releases are ignored: {names}"
            ))
        });
        say(self.no_effect, &|names| {
            Report::info(format!(
                "These settings have nothing to steer in this broker: {names}"
            ))
        });
        say(self.unknown, &|names| {
            Report::info(format!(
                "These configurations '[{names}]' were supplied but are not used yet."
            ))
        });
        reports
    }
}

fn refused(name: &str, setting: &Setting, refusal: &Refusal) -> ConfigError {
    // Only keys that name classes and switches are refused: their values are no secrets.
    ConfigError::new(refusal.reason, refusal.remedy)
        .of(format!("{name}={}", setting.value))
        .at(setting.origin.to_string())
}
