//! Rows: serialized examples that stay where they are until there is room for a tensor of them.

use bytes::Bytes;
use salver_tensor::Tensor;
use salver_wire::{Reader, WireError, WireType};

use crate::rope::Rope;

/// Field numbers of `tensorflow.serving.Input`, `ExampleList` and `ExampleListWithContext`.
mod field {
    pub(super) const EXAMPLE_LIST: u32 = 1;
    pub(super) const EXAMPLE_LIST_WITH_CONTEXT: u32 = 2;
    pub(super) const EXAMPLES: u32 = 1;
    pub(super) const CONTEXT: u32 = 2;
}

/// The rows of a request, before they are a tensor.
#[derive(Clone, Debug, Default)]
pub struct Examples {
    source: Source,
    totals: Totals,
}

#[derive(Clone, Debug)]
enum Source {
    /// In the message that they came in.
    Message {
        message: Rope,
        /// The field that holds the `Input`.
        input_field: u32,
        /// How many times the message begins with rows anew; only the last ones count.
        num_starts: usize,
    },
    /// One behind the other.
    Encoded {
        rows: Bytes,
        ends: Vec<usize>,
        context: Bytes,
    },
}

impl Default for Source {
    fn default() -> Self {
        Self::Encoded {
            rows: Bytes::new(),
            ends: Vec::new(),
            context: Bytes::new(),
        }
    }
}

/// What there is, counted.
#[derive(Clone, Copy, Debug, Default)]
struct Totals {
    num_examples: usize,
    /// Of all rows without what they have in common.
    num_bytes: usize,
    /// Of what every row has in common.
    num_context_bytes: usize,
}

impl Examples {
    /// Takes rows that lie one behind the other; row `i` ends before `ends[i]`.
    pub(crate) fn encoded(rows: Vec<u8>, ends: Vec<usize>, context: Vec<u8>) -> Self {
        let totals = Totals {
            num_examples: ends.len(),
            num_bytes: rows.len(),
            num_context_bytes: context.len(),
        };
        Self {
            source: Source::Encoded {
                rows: rows.into(),
                ends,
                context: context.into(),
            },
            totals,
        }
    }

    /// Counts the rows in a message whose `Input` is in this field, and makes nothing of them.
    pub(super) fn of_message(message: Rope, input_field: u32) -> Result<Self, WireError> {
        let mut totals = Totals::default();
        let num_starts = walk(message.clone(), input_field, |reader, item, _| {
            let size = match item {
                Item::Start => {
                    totals = Totals::default();
                    return Ok(());
                }
                Item::Example => {
                    totals.num_examples += 1;
                    &mut totals.num_bytes
                }
                Item::Context => &mut totals.num_context_bytes,
            };
            let len = reader.len_prefix()?;
            *size += len;
            reader.chunks(len, |_| {})
        })?;
        Ok(Self {
            source: Source::Message {
                message,
                input_field,
                num_starts,
            },
            totals,
        })
    }

    /// Returns the number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.totals.num_examples
    }

    /// Tells whether there are no rows.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the memory that the tensor will take, in bytes.
    #[must_use]
    pub fn tensor_bytes(&self) -> usize {
        let per_row = size_of::<Bytes>().saturating_add(self.totals.num_context_bytes);
        self.totals
            .num_examples
            .saturating_mul(per_row)
            .saturating_add(self.totals.num_bytes)
    }

    /// Makes the tensor that a model parses: one string for each row.
    ///
    /// Rows share the memory they came in, unless they have something in common: that is put in front of each of them,
    /// which merges the two messages, as protobuf has it.
    ///
    /// # Shapes
    /// `[N]` for [`Examples::len`] rows.
    #[must_use]
    pub fn into_tensor(self) -> Tensor {
        let num_examples = self.len();
        let (rows, context) = match self.source {
            Source::Encoded {
                rows,
                ends,
                context,
            } => (split(&rows, &ends), context),
            Source::Message {
                message,
                input_field,
                num_starts,
            } => {
                let mut rows = Vec::with_capacity(num_examples);
                let mut context = Vec::with_capacity(self.totals.num_context_bytes);
                walk(message, input_field, |reader, item, start_idx| {
                    match item {
                        Item::Start => {}
                        _ if start_idx < num_starts => {
                            reader.skip(field::EXAMPLES, WireType::Len)?
                        }
                        Item::Example => rows.push(reader.bytes()?),
                        Item::Context => {
                            let len = reader.len_prefix()?;
                            reader.chunks(len, |piece| context.extend_from_slice(piece))?;
                        }
                    }
                    Ok(())
                })
                .expect("the same message was walked over when its rows were counted");
                (rows, Bytes::from(context))
            }
        };
        let rows = if context.is_empty() {
            rows
        } else {
            with_context(rows, &context)
        };
        Tensor::from_strings([num_examples], rows).expect("there is a string for each row")
    }
}

