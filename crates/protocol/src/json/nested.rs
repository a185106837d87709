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
    /// Of a value's end alone: how many of the lists are open still that were so before it.
    num_begun: usize,
    /// What each of these had in the end, outermost first.
    rests: Vec<usize>,
}

/// What stands behind lists that have ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Behind {
    /// A comma and another list.
    List,
    /// A comma and nothing more.
    Cut,
    /// Whatever follows the value.
    Nothing,
}

impl Nested {
    /// Makes a parser of values of at most this rank.
    pub(super) fn new(max_rank: usize) -> Self {
        Self {
            max_rank,
            dims: Vec::new(),
            open: Vec::new(),
            has_rank: false,
            num_begun: 0,
            rests: Vec::new(),
        }
    }

    /// Makes a parser of the end of one value of this rank, from an innermost list on.
    pub(super) fn of_end(rank: usize) -> Self {
        let num_begun = rank - 1;
        Self {
            max_rank: rank,
            dims: vec![UNKNOWN; rank],
            open: vec![0; num_begun],
            has_rank: true,
            num_begun,
            rests: vec![0; num_begun],
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
        match self.parse_lists(scanner, values)? {
            Behind::Cut => Err(incorrect_level(scanner, self.open.len(), self.dims.len())),
            Behind::List | Behind::Nothing => Ok(()),
        }
    }

    /// Adds the end of the value whose beginning this has parsed; returns whether both fit.
    pub(super) fn join(&mut self, end: &Self) -> bool {
        if self.open.len() != end.rests.len() || self.dims.len() != end.dims.len() {
            return false;
        }
        let whole = self.open.iter().zip(&end.rests);
        let whole = whole.map(|(begun, rest)| begun + rest).chain([UNKNOWN]);
        let dims = self.dims.iter_mut().zip(&end.dims).zip(whole);
        for ((dim, &end_dim), whole) in dims {
            for size in [end_dim, whole] {
                if *dim == UNKNOWN {
                    *dim = size;
                } else if size != UNKNOWN && size != *dim {
                    return false;
                }
            }
        }
        true
    }

    /// Parses lists, from a `[` on: a value, the beginning of one whose text is cut off behind a comma, or the end of one.
    pub(super) fn parse_lists(
        &mut self,
        scanner: &mut Scanner<'_>,
        values: &mut dyn Values,
    ) -> Result<Behind, JsonError> {
        loop {
            if self.enter(scanner)? && scanner.peek() == Some(b'[') {
                continue;
            }
            self.take_leaves(scanner, values)?;
            while self.pass_to_next(scanner) {
                self.take_leaves(scanner, values)?;
            }
            let behind = self.leave(scanner)?;
            if behind != Behind::List {
                return Ok(behind);
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

    /// Passes every `]` that stands here; returns what is behind them.
    fn leave(&mut self, scanner: &mut Scanner<'_>) -> Result<Behind, JsonError> {
        while let Some(size) = self.open.pop() {
            scanner.pos += 1;
            let level = self.open.len();
            let expected = &mut self.dims[level];
            if level < self.num_begun {
                self.rests[level] = size;
                self.num_begun = level;
            } else if *expected == UNKNOWN {
                *expected = size;
            } else if *expected != size {
                return Err(JsonError::InvalidArgument(format!(
                    "Encountered list at unexpected size: {size} at level: {level} expected size: {expected}"
                )));
            }
            if level == 0 {
                return Ok(Behind::Nothing);
            }
            if scanner.next_element()? {
                return match scanner.peek() {
                    Some(b'[') => Ok(Behind::List),
                    None => Ok(Behind::Cut),
                    Some(_) => Err(incorrect_level(scanner, level, self.dims.len())),
                };
            }
        }
        Ok(Behind::Nothing)
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
