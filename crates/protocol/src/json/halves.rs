//! A long list of numbers as two halves, each read by a thread.
//!
//! ```text
//! [[[1,2],[3,4]],[[5,6],[7,8]]]
//!
//! [[[1,2],[3,4]],[[5,6],   the beginning: two lists are open, with two lists and one in them so far
//!                [7,8]]]   the end: from a list of numbers on that another is in front of; it tells what is to be added
//! ```
//!
//! Whether the second half is one is only known once the first has been read up to it: what looks like the middle of the
//! list may be in a string behind it. Nothing is said of what is wrong in either; whoever asks reads the list as one then.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;

use bytes::Bytes;
use salver_tensor::{Shape, Tensor, TensorSpec};

use super::MAX_RANK;
use super::nested::{Behind, Nested};
use super::scanner::Scanner;
use super::values::{Values, values_of};

/// The shortest list, with what follows it, that is worth a thread: some 200 µs of numbers.
const MIN_BYTES: usize = 384 << 10;

/// How far behind the middle a list of numbers has to begin.
const MAX_SEARCHED_BYTES: usize = 64 << 10;

/// Another thread that may read a part of a body.
#[derive(Clone, Copy)]
pub(super) struct Helper<'a> {
    pub(super) body: &'a Bytes,
    /// Has work done by that thread: soon, later or never.
    pub(super) lend: &'a dyn Fn(Work),
}

/// What another thread is to do.
pub type Work = Box<dyn FnOnce() + Send>;

impl fmt::Debug for Helper<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Helper").finish_non_exhaustive()
    }
}

/// Parses lists of numbers, where the scanner stands, with the help of another thread. `None`, with the scanner where it
/// was, if they are to be parsed by one.
pub(super) fn parse(scanner: &mut Scanner<'_>, spec: &TensorSpec) -> Option<Tensor> {
    // Only once for a body, however many lists it has: what was tried in vain is read again.
    let helper = scanner.helper.take()?;
    let rest = scanner.pos..scanner.body.len();
    if rest.len() < MIN_BYTES {
        return None;
    }
    let middle = rest.start + rest.len() / 2;
    parse_around(scanner, spec, helper, middle..middle + MAX_SEARCHED_BYTES)
}

/// Parses lists of numbers in two parts, the second of which begins somewhere in a range.
fn parse_around(
    scanner: &mut Scanner<'_>,
    spec: &TensorSpec,
    helper: Helper<'_>,
    range: Range<usize>,
) -> Option<Tensor> {
    let (body, pos) = (scanner.body, scanner.pos);
    let rank = rank(&body[pos..])?;
    let start = find_list(body, range)?;
    let mut values = values_of(spec.dtype);
    let end = LentEnd::new(helper, start, rank, values.sibling()?);
    let mut nested = Nested::new(MAX_RANK);
    let mut begin = Scanner::at(&body[..start], pos);
    let behind = nested.parse_lists(&mut begin, values.as_mut());
    // Nobody begins with the end any more.
    let is_begun = end.is_begun.swap(true, Ordering::AcqRel);
    if behind != Ok(Behind::Cut) {
        return None;
    }
    let end = match is_begun {
        true => {
            let (end, end_values) = end.parsed.recv().ok()??;
            values.append(end_values).then_some(end)
        }
        // The other thread is late: what it would do takes no longer here.
        false => End::parse(body, start, rank, values.as_mut()),
    }?;
    if !nested.join(&end.nested) {
        return None;
    }
    let tensor = values.finish(Shape::from(nested.dims())).ok()?;
    scanner.pos = end.pos;
    Some(tensor)
}

/// The end of a value.
struct End {
    nested: Nested,
    /// Where it ends.
    pos: usize,
}

