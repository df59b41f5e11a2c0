//! Durations as clients write them (`30d`, `1mo`, `daily`) and what they mean: an exact time span for
//! the life of a key, a calendar window for a budget (contract §5.6).

use base::{Code, Error, Millis, Result};
use jiff::civil::{Date, DateTime, Weekday};
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp, ToSpan};

const DAY_SECONDS: i64 = 86_400;

/// A parsed duration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Period {
    Seconds(i64),
    Days(i32),
    Months(i32),
}

/// The window of a budget that a moment falls into: `starts_at ≤ moment < ends_at`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    pub starts_at: Millis,
    pub ends_at: Millis,
}

impl Period {
    /// Reads `<number><s|m|h|d|w|mo>`, or `hourly`, `daily`, `weekly`, `monthly`.
    ///
    /// # Errors
    /// [`Code::BadRequest`] for anything else, for zero, and for spans beyond a thousand years.
    pub fn parse(text: &str) -> Result<Period> {
        let text = text.trim();
        let spelled = match text {
            "hourly" => "1h",
            "daily" => "1d",
            "weekly" => "7d",
            "monthly" => "30d",
            other => other,
        };
        let refused = || {
            Error::new(
                Code::BadRequest,
                format!(
                    "'{text}' is not a duration: write a number and a unit (s, m, h, d, w, mo), \
                     for example 30d, or hourly, daily, weekly, monthly"
                ),
            )
        };
        let digits = spelled.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = spelled.split_at(digits);
        let number: i32 = number.parse().ok().filter(|n| *n > 0).ok_or_else(refused)?;
        let (period, most) = match unit {
            "s" => (Period::Seconds(number.into()), i32::MAX),
            "m" => (Period::Seconds(i64::from(number) * 60), i32::MAX),
            "h" => (Period::Seconds(i64::from(number) * 3600), 8_766_000),
            "d" => (Period::Days(number), 365_250),
            "w" => (Period::Days(number.saturating_mul(7)), 52_178),
            "mo" => (Period::Months(number), 12_000),
            _ => return Err(refused()),
        };
        if number > most {
            return Err(refused());
        }
        Ok(period)
    }

    /// Exactly this long after `from`: when a key expires. A month ends on the same day of the next
    /// one, or on its last day.
    pub fn after(self, from: Millis) -> Millis {
        let end = match self {
            Period::Seconds(seconds) => return Millis(from.0.saturating_add(seconds * 1000)),
            Period::Days(days) => {
                return Millis(from.0.saturating_add(i64::from(days) * DAY_SECONDS * 1000));
            }
            Period::Months(months) => civil(from, &TimeZone::UTC)
                .checked_add(months.months())
                .unwrap_or(DateTime::MAX),
        };
        instant(end, &TimeZone::UTC)
    }

    /// When a budget made at `now` is reset for the first time.
    pub fn first_reset(self, now: Millis, zone: &TimeZone) -> Millis {
        self.calendar_window(now, zone).ends_at
    }

    /// The window that `now` falls into, for a budget that was due to be reset at `anchor ≤ now`.
    pub fn window_at(self, anchor: Millis, now: Millis, zone: &TimeZone) -> Window {
        match self.step() {
            None => self.calendar_window(now, zone),
            Some(step) => stepped_window(step, anchor, now, zone),
        }
    }

    /// Periods that no calendar knows run in steps from where they were started.
    fn step(self) -> Option<Span> {
        match self {
            Period::Days(1 | 7 | 30) | Period::Months(1) => None,
            Period::Seconds(seconds) if seconds <= DAY_SECONDS => None,
            Period::Seconds(seconds) => Some(whole_days(seconds).days()),
            Period::Days(days) => Some(days.days()),
            Period::Months(months) => Some(months.months()),
        }
    }

    fn calendar_window(self, now: Millis, zone: &TimeZone) -> Window {
        let local = civil(now, zone);
        let today = local.date();
        let month = today.first_of_month();
        let (start, end) = match self {
            Period::Days(1) => (today, later(today, 1.day())),
            Period::Days(7) => {
                let monday = today
                    .nth_weekday(-1, Weekday::Monday)
                    .map_or(today, |before| match today.weekday() {
                        Weekday::Monday => today,
                        _ => before,
                    });
                (monday, later(monday, 7.days()))
            }
            Period::Days(30) | Period::Months(1) => (month, later(month, 1.month())),
            Period::Days(days) => (today, later(today, days.days())),
            Period::Months(months) => (month, later(month, months.months())),
            Period::Seconds(seconds) if seconds > DAY_SECONDS => {
                (today, later(today, whole_days(seconds).days()))
            }
            Period::Seconds(seconds) => return clock_window(seconds, now, zone),
        };
        Window {
            starts_at: instant(start.to_datetime(jiff::civil::Time::midnight()), zone),
            ends_at: instant(end.to_datetime(jiff::civil::Time::midnight()), zone),
        }
    }
}

