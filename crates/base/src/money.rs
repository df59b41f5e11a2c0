//! Money as integers. No amount is ever added, stored or compared as a float.
//!
//! A [`Money`] is nano-dollars (10⁻⁹ USD), a [`Price`] nano-dollars per million units. Their
//! product is therefore exact in femto-dollars (10⁻¹⁵), and is rounded once, where a request ends.

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign, Neg, Sub};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Nano-dollars in a dollar.
const NANOS: i64 = 1_000_000_000;

/// An amount of US dollars in nano-dollars; about ±9.2 billion dollars.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Money(pub i64);

impl Money {
    pub const ZERO: Money = Money(0);
    pub const MAX: Money = Money(i64::MAX);

    /// Reads a decimal number of dollars (`"12.5"`, `"7.5e-05"`), rounding half away from zero
    /// below a nano-dollar. `None` for anything else, and for amounts beyond the range.
    pub fn from_dollars(text: &str) -> Option<Money> {
        scaled_decimal(text, 9).map(Money)
    }

    /// A JSON number of dollars. Goes through the number's decimal text, so that `0.1` is exactly
    /// a tenth of a dollar.
    pub fn from_json(number: &serde_json::Number) -> Option<Money> {
        Money::from_dollars(&number.to_string())
    }

    /// The decimal number of dollars that compatible APIs print.
    pub fn to_json(self) -> serde_json::Number {
        serde_json::Number::from_f64(self.as_dollars())
            .expect("an i64 divided by a constant is finite")
    }

    /// Dollars as a float, for metrics and JSON only: never for a sum or a comparison.
    pub fn as_dollars(self) -> f64 {
        // up to here both numbers are exact floats, so that the quotient is the nearest to the amount
        const EXACT: u64 = 1 << f64::MANTISSA_DIGITS;
        match self.0.unsigned_abs() <= EXACT {
            true => self.0 as f64 / NANOS as f64,
            false => self
                .to_string()
                .parse()
                .expect("a decimal number that we wrote"),
        }
    }

    /// The room that the longest amount needs as text: a sign, ten digits, a point, nine digits.
    const LONGEST: usize = 21;

    /// Hands the text that [`Display`](fmt::Display) shows to `take`; every answer carries some, so
    /// they are written without the machinery of `format!`.
    pub fn with_text<T>(self, take: impl FnOnce(&str) -> T) -> T {
        let mut room = [0; Money::LONGEST];
        let nanos = NANOS.unsigned_abs();
        let magnitude = self.0.unsigned_abs();
        let (mut whole, mut fraction) = (magnitude / nanos, magnitude % nanos);
        let mut start = room.len();
        let mut end = room.len();
        let mut put = |byte: u8| {
            start -= 1;
            room[start] = byte;
        };
        for _ in 0..9 {
            put(b'0' + (fraction % 10) as u8);
            fraction /= 10;
        }
        put(b'.');
        loop {
            put(b'0' + (whole % 10) as u8);
            whole /= 10;
            if whole == 0 {
                break;
            }
        }
        if self.0 < 0 {
            put(b'-');
        }
        while room[end - 1] == b'0' && end > room.len() - 9 {
            end -= 1;
        }
        if room[end - 1] == b'.' {
            end -= 1;
        }
        take(std::str::from_utf8(&room[start..end]).expect("digits are ASCII"))
    }

    pub fn checked_add(self, other: Money) -> Option<Money> {
        self.0.checked_add(other.0).map(Money)
    }

    pub fn saturating_add(self, other: Money) -> Money {
        Money(self.0.saturating_add(other.0))
    }
}

/// Dollars with as many decimals as the amount needs: `0.000075`, `12.5`, `100`.
impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.with_text(|text| f.write_str(text))
    }
}

impl Add for Money {
    type Output = Money;
    fn add(self, other: Money) -> Money {
        Money(self.0 + other.0)
    }
}

impl AddAssign for Money {
    fn add_assign(&mut self, other: Money) {
        self.0 += other.0;
    }
}

impl Sub for Money {
    type Output = Money;
    fn sub(self, other: Money) -> Money {
        Money(self.0 - other.0)
    }
}

impl Neg for Money {
    type Output = Money;
    fn neg(self) -> Money {
        Money(-self.0)
    }
}

impl Sum for Money {
    fn sum<I: Iterator<Item = Money>>(amounts: I) -> Money {
        amounts.fold(Money::ZERO, Add::add)
    }
}

impl Serialize for Money {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.as_dollars())
    }
}

impl<'de> Deserialize<'de> for Money {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Money, D::Error> {
        let number = serde_json::Number::deserialize(deserializer)?;
        Money::from_json(&number)
            .ok_or_else(|| serde::de::Error::custom("an amount beyond the range of money"))
    }
}

/// What a unit costs: nano-dollars per **million** tokens, or per million of any counted unit
/// (an image, a second, a query), so that every published price is an integer.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Price(pub i64);

impl Price {
    /// Reads dollars per million units (`"0.0375"`). Exact up to nine decimals.
    pub fn per_million(text: &str) -> Option<Price> {
        scaled_decimal(text, 9).map(Price)
    }

    /// Reads dollars per single unit (`"0.0000025"`, `"2.5e-06"`), as LiteLLM states prices.
    pub fn per_unit(text: &str) -> Option<Price> {
        scaled_decimal(text, 15).map(Price)
    }

