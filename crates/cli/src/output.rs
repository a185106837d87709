//! Standard output for results, standard error for everything else.
//!
//! A reader that has gone (`| head`) is no error: there is nobody left to tell.

use std::io::{self, IsTerminal, Write};

/// Writes a line of the result.
pub(crate) fn result(line: &str) {
    write(&mut io::stdout().lock(), line);
}

/// Writes a line that is about the work, not its result.
pub(crate) fn note(line: &str) {
    write(&mut io::stderr().lock(), line);
}

/// Tells whether notes are read by a person.
pub(crate) fn is_terminal() -> bool {
    io::stderr().is_terminal()
}

fn write(stream: &mut impl Write, line: &str) {
    // A closed pipe is the only failure there is, and then nobody reads what could be said about it.
    drop(writeln!(stream, "{line}").and_then(|()| stream.flush()));
}
