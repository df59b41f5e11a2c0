//! Pages of lists (contract §1 "Pagination").

use base::Result;
use domain::Patch;
use serde_json::json;

use crate::fields::{self, Sent, Wrong};

/// Which part of a list is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    /// From 1.
    pub number: i64,
    pub size: i64,
}

/// How an endpoint calls the size of a page, how large pages are and may be.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    pub name: &'static str,
    pub usual: i64,
    pub most: i64,
}

impl Page {
    /// Reads `page` and the size from a query.
    ///
    /// # Errors
    /// 422 where one is out of range.
    pub fn read(number: &Sent<i64>, size: &Sent<i64>, sizes: Sizes) -> Result<Page> {
        Ok(Page {
            number: within("page", number, 1, i64::MAX)?,
            size: within(sizes.name, size, sizes.usual, sizes.most)?,
        })
    }

    /// How many entries come before this page.
    pub fn offset(self) -> i64 {
        (self.number - 1).saturating_mul(self.size)
    }

    /// How many pages so many entries fill.
    pub fn count(self, entries: i64) -> i64 {
        (entries + self.size - 1) / self.size
    }
}

fn within(name: &'static str, sent: &Sent<i64>, usual: i64, most: i64) -> Result<i64> {
    let number = match sent.0 {
        Patch::Value(number) => number,
        Patch::Absent | Patch::Null => return Ok(usual),
    };
    let (kind, rule) = match number {
        ..1 => (
            "greater_than_equal",
            "greater than or equal to 1".to_owned(),
        ),
        _ if number > most => ("less_than_equal", format!("less than or equal to {most}")),
        _ => return Ok(number),
    };
    let mut wrong = Wrong::new(kind, format!("Input should be {rule}"));
    wrong.place = vec![json!(name)];
    Err(fields::invalid("query", wrong))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZES: Sizes = Sizes {
        name: "size",
        usual: 10,
        most: 100,
    };

    #[test]
    fn pages_are_counted_from_one() {
        let sent = |number| Sent(Patch::Value(number));
        let page = Page::read(&sent(3), &Sent::default(), SIZES).unwrap();
        assert_eq!((page.offset(), page.count(21), page.count(0)), (20, 3, 0));
        for (number, size) in [(0, 10), (-1, 10), (1, 0), (1, 101)] {
            let error = Page::read(&sent(number), &sent(size), SIZES).unwrap_err();
            assert_eq!(error.status(), 422);
        }
        let last = Page::read(&sent(i64::MAX), &sent(100), SIZES).unwrap();
        assert_eq!(last.offset(), i64::MAX);
    }
}
