//! Why the broker does not start with some keys. To ignore them would change what is stored or
//! who may do what without a word.

/// What is said about a key that is refused.
#[derive(Debug)]
pub struct Refusal {
    /// Values that are accepted all the same, beside the default and the empty one.
    pub except: &'static [&'static str],
    pub reason: &'static str,
    pub remedy: &'static str,
    /// Whether `[compat] ignore_plugins` turns the refusal into a warning. Never for anything
    /// that guards access: an ignored authorizer or login handler would be silent insecurity.
    pub ignorable: bool,
}

impl Refusal {
    /// Whether the value asks for nothing that is refused.
    pub fn allows(&self, value: &str) -> bool {
        value.is_empty() || self.except.contains(&value)
    }
}

/// Of metrics reporters, where they are set at run time.
pub const REPORTERS: &Refusal = &Refusal {
    except: &["org.apache.kafka.common.metrics.JmxReporter"],
    ..*PLUGIN
};

pub const PLUGIN: &Refusal = &Refusal {
    except: &[],
    reason: "it names a Java class, which this broker cannot run",
    remedy: "remove it, or set `ignore_plugins = true` under [compat]",
    ignorable: true,
};

pub const SELECTOR: &Refusal = &Refusal {
    except: &["org.apache.kafka.common.replica.RackAwareReplicaSelector"],
    reason: "it names a Java class, which this broker cannot run",
    remedy: "remove it, or use org.apache.kafka.common.replica.RackAwareReplicaSelector",
    ignorable: false,
};

pub const AUTHORIZER: &Refusal = &Refusal {
    except: &[],
    reason: "this version does not authorize, and ignoring it would open what it closes",
    remedy: "remove it",
    ignorable: false,
};

pub const LOGIN: &Refusal = &Refusal {
    except: &["org.apache.kafka.common.security.authenticator.DefaultKafkaPrincipalBuilder"],
    reason: "it names a Java class that decides who a client is, which this broker cannot run",
    remedy: "remove it",
    ignorable: false,
};

pub const JWT: &Refusal = &Refusal {
    except: &[
        "org.apache.kafka.common.security.oauthbearer.DefaultJwtRetriever",
        "org.apache.kafka.common.security.oauthbearer.DefaultJwtValidator",
    ],
    ..*LOGIN
};

pub const TIERED: &Refusal = &Refusal {
    except: &["false"],
    reason: "this version has no tiered storage",
    remedy: "set it to false",
    ignorable: false,
};

pub const CONFIG_PROVIDERS: &Refusal = &Refusal {
    except: &[],
    reason: "this version does not resolve config providers, so their placeholders would be taken literally",
    remedy: "remove it and write the values themselves",
    ignorable: false,
};
