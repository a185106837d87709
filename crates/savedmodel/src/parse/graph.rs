//! A graph as far as it tells which outputs cannot be had without a change of state: its nodes, what they depend on, the
//! functions they call. Weights and other attributes are skipped.

use std::collections::{HashMap, HashSet};

use bytes::Buf;
use salver_wire::{Reader, WireType};

use super::{Result, text};

/// Operators that change what later runs answer, by how their names begin.
const CHANGING: &[&str] = &[
    "Apply",
    "Assign",
    "Barrier",
    "CountUpTo",
    "EagerPyFunc",
    "InitializeTable",
    "IteratorGetNext",
    "LookupTableImport",
    "LookupTableInsert",
    "LookupTableRemove",
    "MergeV2Checkpoints",
    "PyFunc",
    "Queue",
    "Resource",
    "Save",
    "Scatter",
    "SparseApply",
    "Stage",
    "Unstage",
    "WriteFile",
];

/// Operators that begin like some of [`CHANGING`] and change nothing.
const UNCHANGING: &[&str] = &["ResourceGather", "ScatterNd", "QueueSize", "QueueIsClosed"];

/// A node, or all nodes of a function taken together.
#[derive(Debug, Default)]
struct Node {
    /// The nodes that run before it.
    inputs: Vec<String>,
    /// The functions that it calls.
    functions: Vec<String>,
    is_changing: bool,
}

/// The nodes of a graph and its functions, by their names.
#[derive(Debug, Default)]
pub(super) struct Graph {
    nodes: HashMap<String, Node>,
    functions: HashMap<String, Node>,
}

impl Graph {
    /// Reads a `GraphDef`.
    pub(super) fn read<B: Buf>(&mut self, reader: &mut Reader<B>) -> Result<()> {
        while let Some((field, wire_type)) = reader.next_field()? {
            match (field, wire_type) {
                (1, WireType::Len) => {
                    let (name, node) = reader.message(node)?;
                    self.nodes.insert(name, node);
                }
                (2, WireType::Len) => reader.message(|library| self.read_library(library))?,
                _ => reader.skip(field, wire_type)?,
            }
        }
        Ok(())
    }

    /// Reads a `FunctionDefLibrary`.
    fn read_library<B: Buf>(&mut self, reader: &mut Reader<B>) -> Result<()> {
        while let Some((field, wire_type)) = reader.next_field()? {
            match (field, wire_type) {
                (1, WireType::Len) => {
                    let (name, function) = reader.message(function)?;
                    self.functions.insert(name, function);
                }
                _ => reader.skip(field, wire_type)?,
            }
        }
        Ok(())
    }

    /// Tells whether a run for these tensors changes what later runs answer.
    pub(super) fn is_changing<'a>(&self, tensors: impl Iterator<Item = &'a str>) -> bool {
        let mut seen_nodes = HashSet::new();
        let mut seen_functions = HashSet::new();
        let mut nodes: Vec<&str> = tensors.map(node_of).collect();
        while let Some(name) = nodes.pop() {
            let Some(node) = self
                .nodes
                .get(name)
                .filter(|_| seen_nodes.insert(name.to_owned()))
            else {
                continue;
            };
            if node.is_changing || self.calls_changing(node, &mut seen_functions) {
                return true;
            }
            nodes.extend(node.inputs.iter().map(String::as_str));
        }
        false
    }

    /// Tells whether a function that a node calls, or one that is called by it, changes something.
    fn calls_changing<'a>(&'a self, node: &'a Node, seen: &mut HashSet<&'a str>) -> bool {
        let mut called: Vec<&str> = node.functions.iter().map(String::as_str).collect();
        while let Some(name) = called.pop() {
            let Some(function) = self.functions.get(name).filter(|_| seen.insert(name)) else {
                continue;
            };
            if function.is_changing {
                return true;
            }
            called.extend(function.functions.iter().map(String::as_str));
        }
        false
    }
}

/// Returns the node that a tensor or a control input comes from: `x:0`, `^x` and `x` are all of `x`.
fn node_of(tensor: &str) -> &str {
    let tensor = tensor.strip_prefix('^').unwrap_or(tensor);
    tensor.split_once(':').map_or(tensor, |(node, _)| node)
}

fn is_changing(operator: &str) -> bool {
    let begins = |names: &[&str]| names.iter().any(|name| operator.starts_with(name));
    begins(CHANGING) && !begins(UNCHANGING)
}

/// Reads a `NodeDef`; returns its name, too.
fn node<B: Buf>(reader: &mut Reader<B>) -> Result<(String, Node)> {
    let (mut name, mut node) = (String::new(), Node::default());
    while let Some((field, wire_type)) = reader.next_field()? {
        match (field, wire_type) {
            (1, WireType::Len) => name = text(reader)?,
            (2, WireType::Len) => {
                let operator = text(reader)?;
                node.is_changing = is_changing(&operator);
                // Old graphs call a function by its name, as if it were an operator.
                node.functions.push(operator);
            }
            (3, WireType::Len) => node.inputs.push(node_of(&text(reader)?).to_owned()),
            (5, WireType::Len) => reader
                .message(|entry| nested(entry, 2, &mut |value| attribute(value, &mut node)))?,
            _ => reader.skip(field, wire_type)?,
        }
    }
    Ok((name, node))
}

/// Reads the functions that an `AttrValue` names.
fn attribute<B: Buf>(reader: &mut Reader<B>, node: &mut Node) -> Result<()> {
    let mut name = |call: &mut Reader<B>| {
        while let Some((field, wire_type)) = call.next_field()? {
            match (field, wire_type) {
                (1, WireType::Len) => node.functions.push(text(call)?),
                _ => call.skip(field, wire_type)?,
            }
        }
        Ok(())
    };
    while let Some((field, wire_type)) = reader.next_field()? {
        match (field, wire_type) {
            (1, WireType::Len) => reader.message(|list| nested(list, 9, &mut name))?,
            (10, WireType::Len) => reader.message(&mut name)?,
            _ => reader.skip(field, wire_type)?,
        }
    }
    Ok(())
}

/// Reads every field of one number as a message.
fn nested<B: Buf>(
    reader: &mut Reader<B>,
    wanted: u32,
    read: &mut impl FnMut(&mut Reader<B>) -> Result<()>,
) -> Result<()> {
    while let Some((field, wire_type)) = reader.next_field()? {
        match wire_type {
            WireType::Len if field == wanted => reader.message(&mut *read)?,
            _ => reader.skip(field, wire_type)?,
        }
    }
    Ok(())
}

/// Reads a `FunctionDef`; returns its name, too. What its nodes do counts whether or not its results need them.
fn function<B: Buf>(reader: &mut Reader<B>) -> Result<(String, Node)> {
    let (mut name, mut all) = (String::new(), Node::default());
    while let Some((field, wire_type)) = reader.next_field()? {
        match (field, wire_type) {
            (1, WireType::Len) => {
                name = reader.message(|signature| super::text_field(signature, 1))?
            }
            (3, WireType::Len) => {
                let (_, node) = reader.message(node)?;
                all.is_changing |= node.is_changing;
                all.functions.extend(node.functions);
            }
            _ => reader.skip(field, wire_type)?,
        }
    }
    Ok((name, all))
}