/// Multiples of so many seconds within the minute, hour or day, whichever is just longer.
fn clock_window(seconds: i64, now: Millis, zone: &TimeZone) -> Window {
    let whole = [60, 3600, DAY_SECONDS]
        .into_iter()
        .find(|whole| seconds < *whole)
        .unwrap_or(DAY_SECONDS);
    let local = civil(now, zone);
    let midnight = local.date().to_datetime(jiff::civil::Time::midnight());
    let of_day =
        i64::from(local.hour()) * 3600 + i64::from(local.minute()) * 60 + i64::from(local.second());
    let whole_start = of_day / whole * whole;
    let start = whole_start + (of_day - whole_start) / seconds * seconds;
    let end = (start + seconds).min(whole_start + whole);
    let at = |second: i64| {
        instant(
            midnight
                .checked_add(second.seconds())
                .unwrap_or(DateTime::MAX),
            zone,
        )
    };
    // where clocks go back, an hour's name comes twice: never let a window end before now
    let (starts_at, ends_at) = (at(start), at(end));
    Window {
        starts_at: starts_at.min(now),
        ends_at: match ends_at > now {
            true => ends_at,
            false => Millis(now.0.saturating_add(seconds * 1000)),
        },
    }
}

/// The step from `anchor` that `now` falls into.
fn stepped_window(step: Span, anchor: Millis, now: Millis, zone: &TimeZone) -> Window {
    let first = civil(anchor, zone);
    let length =
        (instant(first.checked_add(step).unwrap_or(DateTime::MAX), zone).0 - anchor.0).max(1);
    let nth = |n: i64| {
        let span = step.checked_mul(n).ok();
        let end = span.and_then(|span| first.checked_add(span).ok());
        instant(end.unwrap_or(DateTime::MAX), zone)
    };
    // a guess by the first step's length, then to the step itself
    let mut n = (now.0.saturating_sub(anchor.0)) / length;
    while n > 0 && nth(n) > now {
        n -= 1;
    }
    while nth(n + 1) <= now {
        n += 1;
    }
    Window {
        starts_at: nth(n),
        ends_at: nth(n + 1),
    }
}

fn whole_days(seconds: i64) -> i64 {
    (seconds + DAY_SECONDS - 1) / DAY_SECONDS
}

fn later(date: Date, span: Span) -> Date {
    date.checked_add(span).unwrap_or(Date::MAX)
}

fn civil(at: Millis, zone: &TimeZone) -> DateTime {
    let timestamp = Timestamp::from_millisecond(at.0).unwrap_or(Timestamp::MAX);
    zone.to_datetime(timestamp)
}

fn instant(at: DateTime, zone: &TimeZone) -> Millis {
    let timestamp = zone.to_timestamp(at).unwrap_or(Timestamp::MAX);
    Millis(timestamp.as_millisecond())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Millis {
        Millis::parse(text).unwrap()
    }

    fn period(text: &str) -> Period {
        Period::parse(text).unwrap()
    }

    #[test]
    fn every_documented_spelling_is_read() {
        assert_eq!(period("90s"), Period::Seconds(90));
        assert_eq!(period("2h"), Period::Seconds(7200));
        assert_eq!(period("1w"), Period::Days(7));
        assert_eq!(period("daily"), Period::Days(1));
        assert_eq!(period("1mo"), Period::Months(1));
        for text in [
            "",
            "d",
            "0d",
            "-1d",
            "1y",
            "1.5d",
            "99999999999d",
            "400000d",
            "total",
        ] {
            assert!(Period::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn budgets_are_reset_as_the_contract_says() {
        let now = at("2026-11-21T10:47:13Z");
        let reset = |text: &str| period(text).first_reset(now, &TimeZone::UTC);
        assert_eq!(reset("30s"), at("2026-11-21T10:47:30Z"));
        assert_eq!(reset("15m"), at("2026-11-21T11:00:00Z"));
        assert_eq!(reset("2h"), at("2026-11-21T12:00:00Z"));
        assert_eq!(reset("24h"), at("2026-11-22T00:00:00Z"));
        assert_eq!(reset("1d"), at("2026-11-22T00:00:00Z"));
        assert_eq!(reset("7d"), at("2026-11-23T00:00:00Z"));
        assert_eq!(reset("30d"), at("2026-12-01T00:00:00Z"));
        assert_eq!(reset("1mo"), at("2026-12-01T00:00:00Z"));
        assert_eq!(reset("10d"), at("2026-12-01T00:00:00Z"));
    }

    #[test]
    fn a_monday_starts_its_own_week() {
        let monday = at("2026-11-23T00:00:00Z");
        let window = period("1w").window_at(monday, monday, &TimeZone::UTC);
        assert_eq!(window.starts_at, monday);
        assert_eq!(window.ends_at, at("2026-11-30T00:00:00Z"));
    }

    #[test]
    fn odd_periods_run_in_steps_from_their_anchor() {
        let window =
            period("10d").window_at(at("2026-12-01"), at("2027-01-05T12:00:00Z"), &TimeZone::UTC);
        assert_eq!(window.starts_at, at("2026-12-31"));
        assert_eq!(window.ends_at, at("2027-01-10"));
    }

    #[test]
    fn a_day_in_a_zone_lasts_from_midnight_to_midnight_there() {
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        // clocks went back on 25 October 2026: that day has 25 hours
        let window = period("1d").window_at(
            at("2026-10-25T12:00:00Z"),
            at("2026-10-25T12:00:00Z"),
            &zone,
        );
        assert_eq!(window.ends_at.since(window.starts_at).as_secs(), 25 * 3600);
    }

    #[test]
    fn keys_expire_after_the_exact_span() {
        let now = at("2026-01-31T10:00:00Z");
        assert_eq!(period("30d").after(now), at("2026-03-02T10:00:00Z"));
        assert_eq!(period("1mo").after(now), at("2026-02-28T10:00:00Z"));
    }
}
