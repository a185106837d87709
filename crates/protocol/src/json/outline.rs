//! The outline of a body: all of its syntax checked, and where the members lie that matter.

use super::excerpt::excerpt;
use super::scanner::Scanner;
use super::{JsonError, strings};

/// Key of the signature's name.
pub(super) const SIGNATURE_NAME: &[u8] = b"signature_name";

/// Where the values of the known members start; the first of each name.
#[derive(Debug)]
pub(super) struct Outline<const N: usize> {
    signature_name: Option<usize>,
    /// In the order of the keys that were asked for.
    pub(super) members: [Option<usize>; N],
}

impl<const N: usize> Outline<N> {
    /// Checks the syntax of the first value of a body, which must be an object, and finds the members of these names.
    /// What follows the value is not looked at.
    pub(super) fn scan(body: &[u8], keys: [&[u8]; N]) -> Result<Self, JsonError> {
        if body.is_empty() {
            return Err(JsonError::InvalidArgument(
                "JSON Parse error: The document is empty".to_owned(),
            ));
        }
        let mut scanner = Scanner::new(body);
        match scanner.peek() {
            None | Some(0) => return scanner.fail("The document is empty."),
            Some(b'{') => {}
            Some(_) => {
                scanner.skip_value()?;
                return Err(document_error(body, "Is not object"));
            }
        }
        let mut outline = Self {
            signature_name: None,
            members: [None; N],
        };
        let mut member = scanner.first_member()?;
        while let Some(key) = member {
            let start = scanner.pos;
            if key.as_ref() == SIGNATURE_NAME {
                outline.signature_name.get_or_insert(start);
            } else if let Some(key_idx) = keys.iter().position(|wanted| *wanted == key.as_ref()) {
                outline.members[key_idx].get_or_insert(start);
            }
            scanner.skip_value()?;
            member = scanner.next_member()?;
        }
        Ok(outline)
    }

    /// Returns the name of the signature, if the body gives one.
    pub(super) fn signature_name(&self, body: &[u8]) -> Result<Option<String>, JsonError> {
        let Some(start) = self.signature_name else {
            return Ok(None);
        };
        let mut scanner = Scanner::at(body, start);
        if scanner.peek() != Some(b'"') {
            return Err(document_error(
                body,
                "not formatted correctly. 'signature_name' key must be a string value.",
            ));
        }
        string_value(&mut scanner).map(Some)
    }
}

/// Takes a string that is meant to be text.
pub(super) fn string_value(scanner: &mut Scanner<'_>) -> Result<String, JsonError> {
    let span = scanner.string()?;
    Ok(String::from_utf8_lossy(&strings::decoded(scanner.body, span)).into_owned())
}

/// An error that shows the whole body, shortened.
#[cold]
pub(super) fn document_error(body: &[u8], reason: &str) -> JsonError {
    let start = Scanner::new(body).pos;
    JsonError::InvalidArgument(format!("JSON Value: {} {reason}", excerpt(body, start)))
}
