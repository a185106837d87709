//! Walks over JSON text: white space, members, elements, and values that nobody wants.
//!
//! Accepts what TensorFlow Serving accepts: JSON plus bare `NaN`, `Inf` and `Infinity`. Nothing here recurses, and
//! strings are taken as bytes: whether they are UTF-8 is not asked.

use std::borrow::Cow;

use super::JsonError;
use super::halves::Helper;
use super::numbers;
use super::strings::{self, StringSpan};

/// A position in a body.
#[derive(Clone, Debug)]
pub(super) struct Scanner<'a> {
    pub(super) body: &'a [u8],
    pub(super) pos: usize,
    /// Who may read a part of it.
    pub(super) helper: Option<Helper<'a>>,
}

impl<'a> Scanner<'a> {
    /// Starts at the first value of a body, behind a byte order mark and white space.
    pub(super) fn new(body: &'a [u8]) -> Self {
        let pos = if body.starts_with(b"\xef\xbb\xbf") {
            3
        } else {
            0
        };
        let mut scanner = Self::at(body, pos);
        scanner.skip_space();
        scanner
    }

    /// Starts at a known position.
    pub(super) fn at(body: &'a [u8], pos: usize) -> Self {
        Self {
            body,
            pos,
            helper: None,
        }
    }

    /// Returns the byte here, or `None` at the end.
    #[inline]
    pub(super) fn peek(&self) -> Option<u8> {
        self.body.get(self.pos).copied()
    }

    /// Moves to the next byte that is not white space.
    #[inline]
    pub(super) fn skip_space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.pos += 1;
        }
    }

    /// Makes the error for this position.
    #[cold]
    pub(super) fn fail<T>(&self, reason: &str) -> Result<T, JsonError> {
        Err(JsonError::syntax(reason, self.pos))
    }

    /// From a `{` to the value of its first member; returns the key, or `None` behind an empty object.
    pub(super) fn first_member(&mut self) -> Result<Option<Cow<'a, [u8]>>, JsonError> {
        self.pos += 1;
        self.skip_space();
        if self.peek() == Some(b'}') {
            self.pos += 1;
            return Ok(None);
        }
        self.key().map(Some)
    }

    /// From behind a member to the value of the next one; returns the key, or `None` behind the object.
    pub(super) fn next_member(&mut self) -> Result<Option<Cow<'a, [u8]>>, JsonError> {
        self.skip_space();
        match self.peek() {
            Some(b',') => {
                self.pos += 1;
                self.skip_space();
                self.key().map(Some)
            }
            Some(b'}') => {
                self.pos += 1;
                Ok(None)
            }
            _ => self.fail("Missing a comma or '}' after an object member."),
        }
    }

    fn key(&mut self) -> Result<Cow<'a, [u8]>, JsonError> {
        if self.peek() != Some(b'"') {
            return self.fail("Missing a name for object member.");
        }
        let span = self.string()?;
        self.skip_space();
        if self.peek() != Some(b':') {
            return self.fail("Missing a colon after a name of object member.");
        }
        self.pos += 1;
        self.skip_space();
        Ok(strings::decoded(self.body, span))
    }

    /// From a `[` to its first element; returns false, at the `]`, for an empty list.
    pub(super) fn first_element(&mut self) -> bool {
        self.pos += 1;
        self.skip_space();
        self.peek() != Some(b']')
    }

    /// From behind an element to the next one; returns false, at the `]`, if there is none.
    #[inline]
    pub(super) fn next_element(&mut self) -> Result<bool, JsonError> {
        if !matches!(self.peek(), Some(b',' | b']')) {
            self.skip_space();
        }
        match self.peek() {
            Some(b',') => {
                self.pos += 1;
                self.skip_space();
                Ok(true)
            }
            Some(b']') => Ok(false),
            _ => self.fail("Missing a comma or ']' after an array element."),
        }
    }

    /// Passes a string, at its opening quotation mark.
    pub(super) fn string(&mut self) -> Result<StringSpan, JsonError> {
        strings::scan(self)
    }

    /// Passes `true`, `false` or `null`.
    pub(super) fn word(&mut self, word: &str) -> Result<(), JsonError> {
        for &expected in word.as_bytes() {
            if self.peek() != Some(expected) {
                return self.fail("Invalid value.");
            }
            self.pos += 1;
        }
        Ok(())
    }

    /// Passes one value of any kind, checking its syntax; the only memory is one bit per open bracket.
    pub(super) fn skip_value(&mut self) -> Result<(), JsonError> {
        let mut open = Brackets::default();
        loop {
            match self.peek() {
                Some(b'{') => {
                    if self.first_member()?.is_some() {
                        open.push(true);
                        continue;
                    }
                }
                Some(b'[') => {
                    if self.first_element() {
                        open.push(false);
                        continue;
                    }
                    self.pos += 1;
                }
                _ => self.skip_leaf()?,
            }
            if !self.close(&mut open)? {
                return Ok(());
            }
        }
    }

    /// Behind a value: leaves every bracket that ends here. Returns whether another value follows.
    fn close(&mut self, open: &mut Brackets) -> Result<bool, JsonError> {
        while let Some(is_object) = open.last() {
            if is_object {
                if self.next_member()?.is_some() {
                    return Ok(true);
                }
            } else {
                if self.next_element()? {
                    return Ok(true);
                }
                self.pos += 1;
            }
            open.pop();
        }
        Ok(false)
    }

    /// Passes a value that holds no others.
    fn skip_leaf(&mut self) -> Result<(), JsonError> {
        match self.peek() {
            Some(b'"') => self.string().map(drop),
            Some(b't') => self.word("true"),
            Some(b'f') => self.word("false"),
            Some(b'n') => self.word("null"),
            _ => numbers::skip(self),
        }
    }
}

/// The open brackets of a value, one bit each: 1 for an object, 0 for a list.
#[derive(Default)]
struct Brackets {
    inner: u64,
    outer: Vec<u64>,
    depth: usize,
}

impl Brackets {
    fn push(&mut self, is_object: bool) {
        if self.depth > 0 && self.depth.is_multiple_of(64) {
            self.outer.push(self.inner);
        }
        self.inner = self.inner << 1 | u64::from(is_object);
        self.depth += 1;
    }

    fn last(&self) -> Option<bool> {
        (self.depth > 0).then_some(self.inner & 1 == 1)
    }

    fn pop(&mut self) {
        self.depth -= 1;
        self.inner >>= 1;
        if self.depth > 0 && self.depth.is_multiple_of(64) {
            self.inner = self.outer.pop().unwrap_or_default();
        }
    }
}
