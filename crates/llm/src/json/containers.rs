//! Going through the members of an object and the elements of an array.

use std::ops::Range;

use super::{Cursor, Fault, Text};

/// The members of one object, in order: [`Members::key`] gives a name, then the value must be read
/// or skipped through `cursor` before the next name is asked for.
pub(crate) struct Members<'c, 'a> {
    pub cursor: &'c mut Cursor<'a>,
    next: Next,
}

/// The elements of one array: while [`Elements::more`] says so, a value must be read or skipped.
pub(crate) struct Elements<'c, 'a> {
    pub cursor: &'c mut Cursor<'a>,
    next: Next,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    First,
    Comma,
}

impl<'a> Cursor<'a> {
    /// Enters the object that stands here; `None`, and nothing is read, if there is none.
    pub fn members(&mut self) -> Option<Members<'_, 'a>> {
        self.whitespace();
        let found = self.eat(b'{');
        found.then_some(Members {
            cursor: self,
            next: Next::First,
        })
    }

    /// Enters the array that stands here; `None`, and nothing is read, if there is none.
    pub fn elements(&mut self) -> Option<Elements<'_, 'a>> {
        self.whitespace();
        let found = self.eat(b'[');
        found.then_some(Elements {
            cursor: self,
            next: Next::First,
        })
    }

    /// Steps to the next item of a container that `close` ends; false at its end.
    fn step(&mut self, next: Next, close: u8) -> Result<bool, Fault> {
        self.whitespace();
        match (next, self.peek()) {
            (_, Some(byte)) if byte == close => {
                self.at += 1;
                Ok(false)
            }
            (Next::First, Some(_)) => Ok(true),
            (Next::Comma, Some(b',')) => {
                self.at += 1;
                Ok(true)
            }
            (Next::Comma, Some(_)) => Err(self.fault("unexpected character, expected a comma")),
            (_, None) => Err(self.fault("unexpected end of data")),
        }
    }
}

impl Members<'_, '_> {
    /// The next member's name; `None`, and the cursor stands behind the object, at its end.
    pub fn key(&mut self) -> Result<Option<Text>, Fault> {
        if !self.cursor.step(self.next, b'}')? {
            return Ok(None);
        }
        self.next = Next::Comma;
        let key = self.cursor.key()?;
        self.cursor.whitespace();
        Ok(Some(key))
    }

    /// Skips the value of the member whose name was read, and gives its place.
    pub fn value(&mut self) -> Result<Range<usize>, Fault> {
        self.cursor.value()
    }
}

impl Elements<'_, '_> {
    /// Whether another element stands here; if not, the cursor stands behind the array.
    pub fn more(&mut self) -> Result<bool, Fault> {
        let more = self.cursor.step(self.next, b']')?;
        self.next = Next::Comma;
        self.cursor.whitespace();
        Ok(more)
    }
}