/// What a walk meets; rows and contexts are `bytes` fields that are still to be read.
#[derive(Clone, Copy, Debug)]
enum Item {
    /// Rows of the other form than those before; these do not count any more.
    Start,
    Example,
    Context,
}

/// Passes over all rows of a message, with how many times they began so far; returns how many times they did in all.
fn walk(
    message: Rope,
    input_field: u32,
    mut take: impl FnMut(&mut Reader<Rope>, Item, usize) -> Result<(), WireError>,
) -> Result<usize, WireError> {
    let mut reader = Reader::new(message);
    let mut form = 0;
    let mut num_starts = 0;
    while let Some((field, wire_type)) = reader.next_field()? {
        if (field, wire_type) != (input_field, WireType::Len) {
            reader.skip(field, wire_type)?;
            continue;
        }
        reader.message(|input| {
            while let Some((field, wire_type)) = input.next_field()? {
                match (field, wire_type) {
                    (field::EXAMPLE_LIST | field::EXAMPLE_LIST_WITH_CONTEXT, WireType::Len) => {
                        if field != form {
                            form = field;
                            num_starts += 1;
                            take(input, Item::Start, num_starts)?;
                        }
                        let mut take = |reader: &mut _, item| take(reader, item, num_starts);
                        input.message(|list| walk_list(list, form, &mut take))?;
                    }
                    _ => input.skip(field, wire_type)?,
                }
            }
            Ok::<(), WireError>(())
        })?;
    }
    Ok(num_starts)
}

fn walk_list(
    list: &mut Reader<Rope>,
    form: u32,
    take: &mut impl FnMut(&mut Reader<Rope>, Item) -> Result<(), WireError>,
) -> Result<(), WireError> {
    while let Some((field, wire_type)) = list.next_field()? {
        match (field, wire_type) {
            (field::EXAMPLES, WireType::Len) => take(list, Item::Example)?,
            (field::CONTEXT, WireType::Len) if form == field::EXAMPLE_LIST_WITH_CONTEXT => {
                take(list, Item::Context)?
            }
            _ => list.skip(field, wire_type)?,
        }
    }
    Ok(())
}

fn split(rows: &Bytes, ends: &[usize]) -> Vec<Bytes> {
    let mut start = 0;
    ends.iter()
        .map(|&end| rows.slice(std::mem::replace(&mut start, end)..end))
        .collect()
}

/// Puts `context` in front of every row, all in one piece of memory.
fn with_context(mut rows: Vec<Bytes>, context: &Bytes) -> Vec<Bytes> {
    let num_bytes: usize = rows.iter().map(|row| context.len() + row.len()).sum();
    let mut joined = Vec::with_capacity(num_bytes);
    for row in &rows {
        joined.extend_from_slice(context);
        joined.extend_from_slice(row);
    }
    let joined = Bytes::from(joined);
    let mut start = 0;
    for row in &mut rows {
        let end = start + context.len() + row.len();
        *row = joined.slice(start..end);
        start = end;
    }
    rows
}
