//! Black-box tests: the real binary, on ports that the system chooses.

mod commands;
mod lists;
mod server;
mod serving;
mod tensorflow;
