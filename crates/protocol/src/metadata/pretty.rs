//! JSON as protobuf lays it out.

/// Writes JSON with one member to a line, one space deeper for each level.
#[derive(Debug, Default)]
pub(super) struct Pretty {
    text: String,
    depth: usize,
    /// Whether the current object or array has a member already.
    has_members: bool,
}

impl Pretty {
    pub(super) fn object(&mut self, key: Option<&str>, members: impl FnOnce(&mut Self)) {
        self.nested(key, ['{', '}'], members);
    }

    pub(super) fn array(&mut self, key: &str, elements: impl FnOnce(&mut Self)) {
        self.nested(Some(key), ['[', ']'], elements);
    }

    fn nested(
        &mut self,
        key: Option<&str>,
        [open, close]: [char; 2],
        members: impl FnOnce(&mut Self),
    ) {
        self.member(key);
        self.text.push(open);
        self.depth += 1;
        self.has_members = false;
        members(self);
        self.depth -= 1;
        if self.has_members {
            self.new_line();
        }
        self.text.push(close);
        self.has_members = true;
    }

    pub(super) fn string(&mut self, key: &str, value: &str) {
        self.member(Some(key));
        self.quoted(value);
    }

    /// Writes an enum's value: its name, or its number where it has none.
    pub(super) fn enumerator(&mut self, key: &str, name: Option<&str>, number: i32) {
        match name {
            Some(name) => self.string(key, name),
            None => self.raw(key, &number.to_string()),
        }
    }

    pub(super) fn raw(&mut self, key: &str, value: &str) {
        self.member(Some(key));
        self.text.push_str(value);
    }

    /// Writes an element of an array, as it is.
    pub(super) fn element(&mut self, value: &str) {
        self.member(None);
        self.text.push_str(value);
    }

    /// Begins a member: comma, line, key.
    fn member(&mut self, key: Option<&str>) {
        if self.has_members {
            self.text.push(',');
        }
        if self.depth > 0 {
            self.new_line();
        }
        if let Some(key) = key {
            self.quoted(key);
            self.text.push_str(": ");
        }
        self.has_members = true;
    }

    fn new_line(&mut self) {
        self.text.push('\n');
        self.text.extend(std::iter::repeat_n(' ', self.depth));
    }

    fn quoted(&mut self, value: &str) {
        self.text.push('"');
        for character in value.chars() {
            match character {
                '"' => self.text.push_str("\\\""),
                '\\' => self.text.push_str("\\\\"),
                '\n' => self.text.push_str("\\n"),
                '\r' => self.text.push_str("\\r"),
                '\t' => self.text.push_str("\\t"),
                control if u32::from(control) < 0x20 || control == '\u{7f}' => {
                    self.text
                        .push_str(&format!("\\u{:04x}", u32::from(control)));
                }
                other => self.text.push(other),
            }
        }
        self.text.push('"');
    }

    pub(super) fn finish(mut self) -> String {
        self.text.push('\n');
        self.text
    }
}
