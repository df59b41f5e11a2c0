//! Slowing guesses down without ever locking the owner out.
//!
//! A try costs a place in each of its classes before the password is looked at; a right password
//! gives the places back. Places return with time. From where somebody has signed in before (a
//! device that shows its cookie, or an address) only that place's own class counts, so that nobody
//! else's guesses matter there. All other tries share what is left: little for each address, less
//! for an account at an address, and little for an account from all unknown addresses together, so
//! that many addresses are no better than one.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use base::{Code, Error, Millis, Result};

/// How many tries a class has at once, and how long one takes to return.
#[derive(Clone, Copy, Debug)]
struct Allowance {
    tries: u32,
    each: Duration,
}

const MINUTE: Duration = Duration::from_secs(60);
/// A device or address that the owner has signed in from.
const KNOWN: Allowance = Allowance {
    tries: 10,
    each: MINUTE,
};
/// An address that the owner has not signed in from, whatever the account.
const ADDRESS: Allowance = Allowance {
    tries: 30,
    each: MINUTE,
};
/// An account at such an address (contract §14.4: more than ten failures).
const ACCOUNT_AT_ADDRESS: Allowance = Allowance {
    tries: 10,
    each: Duration::from_secs(2 * 60),
};
/// An account from all such addresses together.
const ACCOUNT: Allowance = Allowance {
    tries: 20,
    each: Duration::from_secs(5 * 60),
};
/// Requests for a mail that resets a password, from one address and for one account.
const RESETS_OF_ADDRESS: Allowance = Allowance {
    tries: 10,
    each: Duration::from_secs(6 * 60),
};
const RESETS_OF_ACCOUNT: Allowance = Allowance {
    tries: 3,
    each: Duration::from_secs(20 * 60),
};
/// Classes at once. When so many unknown ones are slowed down, new ones are refused.
const MOST: usize = 200_000;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Class {
    /// A user at a place of theirs, by the hash of the place.
    Known(String, String),
    Address(IpAddr),
    AccountAtAddress(String, IpAddr),
    Account(String),
    ResetsOfAddress(IpAddr),
    ResetsOfAccount(String),
}

/// Where a try comes from.
#[derive(Clone, Debug)]
pub enum From {
    /// A place that this user has signed in from, by its hash.
    Known { user_id: String, place: String },
    /// Any other, with the name that was tried.
    Unknown { account: String, address: IpAddr },
}

/// A full table is searched for classes that are whole again this often and no oftener, or each
/// further guess would cost a walk through all of it.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

/// When each class that is not whole will be.
#[derive(Default)]
struct Table {
    whole_at: HashMap<Class, Millis>,
    swept_at: Millis,
}

/// The tables of all who have guessed wrong lately.
#[derive(Default)]
pub struct Guesses {
    /// Apart, so that those of strangers cannot take their room.
    known: Mutex<Table>,
    unknown: Mutex<Table>,
}

/// The places that a try has taken.
#[derive(Debug)]
#[must_use]
pub struct Taken(Vec<(Class, Allowance)>);

impl Guesses {
    /// Takes the places of a try, or none of them.
    ///
    /// # Errors
    /// [`Code::SignInThrottled`] with the time to wait.
    pub fn take(&self, from: &From, now: Millis) -> Result<Taken> {
        let (table, classes) = match from {
            From::Known { user_id, place } => {
                let class = Class::Known(user_id.clone(), place.clone());
                (&self.known, vec![(class, KNOWN)])
            }
            From::Unknown { account, address } => {
                let address = place(*address);
                let both = Class::AccountAtAddress(account.clone(), address);
                let classes = vec![
                    (both, ACCOUNT_AT_ADDRESS),
                    (Class::Address(address), ADDRESS),
                    (Class::Account(account.clone()), ACCOUNT),
                ];
                (&self.unknown, classes)
            }
        };
        take(table, classes, now)
    }

    /// Gives the places of a try back, whose password was right.
    pub fn give_back(&self, taken: Taken, now: Millis) {
        for (class, allowance) in taken.0 {
            let table = match class {
                Class::Known(..) => &self.known,
                _ => &self.unknown,
            };
            let mut table = table.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(whole_at) = table.whole_at.get_mut(&class) {
                *whole_at = *whole_at - allowance.each;
                if *whole_at <= now {
                    table.whole_at.remove(&class);
                }
            }
        }
    }

    /// Takes the place of a request for a mail that resets a password.
    ///
    /// # Errors
    /// [`Code::SignInThrottled`] when this address has asked too often.
    pub fn take_reset_of_address(&self, address: IpAddr, now: Millis) -> Result<()> {
        let class = Class::ResetsOfAddress(place(address));
        take(&self.unknown, vec![(class, RESETS_OF_ADDRESS)], now).map(drop)
    }

    /// Whether one more such mail may go to this account.
    pub fn take_reset_of_account(&self, user_id: &str, now: Millis) -> bool {
        let class = Class::ResetsOfAccount(user_id.to_owned());
        take(&self.known, vec![(class, RESETS_OF_ACCOUNT)], now).is_ok()
    }
}

