//! A Rust file as the rules see it: tokens without comments, and functions with their lengths.

use std::str::FromStr as _;

use anyhow::{Result, anyhow};
use proc_macro2::{Delimiter, Group, Spacing, TokenStream, TokenTree};

/// One Rust file.
#[derive(Debug)]
pub(crate) struct Source {
    /// From the root, with `/`.
    pub(crate) path: String,
    pub(crate) tokens: Vec<Token>,
    pub(crate) functions: Vec<Function>,
    /// Names of modules that `#[cfg(test)] mod name;` puts into files of their own.
    pub(crate) test_modules: Vec<String>,
    pub(crate) num_lines: usize,
    /// Lines within `#[cfg(test)]` items.
    pub(crate) num_test_lines: usize,
}

/// An identifier, a literal, a delimiter or a piece of punctuation; `::` is one token.
#[derive(Debug)]
pub(crate) struct Token {
    pub(crate) text: String,
    pub(crate) line: usize,
    /// Within a `#[cfg(test)]` item.
    pub(crate) is_test: bool,
}

/// A function with a body.
#[derive(Debug)]
pub(crate) struct Function {
    pub(crate) name: String,
    pub(crate) line: usize,
    /// From `fn` to the closing brace.
    pub(crate) num_lines: usize,
}

impl Source {
    pub(crate) fn parse(path: &str, text: &str) -> Result<Self> {
        let stream = TokenStream::from_str(text).map_err(|error| anyhow!("{path}: {error}"))?;
        let mut source = Self {
            path: path.to_owned(),
            tokens: Vec::new(),
            functions: Vec::new(),
            test_modules: Vec::new(),
            num_lines: text.lines().count(),
            num_test_lines: 0,
        };
        source.walk(stream, false);
        Ok(source)
    }

    /// Returns the first token of each place where these tokens follow each other.
    pub(crate) fn all_of<'a>(&'a self, wanted: &'a [&str]) -> impl Iterator<Item = &'a Token> {
        let windows = self.tokens.windows(wanted.len());
        let is_wanted = move |window: &&[Token]| {
            window
                .iter()
                .zip(wanted)
                .all(|(token, text)| token.text == *text)
        };
        windows
            .filter(is_wanted)
            .filter_map(|window| window.first())
    }

    fn walk(&mut self, stream: TokenStream, is_test: bool) {
        let trees: Vec<TokenTree> = stream.into_iter().collect();
        let mut test_item = None;
        for (idx, tree) in trees.iter().enumerate() {
            if let Some(line) = start_of_test_item(&trees, idx) {
                test_item.get_or_insert(line);
            }
            let in_test = is_test || test_item.is_some();
            if is_identifier(tree, "fn") {
                self.functions.extend(function(&trees, idx));
            }
            self.push(tree, in_test);
            if let Some(first_line) = test_item.filter(|_| ends_item(tree)) {
                self.end_test_item(&trees, idx, first_line, is_test);
                test_item = None;
            }
        }
    }

    fn end_test_item(
        &mut self,
        trees: &[TokenTree],
        idx: usize,
        first_line: usize,
        is_nested: bool,
    ) {
        let before = idx.checked_sub(2).and_then(|start| trees.get(start..idx));
        if let (TokenTree::Punct(_), Some([keyword, name])) = (&trees[idx], before)
            && is_identifier(keyword, "mod")
        {
            self.test_modules.push(name.to_string());
        }
        if !is_nested {
            self.num_test_lines += trees[idx].span().end().line + 1 - first_line;
        }
    }

    fn push(&mut self, tree: &TokenTree, is_test: bool) {
        let line = tree.span().start().line;
        let mut add = |text: &str, line| {
            self.tokens.push(Token {
                text: text.to_owned(),
                line,
                is_test,
            })
        };
        match tree {
            TokenTree::Group(group) => {
                let (open, close) = delimiters(group);
                add(open, line);
                self.walk(group.stream(), is_test);
                let line = group.span_close().end().line;
                self.tokens.push(Token {
                    text: close.to_owned(),
                    line,
                    is_test,
                });
            }
            TokenTree::Punct(punct) if punct.as_char() == ':' => {
                self.push_colon(punct.spacing(), line, is_test);
            }
            _ => add(&tree.to_string(), line),
        }
    }

