//! One tensor out of lists in lists: its shape is found on the way and every list is held to it.

use super::JsonError;
use super::excerpt::excerpt;
use super::scanner::Scanner;
use super::values::{RunEnd, Values};

/// An extent that no list has ended to tell yet.
const UNKNOWN: usize = usize::MAX;

/// Parses values; kept from one to the next for its memory.
#[derive(Debug)]
pub(super) struct Nested {
    max_rank: usize,
    /// Extents, outermost first: those of the first list at each level.
    dims: Vec<usize>,
    /// Elements so far of each list that is open.
    open: Vec<usize>,
    has_rank: bool,
}

impl Nested {
    /// Makes a parser of values of at most this rank.
    pub(super) fn new(max_rank: usize) -> Self {
        Self {
            max_rank,
            dims: Vec::new(),
            open: Vec::new(),
            has_rank: false,
        }
    }

    /// Returns the extents of the value that was parsed last.
    pub(super) fn dims(&self) -> &[usize] {
        &self.dims
    }

    /// Parses one value, a single element or lists of them.
    pub(super) fn parse(
        &mut self,
        scanner: &mut Scanner<'_>,
        values: &mut dyn Values,
    ) -> Result<(), JsonError> {
        self.dims.clear();
        self.open.clear();
        self.has_rank = false;
        if scanner.peek() != Some(b'[') {
            return values.take_one(scanner);
        }
        loop {
            if self.enter(scanner)? && scanner.peek() == Some(b'[') {
                continue;
            }
            self.take_leaves(scanner, values)?;
            while self.pass_to_next(scanner) {
                self.take_leaves(scanner, values)?;
            }
            if !self.leave(scanner)? {
                return Ok(());
            }
        }
    }

    /// Passes a `[`; returns whether the list has an element.
    fn enter(&mut self, scanner: &mut Scanner<'_>) -> Result<bool, JsonError> {
        let level = self.open.len();
        if self.has_rank && level == self.dims.len() {
            return Err(unexpected_level(level, self.dims.len()));
        }
        if level == self.max_rank {
            return Err(JsonError::InvalidArgument(format!(
                "Lists nested deeper than {level} levels cannot be a tensor"
            )));
        }
        if let Some(num_elements) = self.open.last_mut() {
            *num_elements += 1;
        }
        self.open.push(0);
        if !self.has_rank {
            self.dims.push(UNKNOWN);
        }
        Ok(scanner.first_element())
    }

    /// Takes the elements of an innermost list, up to its `]`.
    fn take_leaves(
        &mut self,
        scanner: &mut Scanner<'_>,
        values: &mut dyn Values,
    ) -> Result<(), JsonError> {
        let (level, rank) = (self.open.len(), self.dims.len());
        self.has_rank = true;
        if scanner.peek() == Some(b']') {
            return Ok(());
        }
        if level != rank {
            return Err(incorrect_level(scanner, level, rank));
        }
        let before = values.len();
        while values.take_run(scanner)? == RunEnd::Bracket {
            if scanner.peek() == Some(b'[') {
                return Err(unexpected_level(level, rank));
            }
            values.take_one(scanner)?;
            if !scanner.next_element()? {
                break;
            }
        }
        self.open[level - 1] = values.len() - before;
        Ok(())
    }

    /// Passes what stands between two innermost lists of the same list, if it is written as everybody writes it and the one
    /// that ends is as long as the others: the pixels of a picture are fifty thousand lists of three numbers.
    #[inline]
    fn pass_to_next(&mut self, scanner: &mut Scanner<'_>) -> bool {
        let is_innermost = self.open.len() == self.dims.len();
        let [.., num_lists, size] = self.open.as_mut_slice() else {
            return false;
        };
        if !is_innermost || self.dims.last() != Some(size) {
            return false;
        }
        let num_bytes = match scanner.body.get(scanner.pos..) {
            Some([b']', b',', b'[', next, ..]) if !next.is_ascii_whitespace() => 3,
            Some([b']', b',', b' ', b'[', next, ..]) if !next.is_ascii_whitespace() => 4,
            _ => return false,
        };
        scanner.pos += num_bytes;
        *num_lists += 1;
        *size = 0;
        true
    }

    /// Passes every `]` that stands here; returns whether another list follows, or the value has ended.
    fn leave(&mut self, scanner: &mut Scanner<'_>) -> Result<bool, JsonError> {
        while let Some(size) = self.open.pop() {
            scanner.pos += 1;
            let level = self.open.len();
            let expected = &mut self.dims[level];
            if *expected == UNKNOWN {
                *expected = size;
            } else if *expected != size {
                return Err(JsonError::InvalidArgument(format!(
                    "Encountered list at unexpected size: {size} at level: {level} expected size: {expected}"
                )));
            }
            if level == 0 {
                return Ok(false);
            }
            if scanner.next_element()? {
                if scanner.peek() != Some(b'[') {
                    return Err(incorrect_level(scanner, level, self.dims.len()));
                }
                return Ok(true);
            }
        }
        Ok(false)
    }
}

#[cold]
fn unexpected_level(level: usize, rank: usize) -> JsonError {
    JsonError::InvalidArgument(format!(
        "Encountered list at unexpected level: {level} expected < {rank}"
    ))
}

/// A single element beside lists. Levels are counted as TensorFlow Serving counts them: the first from one.
#[cold]
fn incorrect_level(scanner: &mut Scanner<'_>, level: usize, rank: usize) -> JsonError {
    let start = scanner.pos;
    if let Err(syntax) = scanner.skip_value() {
        return syntax;
    }
    let value = excerpt(scanner.body, start);
    JsonError::InvalidArgument(format!(
        "JSON Value: {value} found at incorrect level: {} in the JSON DOM. Expected at level: {rank}",
        level + 1
    ))
}