    /// Dollars per single unit, for JSON only.
    pub fn as_dollars_per_unit(self) -> f64 {
        format!("{}e-15", self.0)
            .parse()
            .expect("a decimal number that we wrote")
    }

    /// The exact cost of so many units, in femto-dollars.
    pub fn times(self, units: u64) -> Femto {
        Femto(i128::from(self.0) * i128::from(units))
    }
}

/// An exact intermediate sum in femto-dollars (10⁻¹⁵ USD). Becomes [`Money`] once per request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Femto(pub i128);

impl Femto {
    /// Rounds half up to a nano-dollar, saturating at the range of money.
    pub fn round(self) -> Money {
        let nanos = self.0.saturating_add(500_000).div_euclid(1_000_000);
        Money(i64::try_from(nanos).unwrap_or(if nanos < 0 { i64::MIN } else { i64::MAX }))
    }
}

impl Add for Femto {
    type Output = Femto;
    fn add(self, other: Femto) -> Femto {
        Femto(self.0 + other.0)
    }
}

impl Sum for Femto {
    fn sum<I: Iterator<Item = Femto>>(amounts: I) -> Femto {
        amounts.fold(Femto(0), Add::add)
    }
}

/// Reads a plain or scientific decimal number as an integer scaled by `10^places`, rounding half
/// away from zero.
fn scaled_decimal(text: &str, places: i32) -> Option<i64> {
    let (mantissa, exponent) = match text.find(['e', 'E']) {
        Some(at) => (&text[..at], text[at + 1..].parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (negative, digits) = match mantissa.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, mantissa.strip_prefix('+').unwrap_or(mantissa)),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if whole.len() + fraction.len() == 0 || !all_digits(whole) || !all_digits(fraction) {
        return None;
    }
    let mut value: i128 = 0;
    for digit in whole.bytes().chain(fraction.bytes()) {
        value = value
            .checked_mul(10)?
            .checked_add(i128::from(digit - b'0'))?;
    }
    let shift = places
        .checked_add(exponent)?
        .checked_sub(i32::try_from(fraction.len()).ok()?)?;
    let scaled = if value == 0 {
        0
    } else if shift >= 0 {
        value.checked_mul(10_i128.checked_pow(shift.unsigned_abs())?)?
    } else {
        match 10_i128.checked_pow(shift.unsigned_abs()) {
            Some(divisor) => (value + divisor / 2) / divisor,
            None => 0,
        }
    };
    i64::try_from(if negative { -scaled } else { scaled }).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dollars_are_read_by_their_decimal_text() {
        assert_eq!(Money::from_dollars("0.1"), Some(Money(100_000_000)));
        assert_eq!(Money::from_dollars("7.5e-05"), Some(Money(75_000)));
        assert_eq!(Money::from_dollars("1e2"), Some(Money(100 * 1_000_000_000)));
        assert_eq!(Money::from_dollars("-1.5"), Some(Money(-1_500_000_000)));
        assert_eq!(Money::from_dollars("0.0000000005"), Some(Money(1)));
        assert_eq!(Money::from_dollars("0.0000000004"), Some(Money(0)));
        assert_eq!(Money::from_dollars("1e-400"), Some(Money(0)));
    }

    #[test]
    fn what_is_not_an_amount_is_refused() {
        for text in [
            "",
            "-",
            ".",
            "NaN",
            "inf",
            "1,5",
            "0x10",
            "1e",
            "1e99",
            "9300000000",
        ] {
            assert_eq!(Money::from_dollars(text), None, "{text}");
        }
    }

    #[test]
    fn a_float_is_the_one_nearest_to_the_amount() {
        let largest_exact = 1_i64 << f64::MANTISSA_DIGITS;
        for nanos in [
            0,
            1,
            -1,
            75_000,
            4_757_853_000,
            largest_exact,
            largest_exact + 1,
            i64::MIN,
        ] {
            let amount = Money(nanos);
            let nearest: f64 = amount.to_string().parse().expect("a number");
            assert_eq!(amount.as_dollars(), nearest, "{amount}");
        }
    }

    #[test]
    fn amounts_print_without_trailing_zeros() {
        assert_eq!(Money(75_000).to_string(), "0.000075");
        assert_eq!(Money(100 * 1_000_000_000).to_string(), "100");
        assert_eq!(Money(-1).to_string(), "-0.000000001");
        assert_eq!(Money(i64::MIN).to_string(), "-9223372036.854775808");
    }

    #[test]
    fn json_amounts_survive_the_round_trip() {
        for text in ["0.1", "0.3", "1.5", "0.000075", "123456.789012345", "100.0"] {
            let money: Money = serde_json::from_str(text).expect("a number");
            assert_eq!(serde_json::to_string(&money).expect("json"), text);
        }
    }

    #[test]
    fn a_price_times_tokens_is_exact_until_rounded() {
        let price = Price::per_million("0.15").expect("price");
        assert_eq!(price, Price::per_unit("1.5e-07").expect("price"));
        assert_eq!(price.times(1).round(), Money(150));
        assert_eq!(
            Price::per_million("0.0375")
                .expect("price")
                .times(1)
                .round(),
            Money(38)
        );
        let exact: Femto = (0..3).map(|_| Price(500_000).times(1)).sum();
        assert_eq!(exact.round(), Money(2));
    }
}
