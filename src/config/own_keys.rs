//! Our own settings, which Kafka has no name for: typed tables in `config.toml`,
//! `OTTLA__TABLE__KEY` in the environment, `--set table.key=value` on the command line, and
//! `ottla.table.key` wherever Kafka's names are taken.

use crate::config::key::{Key, keys};

keys! { pub const KEYS:
    Honoured String "server.shutdown_timeout" = "9s", Duration, ReadOnly:
        "How long a clean stop may take. When it runs out, the next start recovers.";
    Honoured String "server.advertised_host" = null, NonEmpty, ReadOnly:
        "The host clients are told where a listener is bound to every address and `advertised.listeners` says nothing. Unset, the name of this machine.";
    Honoured Boolean "server.dev" = "false", Any, ReadOnly:
        "The development profile, also `--dev`: small segments are allowed, groups form without delay.";
    Honoured Long "memory.limit" = null, AtLeast(16777216), ReadOnly:
        "How much memory the broker plans with, in bytes: an eighth of it may hold answers on their way to slow readers, another eighth the state of groups, a quarter requests (`queued.max.request.bytes` for another size), up to their caps of 256, 256 and 512 MiB. Unset, the limit of the control group, else the memory of the machine.";
    Honoured String "logging.level" = "info", OneOf(&["error", "warn", "info", "debug", "trace"]), ReadOnly:
        "How much is logged.";
    Honoured Boolean "storage.durable" = "false", Any, ReadOnly:
        "Whether every append is synced to disk before it is acknowledged, as with `flush.messages=1` on every topic.";
    Honoured String "storage.corruption" = "quarantine", OneOf(&["quarantine", "truncate"]), ReadOnly:
        "What becomes of a partition whose synced records are damaged: `quarantine` keeps the files and takes it offline, `truncate` cuts at the damage, as Kafka does.";
    Honoured String "produce.validation" = "normal", OneOf(&["normal", "strict"]), ReadOnly:
        "Whether compressed batches are inflated and checked record by record, as Kafka does (`strict`), or only where a rule needs it (`normal`).";
    Honoured Boolean "compat.ignore_plugins" = "false", Any, ReadOnly:
        "Whether keys that name Java policies or quota callbacks are ignored instead of refused.";
}

/// The entry of `table.key`.
pub fn find(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}

/// The known name that differs from `name` in the fewest letters.
pub fn nearest(name: &str) -> &'static str {
    KEYS.iter()
        .map(|key| key.name)
        .min_by_key(|known| edits(known, name))
        .unwrap_or_default()
}

/// How many letters must be added, removed or replaced to turn one text into the other.
fn edits(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, letter) in from.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, &other) in to.iter().enumerate() {
            let replaced = diagonal + usize::from(letter != other);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[to.len()]
}
