//! Where an effective value comes from, with Kafka's codes.

/// The source of a value in DescribeConfigs and CreateTopics v5+ (kafka:DescribeConfigsResponse).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ConfigSource {
    Topic = 1,
    DynamicBroker = 2,
    DynamicDefaultBroker = 3,
    StaticBroker = 4,
    Default = 5,
    BrokerLogger = 6,
    ClientMetrics = 7,
    Group = 8,
}

impl ConfigSource {
    /// Kafka's code.
    pub fn code(self) -> i8 {
        self as i8
    }
}
