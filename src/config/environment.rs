//! Names of environment variables as Kafka's images read them (KafkaDockerWrapper.scala):
//! `KAFKA_LOG_DIRS` is `log.dirs`; `__` stands for `_` and `___` for `-`.

/// What a variable sets.
#[derive(Debug, PartialEq, Eq)]
pub enum Meaning {
    /// A key of Kafka's flat map. `weak` names (`KAFKA_CFG_…`) yield to the plain ones.
    Kafka { key: String, weak: bool },
    /// One of our own settings, as `table.key`.
    Own(String),
}

/// What the variable `name` with this `value` sets; `None` for everything that is no setting.
pub fn meaning(name: &str, value: &str) -> Option<Meaning> {
    if let Some(own) = name.strip_prefix("OTTLA__") {
        return Some(Meaning::Own(own.to_ascii_lowercase().replace("__", ".")));
    }
    if name == "CLUSTER_ID" || name == "KAFKA_KRAFT_CLUSTER_ID" {
        return Some(Meaning::Kafka {
            key: "cluster.id".to_owned(),
            weak: name != "CLUSTER_ID",
        });
    }
    let rest = name.strip_prefix("KAFKA_")?;
    if EXCLUDED.contains(&rest) || is_service_link(rest, value) {
        return None;
    }
    let (rest, weak) = match rest.strip_prefix("CFG_") {
        Some(rest) => (rest, true),
        None => (rest, false),
    };
    (!rest.is_empty()).then(|| Meaning::Kafka {
        key: property_name(rest),
        weak,
    })
}

/// After `KAFKA_`: what the images and the Java tools use for themselves.
const EXCLUDED: [&str; 13] = [
    "VERSION",
    "HEAP_OPTS",
    "LOG4J_OPTS",
    "OPTS",
    "JMX_OPTS",
    "JVM_PERFORMANCE_OPTS",
    "GC_LOG_OPTS",
    "LOG4J_ROOT_LOGLEVEL",
    "LOG4J_LOGGERS",
    "TOOLS_LOG4J_LOGLEVEL",
    "JMX_HOSTNAME",
    "CREATE_TOPICS",
    "ENABLE_KRAFT",
];

/// `LOG_DIRS` → `log.dirs`; of a run of underscores each three are `-`, two left are `_`, one is `.`.
fn property_name(rest: &str) -> String {
    rest.to_ascii_lowercase()
        .replace('_', ".")
        .replace("...", "-")
        .replace("..", "_")
}

/// Kubernetes sets these for every Service whose name begins with `kafka`.
fn is_service_link(rest: &str, value: &str) -> bool {
    if value.starts_with("tcp://") {
        return true;
    }
    if rest == "JMX_PORT" {
        return false;
    }
    let words: Vec<&str> = rest.split('_').collect();
    // Where in the name `what` stands; before it may be the rest of the Service's name.
    let position = |what: [&str; 2]| words.windows(2).rposition(|pair| pair == what);
    let is_number = |word: &&str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_digit());
    let port_of_protocol = words
        .windows(3)
        .any(|three| three[0] == "PORT" && is_number(&three[1]) && three[2] == "TCP");
    words.last() == Some(&"PORT")
        || port_of_protocol
        || position(["SERVICE", "HOST"]) == Some(words.len().saturating_sub(2))
        || position(["SERVICE", "PORT"]).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key(name: &str) -> Option<String> {
        match meaning(name, "v")? {
            Meaning::Kafka { key, .. } => Some(key),
            Meaning::Own(key) => Some(format!("own {key}")),
        }
    }

    #[test]
    fn underscores_become_dots_underscores_and_dashes() {
        let cases = [
            ("KAFKA_LOG_DIRS", "log.dirs"),
            ("KAFKA_A__B___C", "a_b-c"),
            ("KAFKA_CFG_NUM_PARTITIONS", "num.partitions"),
            (
                "KAFKA_SASL_KERBEROS_SERVICE_NAME",
                "sasl.kerberos.service.name",
            ),
            ("KAFKA_JMX_PORT", "jmx.port"),
            ("CLUSTER_ID", "cluster.id"),
            ("KAFKA_KRAFT_CLUSTER_ID", "cluster.id"),
            (
                "OTTLA__SERVER__SHUTDOWN_TIMEOUT",
                "own server.shutdown_timeout",
            ),
        ];
        for (name, expected) in cases {
            assert_eq!(key(name).as_deref(), Some(expected), "{name}");
        }
    }

    #[test]
    fn tools_and_service_links_are_no_settings() {
        for name in [
            "PATH",
            "KAFKA_",
            "KAFKA_HEAP_OPTS",
            "KAFKA_OPTS",
            "KAFKA_CREATE_TOPICS",
            "KAFKA_PORT",
            "KAFKA_HEADLESS_PORT",
            "KAFKA_PORT_9092_TCP",
            "KAFKA_PORT_9092_TCP_ADDR",
            "KAFKA_X_PORT_9092_TCP_PROTO",
            "KAFKA_SERVICE_HOST",
            "KAFKA_X_SERVICE_PORT",
            "KAFKA_X_SERVICE_PORT_CLIENT",
        ] {
            assert_eq!(key(name), None, "{name}");
        }
        assert_eq!(meaning("KAFKA_ANYTHING", "tcp://10.0.0.1:9092"), None);
    }

    proptest! {
        #[test]
        fn no_name_panics(name in "(KAFKA_|OTTLA__|)[A-Z_0-9é]{0,40}", value in ".{0,20}") {
            let _ = meaning(&name, &value);
        }
    }
}
