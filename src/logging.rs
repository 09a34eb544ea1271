//! The log on stdout, in Kafka's shape: `[2026-11-21 11:32:05,123] INFO message (target)`.

use std::collections::BTreeMap;
use std::fmt;

use tracing::{Event, Subscriber};
use tracing_subscriber::filter::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, FormattedFields};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::reload;
use tracing_subscriber::util::SubscriberInitExt;

use ottla::SetLogLevels;
use ottla::clock::Clock;
use ottla::config::loggers;

/// Starts logging at `level` and above for the whole process. What comes back changes the levels
/// while it runs.
pub fn start(level: &str) -> anyhow::Result<SetLogLevels> {
    let directives = loggers::directives(&BTreeMap::new(), level);
    let (filter, handle) = reload::Layer::new(EnvFilter::try_new(directives)?);
    let lines = tracing_subscriber::fmt::layer()
        .with_ansi(false)
        .event_format(KafkaShape {
            clock: Clock::system(),
        });
    tracing_subscriber::registry()
        .with(filter)
        .with(lines)
        .try_init()?;
    Ok(Box::new(move |directives| {
        let changed = EnvFilter::try_new(directives).map(|filter| handle.reload(filter));
        if !matches!(changed, Ok(Ok(()))) {
            tracing::error!(directives, "the log levels stay as they were");
        }
    }))
}

struct KafkaShape {
    clock: Clock,
}

impl<S, N> FormatEvent<S, N> for KafkaShape
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let metadata = event.metadata();
        let now = timestamp(self.clock.wall_ms());
        write!(writer, "[{now}] {} ", metadata.level())?;
        for span in context
            .event_scope()
            .into_iter()
            .flat_map(|scope| scope.from_root())
        {
            write!(writer, "{}", span.name())?;
            let extensions = span.extensions();
            let fields = extensions.get::<FormattedFields<N>>();
            if let Some(fields) = fields.filter(|fields| !fields.is_empty()) {
                write!(writer, "{{{fields}}}")?;
            }
            write!(writer, ": ")?;
        }
        context
            .field_format()
            .format_fields(writer.by_ref(), event)?;
        writeln!(writer, " ({})", metadata.target().replace("::", "."))
    }
}

/// `2026-11-21 11:32:05,123` of milliseconds since 1970, in UTC.
fn timestamp(wall_ms: i64) -> String {
    let (days, ms) = (
        wall_ms.div_euclid(86_400_000),
        wall_ms.rem_euclid(86_400_000),
    );
    let (year, month, day) = date(days);
    format!(
        "{year:04}-{month:02}-{day:02} {:02}:{:02}:{:02},{:03}",
        ms / 3_600_000,
        ms / 60_000 % 60,
        ms / 1_000 % 60,
        ms % 1_000
    )
}

/// The Gregorian date of a day counted from 1970-01-01. Years are counted from March, so that
/// the leap day ends them; 719,468 days lie between 0000-03-01 and 1970-01-01.
fn date(days_since_1970: i64) -> (i64, i64, i64) {
    let days = days_since_1970 + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let leap_days = day_of_era / 1_460 - day_of_era / 36_524 + day_of_era / 146_096;
    let year_of_era = (day_of_era - leap_days) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let months_since_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * months_since_march + 2) / 5 + 1;
    let month = (months_since_march + 2) % 12 + 1;
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_dated_across_leap_years_and_centuries() {
        assert_eq!(timestamp(0), "1970-01-01 00:00:00,000");
        assert_eq!(timestamp(951_782_400_000), "2000-02-29 00:00:00,000");
        assert_eq!(timestamp(1_709_251_199_999), "2024-02-29 23:59:59,999");
        assert_eq!(timestamp(1_795_260_725_123), "2026-11-21 11:32:05,123");
        assert_eq!(timestamp(4_107_542_400_000), "2100-03-01 00:00:00,000");
        assert_eq!(timestamp(-1), "1969-12-31 23:59:59,999");
    }
}