    /// Joins two colons into one token; the first waits as a half until the second comes.
    fn push_colon(&mut self, spacing: Spacing, line: usize, is_test: bool) {
        const HALF: &str = ":+";
        match self.tokens.last_mut() {
            Some(last) if last.text == HALF => last.text = "::".to_owned(),
            _ => {
                let text = if spacing == Spacing::Joint { HALF } else { ":" };
                self.tokens.push(Token {
                    text: text.to_owned(),
                    line,
                    is_test,
                });
            }
        }
    }
}

fn delimiters(group: &Group) -> (&'static str, &'static str) {
    match group.delimiter() {
        Delimiter::Parenthesis => ("(", ")"),
        Delimiter::Brace => ("{", "}"),
        Delimiter::Bracket => ("[", "]"),
        Delimiter::None => ("", ""),
    }
}

/// Returns the line of the attribute if `trees[idx]` is the `#` of a `#[cfg(test)]` or `#[cfg(all(test, …))]`.
fn start_of_test_item(trees: &[TokenTree], idx: usize) -> Option<usize> {
    let [TokenTree::Punct(hash), TokenTree::Group(attribute)] = trees.get(idx..idx + 2)? else {
        return None;
    };
    let text: String = attribute.stream().to_string().split_whitespace().collect();
    let is_test = text == "cfg(test)" || text.starts_with("cfg(all(test,");
    (hash.as_char() == '#' && is_test).then(|| hash.span().start().line)
}

/// Tells whether an item that began before ends here: with its braces, or with a semicolon.
fn ends_item(tree: &TokenTree) -> bool {
    match tree {
        TokenTree::Group(group) => group.delimiter() == Delimiter::Brace,
        TokenTree::Punct(punct) => punct.as_char() == ';',
        _ => false,
    }
}

fn function(trees: &[TokenTree], idx: usize) -> Option<Function> {
    let TokenTree::Ident(name) = trees.get(idx + 1)? else {
        return None;
    };
    let end = trees.get(idx + 1..)?.iter().find(|tree| ends_item(tree))?;
    let TokenTree::Group(body) = end else {
        return None;
    };
    let line = trees.get(idx)?.span().start().line;
    Some(Function {
        name: name.to_string(),
        line,
        num_lines: body.span_close().end().line + 1 - line,
    })
}

fn is_identifier(tree: &TokenTree, name: &str) -> bool {
    matches!(tree, TokenTree::Ident(identifier) if *identifier == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r##"//! A file.
use std::env; // unsafe in a comment
/// unsafe in a doc comment
fn one<F: Fn(u8) -> u8>(f: fn(u8) -> u8) -> &'static str {
    let c = '{';
    r#"unsafe } in a string"#
}
trait T { fn declared(&self); fn given(&self) {
} }

#[cfg(test)]
#[derive(Debug)]
mod tests {
    fn two() { std::env::args(); }
}
#[cfg(test)]
mod more;
"##;

    #[test]
    fn comments_and_strings_are_not_code() {
        let source = Source::parse("a.rs", TEXT).unwrap();
        assert_eq!(source.all_of(&["unsafe"]).count(), 0);
        assert_eq!(
            source
                .all_of(&["std", "::", "env"])
                .map(|token| token.line)
                .collect::<Vec<_>>(),
            [2, 14]
        );
    }

    #[test]
    fn functions_are_measured_with_their_signature() {
        let source = Source::parse("a.rs", TEXT).unwrap();
        let found = source
            .functions
            .iter()
            .map(|function| (function.name.as_str(), function.line, function.num_lines));
        assert_eq!(
            found.collect::<Vec<_>>(),
            [("one", 4, 4), ("given", 8, 2), ("two", 14, 1)]
        );
    }

    #[test]
    fn test_items_are_known() {
        let source = Source::parse("a.rs", TEXT).unwrap();
        assert_eq!((source.num_lines, source.num_test_lines), (17, 7));
        assert_eq!(source.test_modules, ["more"]);
    }
}