impl End {
    /// Parses it from a list of numbers at `start` on.
    fn parse(body: &[u8], start: usize, rank: usize, values: &mut dyn Values) -> Option<Self> {
        let mut scanner = Scanner::at(body, start);
        let mut nested = Nested::of_end(rank);
        let behind = nested.parse_lists(&mut scanner, values);
        (behind == Ok(Behind::Nothing)).then_some(Self {
            nested,
            pos: scanner.pos,
        })
    }
}

/// What the other thread makes of an end.
type Parsed = Option<(End, Box<dyn Values + Send>)>;

/// An end that the other thread may be parsing.
struct LentEnd {
    /// Set by whoever begins.
    is_begun: Arc<AtomicBool>,
    parsed: mpsc::Receiver<Parsed>,
}

impl LentEnd {
    fn new(
        helper: Helper<'_>,
        start: usize,
        rank: usize,
        mut values: Box<dyn Values + Send>,
    ) -> Self {
        let (sender, parsed) = mpsc::sync_channel(1);
        let is_begun = Arc::new(AtomicBool::new(false));
        let (body, begin) = (Bytes::clone(helper.body), Arc::clone(&is_begun));
        (helper.lend)(Box::new(move || {
            if !begin.swap(true, Ordering::AcqRel) {
                let end = End::parse(&body, start, rank, values.as_mut());
                // Nobody waits for it if the beginning is wrong.
                drop(sender.send(end.map(|end| (end, values))));
            }
        }));
        Self { is_begun, parsed }
    }
}

/// Returns how many lists begin here, one in the other, in front of a number; `None` if fewer than two do.
fn rank(text: &[u8]) -> Option<usize> {
    let rank = text.iter().take_while(|&&byte| byte == b'[').count();
    let is_number = matches!(text.get(rank), Some(b'-' | b'0'..=b'9'));
    (is_number && (2..=MAX_RANK).contains(&rank)).then_some(rank)
}

