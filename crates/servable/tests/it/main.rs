//! Managers with real threads, seen from outside.
//!
//! What is served here is a lookup table: no tensors, no files, no engine. Nothing sleeps: tests wait for what they
//! expect, with [`lookup_table::PATIENCE`] as a safety net.

mod first_load;
mod lifecycle;
mod lookup_table;
mod race;
mod unload;
