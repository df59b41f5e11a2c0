//! Time as a value that is passed in: rules that read the wall clock cannot be tested.

use std::fmt;
use std::ops::{Add, Sub};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// Milliseconds since 1970-01-01 UTC.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Millis(pub i64);

impl Millis {
    /// The time since `earlier`; zero when `earlier` is later.
    pub fn since(self, earlier: Millis) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0).try_into().unwrap_or(0))
    }

    /// RFC 3339 with microseconds and a `Z`, as most of LiteLLM's answers spell times
    /// (contract §1, "Times").
    pub fn to_rfc3339(self) -> String {
        jiff::Timestamp::from_millisecond(self.0)
            .map(|at| format!("{at:.6}"))
            .unwrap_or_else(|_| self.0.to_string())
    }

    /// Reads RFC 3339 (with `Z` or an offset), or a plain date as its midnight in UTC.
    pub fn parse(text: &str) -> Option<Millis> {
        if let Ok(at) = text.parse::<jiff::Timestamp>() {
            return Some(Millis(at.as_millisecond()));
        }
        let civil = text.parse::<jiff::civil::DateTime>().ok()?;
        let zoned = civil.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
        Some(Millis(zoned.timestamp().as_millisecond()))
    }
}

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_rfc3339())
    }
}

impl Add<Duration> for Millis {
    type Output = Millis;
    fn add(self, duration: Duration) -> Millis {
        Millis(
            self.0
                .saturating_add(duration.as_millis().try_into().unwrap_or(i64::MAX)),
        )
    }
}

impl Sub<Duration> for Millis {
    type Output = Millis;
    fn sub(self, duration: Duration) -> Millis {
        Millis(
            self.0
                .saturating_sub(duration.as_millis().try_into().unwrap_or(i64::MAX)),
        )
    }
}

/// Where "now" comes from: the system, or a test that moves it by hand.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    fixed: Option<Arc<AtomicI64>>,
}

impl Clock {
    pub fn system() -> Clock {
        Clock::default()
    }

    /// A clock that stands still until [`Clock::advance`] moves it.
    pub fn fixed(at: Millis) -> Clock {
        Clock {
            fixed: Some(Arc::new(AtomicI64::new(at.0))),
        }
    }

    pub fn now(&self) -> Millis {
        match &self.fixed {
            Some(at) => Millis(at.load(Ordering::SeqCst)),
            None => system_now(),
        }
    }

    /// Sets a fixed clock; the system's clock is left alone.
    pub fn set(&self, at: Millis) {
        if let Some(fixed) = &self.fixed {
            fixed.store(at.0, Ordering::SeqCst);
        }
    }

    /// Moves a fixed clock forward; the system's clock is left alone.
    pub fn advance(&self, by: Duration) {
        if let Some(at) = &self.fixed {
            at.fetch_add(by.as_millis().try_into().unwrap_or(0), Ordering::SeqCst);
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one place that reads the system's clock"
)]
fn system_now() -> Millis {
    let elapsed = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Millis(elapsed.as_millis().try_into().unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_spelled_as_litellm_spells_them() {
        assert_eq!(
            Millis(1_795_258_033_814).to_rfc3339(),
            "2026-11-21T10:47:13.814000Z"
        );
    }

    #[test]
    fn times_are_read_in_every_spelling_that_clients_send() {
        let at = Some(Millis(1_795_258_033_814));
        assert_eq!(Millis::parse("2026-11-21T10:47:13.814000Z"), at);
        assert_eq!(Millis::parse("2026-11-21T10:47:13.814+00:00"), at);
        assert_eq!(Millis::parse("2026-11-21"), Some(Millis(1_795_219_200_000)));
        assert_eq!(
            Millis::parse("2026-11-21 10:00:00"),
            Some(Millis(1_795_255_200_000))
        );
        assert_eq!(Millis::parse("soon"), None);
    }

    #[test]
    fn a_fixed_clock_moves_only_by_hand() {
        let clock = Clock::fixed(Millis(5));
        clock.advance(Duration::from_secs(1));
        assert_eq!(clock.now(), Millis(1005));
    }
}