/// Finds a list of numbers in a range that another list is in front of.
fn find_list(body: &[u8], range: Range<usize>) -> Option<usize> {
    let is_start = |&start: &usize| {
        matches!(body[start..], [b'[', b'-' | b'0'..=b'9', ..])
            && matches!(body[..start], [.., b']', b','] | [.., b']', b',', b' '])
    };
    (range.start..range.end.min(body.len())).find(is_start)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use salver_tensor::DType;

    use super::super::{parse_predict, parse_predict_by_two, row};
    use super::*;

    fn spec() -> TensorSpec {
        TensorSpec::new("x", DType::F32, None)
    }

    /// How the other thread does.
    const HELPERS: [fn(Work); 3] = [
        |work| work(),
        |work| drop(std::thread::spawn(work)),
        |work| drop(work),
    ];

    /// Parses a value in two parts, the second of which begins at `start` or later; tells where it ends too.
    fn in_two(text: &str, start: usize) -> Option<(Tensor, usize)> {
        let body = Bytes::copy_from_slice(text.as_bytes());
        let mut parsed = HELPERS.iter().map(|lend| {
            let helper = Helper { body: &body, lend };
            let mut scanner = Scanner::at(&body, 0);
            let tensor = parse_around(&mut scanner, &spec(), helper, start..text.len())?;
            Some((tensor, scanner.pos))
        });
        let first = parsed.next().flatten();
        assert!(parsed.all(|other| other == first), "{text} {start}");
        first
    }

    fn as_one(text: &str) -> Option<(Tensor, usize)> {
        let mut scanner = Scanner::at(text.as_bytes(), 0);
        let mut tensors = row::parse(&mut scanner, &[spec()]).ok()?;
        Some((tensors.remove(0), scanner.pos))
    }

    /// Returns lists of such extents of the numbers from `next` on.
    fn lists(dims: &[usize], comma: &str, next: &mut u32) -> String {
        let Some((first, inner)) = dims.split_first() else {
            *next += 1;
            return format!("{}.5", *next);
        };
        let all: Vec<String> = (0..*first).map(|_| lists(inner, comma, next)).collect();
        format!("[{}]", all.join(comma))
    }

    #[test]
    fn a_picture_is_the_same_wherever_it_is_cut() {
        for comma in [",", ", "] {
            let text = lists(&[2, 3, 4, 2], comma, &mut 0);
            let expected = as_one(&text);
            let mut num_cuts = 0;
            for start in 0..text.len() {
                if let Some(parsed) = in_two(&text, start) {
                    assert_eq!(Some(parsed), expected, "{start}");
                    num_cuts += 1;
                }
            }
            // Wherever the search begins, up to the last list, it finds one.
            assert_eq!(num_cuts, text.rfind('[').unwrap() + 1);
        }
    }

    #[test]
    fn what_is_no_second_half_is_not_taken_for_one() {
        for text in [
            // The list ends before what looks like the middle of one.
            "[[1,2],[3,4]], \"note\": \"],[5,6]]\"}",
            // Lists of other lengths, on one side or across.
            "[[1,2],[3],[4,5]]",
            "[[1,2],[3,4],[5]]",
            "[[[1],[2]],[[3],[4],[5]]]",
            "[[[1],[2]],[[3]],[[4],[5]]]",
            "[[[1],[2],[3]],[[4],[5]]]",
            // No lists of numbers, no end, or none alone.
            "[[1,2],[3,\"4\"]]",
            "[[1,2],[3,4],5]",
            "[[1,2],[3,4]",
            "[[1,2],[3,4],[[5]]]",
            "[[[1,2],[3,4]],[5,6],[7,8]]",
            "[1,2]",
        ] {
            let expected = as_one(text);
            for start in 0..text.len() {
                let parsed = in_two(text, start);
                assert!(parsed.is_none() || parsed == expected, "{text} {start}");
            }
        }
    }

    #[test]
    fn a_long_body_means_what_it_means_to_one_thread() {
        let list = lists(&[300, 100, 3], ",", &mut 0);
        assert!(list.len() > MIN_BYTES);
        let specs = [spec(), TensorSpec::new("y", DType::F32, None)];
        let check = |body: String, specs: &[TensorSpec]| {
            let lookup = |_: &str| Some(specs);
            let expected = parse_predict(body.as_bytes(), lookup);
            let body = Bytes::from(body);
            for lend in HELPERS {
                assert_eq!(parse_predict_by_two(&body, lookup, &lend), expected);
            }
            expected.is_ok()
        };
        for body in [
            format!("{{\"instances\":{list}}}"),
            format!("{{\"inputs\":{list},\"signature_name\":\"serving_default\"}}"),
            format!("{{\"inputs\":{{\"x\":{list}}}}}"),
            format!("{{\"instances\":[[1,2]],\"note\":{list}}}"),
        ] {
            assert!(check(body, &specs[..1]), "it is right");
        }
        let two = format!("{{\"inputs\":{{\"y\":{list},\"x\":{list}}}}}");
        assert!(check(two, &specs));
        let end = list.rfind(",").unwrap();
        let broken = format!("{{\"instances\":{} {}}}", &list[..end], &list[end + 1..]);
        assert!(!check(broken, &specs[..1]), "it lacks a comma");
    }

    proptest! {
        #[test]
        fn two_halves_make_what_one_pass_makes(
            dims in prop::collection::vec(1_usize..5, 2..5),
            is_spaced: bool,
            start in 0_usize..2000,
            (mangled, with) in (0_usize..4000, prop::sample::select(b"[],1 .x".to_vec())),
        ) {
            let comma = if is_spaced { ", " } else { "," };
            let mut text = lists(&dims, comma, &mut 0).into_bytes();
            if let Some(byte) = text.get_mut(mangled) {
                *byte = with;
            }
            let text = String::from_utf8(text).expect("ASCII");
            if let Some(parsed) = in_two(&text, start % text.len()) {
                prop_assert_eq!(Some(parsed), as_one(&text), "{}", text);
            }
        }
    }
}
