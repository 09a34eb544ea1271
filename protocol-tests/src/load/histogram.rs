//! Latencies in log-linear buckets, 64 per power of two: under 1.6 % error at any size, constant
//! memory, no allocation while recording.

use serde_json::{Value, json};

const SUB_BITS: u32 = 6;
const SUB: u64 = 1 << SUB_BITS;
const BUCKETS: usize = ((64 - SUB_BITS as usize) + 1) << SUB_BITS;

/// Counts of values in ns.
pub struct Histogram {
    counts: Vec<u64>,
    total: u64,
    max: u64,
}

impl Default for Histogram {
    fn default() -> Histogram {
        Histogram {
            counts: vec![0; BUCKETS],
            total: 0,
            max: 0,
        }
    }
}

impl Histogram {
    pub fn record(&mut self, ns: u64) {
        self.counts[bucket(ns)] += 1;
        self.total += 1;
        self.max = self.max.max(ns);
    }

    /// The value that `per_million` of a million values do not exceed; 0 without values.
    pub fn quantile(&self, per_million: u64) -> u64 {
        let rank = (self.total * per_million).div_ceil(1_000_000).max(1);
        let mut seen = 0;
        for (index, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return upper_bound(index).min(self.max);
            }
        }
        0
    }

    pub fn to_json(&self) -> Value {
        json!({
            "count": self.total,
            "p50_ns": self.quantile(500_000),
            "p90_ns": self.quantile(900_000),
            "p99_ns": self.quantile(990_000),
            "p99_9_ns": self.quantile(999_000),
            "max_ns": self.max,
        })
    }
}

fn bucket(ns: u64) -> usize {
    if ns < SUB {
        return ns as usize;
    }
    let shift = 63 - ns.leading_zeros() - SUB_BITS;
    ((u64::from(shift + 1) << SUB_BITS) + ((ns >> shift) & (SUB - 1))) as usize
}

/// The largest value that falls into a bucket.
fn upper_bound(index: usize) -> u64 {
    let index = index as u64;
    if index < SUB {
        return index;
    }
    let shift = (index >> SUB_BITS) - 1;
    let low = (SUB + (index & (SUB - 1))) << shift;
    low + ((1 << shift) - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_falls_into_a_bucket_that_is_less_than_two_per_cent_wide() {
        for power in 0..63 {
            for value in [1_u64 << power, (1 << power) + 1, (1 << power) * 3 / 2] {
                let bound = upper_bound(bucket(value));
                assert!(
                    bound >= value && bound - value <= value / 64,
                    "{value} {bound}"
                );
            }
        }
    }

    #[test]
    fn quantiles_are_those_of_the_values() {
        let mut histogram = Histogram::default();
        (1..=1000).for_each(|value| histogram.record(value));
        assert_eq!(histogram.quantile(500_000), 503);
        assert_eq!(histogram.quantile(1_000_000), 1000);
    }
}
