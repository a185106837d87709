//! Gives files of weights other names inside a model, for engines that are particular about them.

use salver_wire::{Reader, WireError, WireType, Writer};

/// Where in the file a message is: which of its fields are messages that lead to the names.
#[derive(Clone, Copy)]
enum Message {
    Model,
    Graph,
    Node,
    Attribute,
    SparseTensor,
    Tensor,
    /// A `StringStringEntryProto` of a tensor's external data.
    Entry,
    Function,
}

impl Message {
    fn inner(self, field: u32) -> Option<Self> {
        match (self, field) {
            (Self::Model, 7) | (Self::Attribute, 6 | 11) => Some(Self::Graph),
            (Self::Model, 25) => Some(Self::Function),
            (Self::Graph, 1) | (Self::Function, 7) => Some(Self::Node),
            (Self::Graph, 5) | (Self::Attribute, 5 | 10) | (Self::SparseTensor, 1 | 2) => {
                Some(Self::Tensor)
            }
            (Self::Graph, 15) | (Self::Attribute, 22 | 23) => Some(Self::SparseTensor),
            (Self::Node, 5) => Some(Self::Attribute),
            (Self::Tensor, 13) => Some(Self::Entry),
            _ => None,
        }
    }
}

/// Returns the model with other names in the place of those for which `rename` has one.
///
/// # Errors
/// A sentence, if the bytes are no protobuf.
pub fn rename_external_files(
    model: &[u8],
    rename: &dyn Fn(&str) -> Option<String>,
) -> Result<Vec<u8>, String> {
    // Every level below is walked by a reader of its own; the caller has read the header, which bounds the depth.
    rewritten(model, Message::Model, rename, salver_wire::MAX_DEPTH + 1)
        .map_err(|error| error.to_string())
}

fn rewritten(
    bytes: &[u8],
    message: Message,
    rename: &dyn Fn(&str) -> Option<String>,
    depth_left: u32,
) -> Result<Vec<u8>, WireError> {
    let depth_left = depth_left.checked_sub(1).ok_or(WireError::TooDeep {
        max: salver_wire::MAX_DEPTH,
    })?;
    let mut out = Writer::new(Vec::with_capacity(bytes.len()));
    let mut reader = Reader::new(bytes);
    let mut is_location = false;
    loop {
        let start = bytes.len() - reader.remaining();
        let Some((field, wire_type)) = reader.next_field()? else {
            break;
        };
        let inner = message.inner(field).filter(|_| wire_type == WireType::Len);
        if let Some(inner) = inner {
            let value = rewritten(reader.slice()?, inner, rename, depth_left)?;
            out.bytes_field(field, &value);
            continue;
        }
        if let (Message::Entry, 1 | 2, WireType::Len) = (message, field, wire_type) {
            let text = reader.slice()?;
            let new = match std::str::from_utf8(text) {
                Ok(location) if field == 2 && is_location => rename(location),
                _ => None,
            };
            is_location |= field == 1 && text == b"location";
            out.bytes_field(field, new.as_deref().map_or(text, str::as_bytes));
            continue;
        }
        reader.skip(field, wire_type)?;
        out.raw(&bytes[start..bytes.len() - reader.remaining()]);
    }
    Ok(out.into_inner())
}
