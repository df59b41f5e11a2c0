//! A histogram of times: 128 steps to each doubling, so a figure is at most 0.8 % off.

use std::time::Duration;

use serde::Serialize;

const STEPS: u64 = 128;
/// Times of 2^42 ns (73 minutes) and more share the last place.
const DOUBLINGS: u64 = 36;

pub struct Histogram {
    counts: Vec<u64>,
    total: u64,
    max: u64,
}

/// A histogram's figures in microseconds.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Summary {
    pub count: u64,
    pub p50: f64,
    pub p99: f64,
    pub max: f64,
}

impl Histogram {
    pub fn new() -> Histogram {
        Histogram {
            counts: vec![0; (STEPS * DOUBLINGS) as usize],
            total: 0,
            max: 0,
        }
    }

    pub fn add(&mut self, time: Duration) {
        let ns = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.counts[place(ns)] += 1;
        self.total += 1;
        self.max = self.max.max(ns);
    }

    pub fn merge(&mut self, other: &Histogram) {
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count += more;
        }
        self.total += other.total;
        self.max = self.max.max(other.max);
    }

    /// `None` where nothing was added.
    pub fn summary(&self) -> Option<Summary> {
        (self.total > 0).then(|| Summary {
            count: self.total,
            p50: self.quantile(0.50),
            p99: self.quantile(0.99),
            max: self.max as f64 / 1000.0,
        })
    }

    fn quantile(&self, quantile: f64) -> f64 {
        let wanted = (self.total as f64 * quantile).ceil() as u64;
        let mut seen = 0;
        let holds = self.counts.iter().position(|count| {
            seen += count;
            seen >= wanted
        });
        let upper = holds.map_or(self.max, |place| lowest(place as u64 + 1));
        upper.min(self.max) as f64 / 1000.0
    }
}

/// Where a time is counted: exactly below `STEPS`, by its highest eight bits above.
fn place(ns: u64) -> usize {
    let place = match ns {
        0..STEPS => ns,
        _ => {
            let shift = u64::from(ns.ilog2()) - 7;
            STEPS * (shift + 1) + ((ns >> shift) - STEPS)
        }
    };
    place.min(STEPS * DOUBLINGS - 1) as usize
}

/// The lowest time counted at a place.
fn lowest(place: u64) -> u64 {
    match place / STEPS {
        0 => place,
        doubling => (STEPS + place % STEPS) << (doubling - 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_hold_what_they_say() {
        for ns in (0..100_000).chain([1 << 30, (1 << 40) + 12345]) {
            let place = place(ns) as u64;
            assert!(lowest(place) <= ns && ns < lowest(place + 1), "{ns}");
        }
        assert_eq!(place(u64::MAX), (STEPS * DOUBLINGS - 1) as usize);
    }

    #[test]
    fn quantiles_are_within_a_step() {
        let (mut even, mut odd) = (Histogram::new(), Histogram::new());
        for us in 1..=1000 {
            let histogram = if us % 2 == 0 { &mut even } else { &mut odd };
            histogram.add(Duration::from_micros(us));
        }
        even.merge(&odd);
        let summary = even.summary().unwrap();
        assert_eq!(summary.count, 1000);
        assert!((summary.p50 / 500.0 - 1.0).abs() < 0.01, "{summary:?}");
        assert!((summary.p99 / 990.0 - 1.0).abs() < 0.01, "{summary:?}");
        assert_eq!(summary.max, 1000.0);
        assert!(Histogram::new().summary().is_none());
    }
}
