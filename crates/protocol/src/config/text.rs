//! Protobuf's text format, read and written by descriptors.

use std::fmt;
use std::sync::LazyLock;

use miette::Diagnostic;
use prost::Message;
use prost_reflect::text_format::{FormatOptions, ParseError};
use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor};

/// How deep messages may be nested. Configurations need a dozen levels; the parser recurses, and its stack is finite.
const MAX_DEPTH: usize = 64;

/// The descriptors of every message that can be read.
static POOL: LazyLock<DescriptorPool> = LazyLock::new(|| {
    DescriptorPool::decode(salver_proto::FILE_DESCRIPTOR_SET)
        .expect("build.rs of `proto` wrote descriptors that fit together")
});

/// A text that is not what it should be: where, and what was expected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct TextError {
    /// The message that was to be read: `tensorflow.serving.ModelServerConfig`.
    pub message: &'static str,
    /// Counted from 1.
    pub line: usize,
    /// In characters, counted from 1.
    pub column: usize,
    /// What was expected and what was found.
    pub reason: String,
}

/// As protobuf's own parser logs it.
impl fmt::Display for TextError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            message,
            line,
            column,
            reason,
        } = self;
        write!(
            f,
            "Error parsing text-format {message}: {line}:{column}: {reason}"
        )
    }
}

/// Reads one message.
pub(super) fn parse<M: Message + Default>(
    message: &'static str,
    text: &str,
) -> Result<M, TextError> {
    let error = |offset: usize, reason: String| {
        let (line, column) = position(text, offset);
        TextError {
            message,
            line,
            column,
            reason,
        }
    };
    if let Some(offset) = too_deep(text) {
        let reason = format!("messages are nested more than {MAX_DEPTH} deep");
        return Err(error(offset, reason));
    }
    let parsed = DynamicMessage::parse_text_format(descriptor(message), text)
        .map_err(|failure| error(offset(&failure, text), failure.to_string()))?;
    parsed
        .transcode_to()
        .map_err(|failure| error(0, failure.to_string()))
}

/// Writes one message, a field to a line.
pub(super) fn print(message: &'static str, value: &impl Message) -> String {
    let mut dynamic = DynamicMessage::new(descriptor(message));
    dynamic
        .transcode_from(value)
        .expect("a generated message fits its own descriptor");
    let mut text =
        dynamic.to_text_format_with_options(&FormatOptions::new().pretty(true).expand_any(true));
    text.push('\n');
    text
}

fn descriptor(message: &str) -> MessageDescriptor {
    POOL.get_message_by_name(message)
        .expect("the messages read here are among those of `proto`")
}

/// Returns where an error lies, in bytes; what is missing is missing at the end.
fn offset(error: &ParseError, text: &str) -> usize {
    error
        .labels()
        .and_then(|mut labels| labels.next())
        .map_or(text.trim_end().len(), |label| label.offset())
}

/// Returns line and column of a place, both counted from 1.
fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |end| end + 1);
    let line = before.bytes().filter(|&byte| byte == b'\n').count() + 1;
    let column = before.get(line_start..).unwrap_or_default().chars().count() + 1;
    (line, column)
}

/// Returns where messages are nested too deep.
fn too_deep(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    let mut bytes = text.bytes().enumerate();
    while let Some((offset, byte)) = bytes.next() {
        match byte {
            b'#' => {
                bytes.by_ref().find(|(_, byte)| *byte == b'\n');
            }
            b'"' | b'\'' => skip_string(&mut bytes, byte),
            b'{' | b'<' => depth += 1,
            b'}' | b'>' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > MAX_DEPTH {
            return Some(offset);
        }
    }
    None
}

/// Goes on behind the end of a string, or of the line: strings end there.
fn skip_string(bytes: &mut impl Iterator<Item = (usize, u8)>, quote: u8) {
    while let Some((_, byte)) = bytes.next() {
        match byte {
            b'\\' => {
                bytes.next();
            }
            b'\n' => return,
            byte if byte == quote => return,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests;
