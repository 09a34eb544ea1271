//! Keys that only AlterConfigs knows: no properties file sets them and DescribeConfigs lists them
//! once they are set (kafka:QuotaConfig, DynamicConfig.Broker). See [`super`].

use crate::config::key::keys;

keys! { pub(super) const KEYS:
    NotYet Long "leader.replication.throttled.rate" = "9223372036854775807", AtLeast(0), ReadOnly:
        "The bytes per second that throttled replicas of leaders here may send.";
    NotYet Long "follower.replication.throttled.rate" = "9223372036854775807", AtLeast(0), ReadOnly:
        "The bytes per second that throttled followers here may fetch.";
    NotYet Long "replica.alter.log.dirs.io.max.bytes.per.second"
        = "9223372036854775807", AtLeast(0), ReadOnly:
        "The bytes per second that moves between log directories may copy.";
}