/// What counts as one address: one of IPv4, or the /64 that a customer of IPv6 has.
pub fn place(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from(u128::from(address) >> 64 << 64)),
    }
}

impl Table {
    /// Whether so many more classes have no room, also after a look at which are whole again.
    fn is_full_for(&mut self, more: usize, now: Millis) -> bool {
        let is_full = |table: &Self| table.whole_at.len() + more > MOST;
        if is_full(self) && now.since(self.swept_at) >= SWEEP_EVERY {
            self.swept_at = now;
            self.whole_at.retain(|_, whole_at| *whole_at > now);
        }
        is_full(self)
    }
}

fn take(table: &Mutex<Table>, classes: Vec<(Class, Allowance)>, now: Millis) -> Result<Taken> {
    let mut table = table.lock().unwrap_or_else(PoisonError::into_inner);
    let is_full = table.is_full_for(classes.len(), now);
    let mut wait = Duration::ZERO;
    for (class, allowance) in &classes {
        let Some(&whole_at) = table.whole_at.get(class) else {
            if is_full {
                wait = wait.max(allowance.each);
            }
            continue;
        };
        // all tries but this one must have returned by the time the class is whole
        let latest = now + allowance.each * (allowance.tries - 1);
        wait = wait.max(whole_at.since(latest));
    }
    if !wait.is_zero() {
        let message = "Too many failed sign-in attempts. Try again later.";
        let error = Error::new(Code::SignInThrottled, message).param("username");
        return Err(error.retry_after(wait));
    }
    for (class, allowance) in &classes {
        let whole_at = table.whole_at.entry(class.clone()).or_insert(now);
        *whole_at = (*whole_at).max(now) + allowance.each;
    }
    Ok(Taken(classes))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Millis = Millis(1_000_000_000_000);

    fn unknown(account: &str, address: u32) -> From {
        From::Unknown {
            account: account.to_owned(),
            address: IpAddr::V4(address.into()),
        }
    }

    fn known() -> From {
        From::Known {
            user_id: "u1".to_owned(),
            place: "home".to_owned(),
        }
    }

    /// How many of so many tries are let through.
    fn let_through(guesses: &Guesses, tries: u32, from: impl Fn(u32) -> From) -> usize {
        let taken = (0..tries).filter(|&index| guesses.take(&from(index), NOW).is_ok());
        taken.count()
    }

    #[test]
    fn one_address_has_ten_tries_at_an_account() {
        let guesses = Guesses::default();
        assert_eq!(let_through(&guesses, 10_000, |_| unknown("ada", 1)), 10);
        assert!(guesses.take(&known(), NOW).is_ok());
        // a place has returned, but one only
        let later = NOW + ACCOUNT_AT_ADDRESS.each;
        assert!(guesses.take(&unknown("ada", 1), later).is_ok());
        let refused = guesses.take(&unknown("ada", 1), later).unwrap_err();
        assert_eq!(
            (refused.status(), refused.parameter()),
            (429, Some("username"))
        );
        assert_eq!(refused.retry_delay(), Some(ACCOUNT_AT_ADDRESS.each));
    }

    #[test]
    fn many_addresses_have_twenty_tries_at_an_account_together() {
        let guesses = Guesses::default();
        assert_eq!(
            let_through(&guesses, 10_000, |index| unknown("ada", index)),
            20
        );
        assert_eq!(let_through(&guesses, 100, |_| known()), 10);
        assert!(guesses.take(&unknown("bob", 5), NOW).is_ok());
    }

    #[test]
    fn one_address_has_thirty_tries_at_many_accounts() {
        let guesses = Guesses::default();
        let spray = |index: u32| unknown(&format!("user{index}"), 1);
        assert_eq!(let_through(&guesses, 10_000, spray), 30);
        assert!(guesses.take(&unknown("ada", 2), NOW).is_ok());
    }

    #[test]
    fn what_was_right_costs_nothing() {
        let guesses = Guesses::default();
        for _ in 0..1_000 {
            let taken = guesses.take(&unknown("ada", 1), NOW).unwrap();
            guesses.give_back(taken, NOW);
        }
        assert!(guesses.unknown.lock().unwrap().whole_at.is_empty());
    }

    #[test]
    fn a_full_table_refuses_strangers_and_nobody_else() {
        let guesses = Guesses::default();
        let spray = |index: u32| unknown(&format!("user{index}"), index);
        let through = let_through(&guesses, 100_000, spray);
        assert_eq!(through, MOST / 3);
        assert!(guesses.take(&unknown("ada", 4_000_000), NOW).is_err());
        assert!(guesses.take(&known(), NOW).is_ok());
        let later = NOW + ACCOUNT.each * 2;
        assert!(guesses.take(&unknown("ada", 4_000_000), later).is_ok());
    }

    #[test]
    fn resets_are_few() {
        let guesses = Guesses::default();
        let sent = (0..10).filter(|_| guesses.take_reset_of_account("u1", NOW));
        assert_eq!(sent.count(), 3);
        let address = IpAddr::V4(7.into());
        let asked = (0..100).filter(|_| guesses.take_reset_of_address(address, NOW).is_ok());
        assert_eq!(asked.count(), 10);
    }
}
