//! How fast the numbers of a JSON body are read: our parser beside parsers of whole documents, in this process.
//!
//! One core, no server, no socket. A pass of each follows a pass of every other; the copy that simd-json needs because
//! it writes into its input, and the freeing of what was parsed, are not counted.

use std::hint::black_box;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use salver_protocol::json::parse_predict;
use salver_tensor::{DType, Tensor, TensorSpec};

use super::Bench;
use crate::model::{self, Model};
use crate::report::Is;

const SPEED: &str = "MB/s on one core";
const NUMBERS: &str = "numbers/s, millions";
const OURS: &str = "Salver's parser";
const DOCUMENTS: [&str; 2] = ["simd-json", "serde_json"];

/// What a core has to read in a second of the body that Python writes. It says something of the machine too; ratios do
/// not. Short numbers have no such goal: a number costs much the same however few bytes it has.
const LEAST_SPEED: f64 = 600.0;

/// A parser's name, and what reads a body once and says how long it took.
type Parser = (&'static str, fn(&[u8]) -> Result<Duration>);

const PARSERS: [Parser; 4] = [
    (OURS, ours),
    ("simd-json", simd_document),
    ("serde_json", serde_document),
    ("fast-float2, flat loop", flat_loop),
];

/// A picture of 224 by 224 by 3, as Python writes 32-bit floats and as a careful client does.
pub(super) fn json(bench: &mut Bench) -> Result<()> {
    let picture = Model::new("picture", Vec::new(), &[1, 224, 224, 3]);
    let short: Vec<f64> = picture
        .values
        .iter()
        .map(|value| (f64::from(*value) * 1e4).round() / 1e4)
        .collect();
    let full: Vec<f64> = picture.values.iter().copied().map(f64::from).collect();
    for (case, values, least_speed) in [
        ("JSON, all digits", full, Some(LEAST_SPEED)),
        ("JSON, 4 decimals", short, None),
    ] {
        let body = model::rows(&picture.shape, values.iter().copied());
        let wanted: Vec<f32> = values.iter().map(|value| *value as f32).collect();
        ensure!(
            parse(&body)?.as_slice::<f32>()? == wanted,
            "{case}: the numbers are others"
        );
        for _ in 0..bench.scale.rounds {
            let medians = turn(&body, bench.scale.turn)?;
            for ((name, _), median) in PARSERS.iter().zip(medians) {
                let per_second = |count: usize| count as f64 / 1e6 / median.as_secs_f64();
                bench.report.add(case, name, SPEED, per_second(body.len()));
                bench
                    .report
                    .add(case, name, NUMBERS, per_second(values.len()));
            }
        }
        let speed = bench.report.median(case, OURS, SPEED);
        if let (Some(speed), Some(least)) = (speed, least_speed) {
            let text = format!("{case}: {SPEED}, {OURS}; depends on the machine");
            bench.report.goal(text, speed, Is::AtLeast, least);
        }
        for document in DOCUMENTS {
            bench
                .report
                .ratio(case, [OURS, document], SPEED, Is::AtLeast, 1.0);
        }
    }
    Ok(())
}

/// Lets the parsers read a body one after the other for so long; returns the median of each one's passes.
fn turn(body: &[u8], length: Duration) -> Result<[Duration; PARSERS.len()]> {
    let mut passes = PARSERS.map(|_| Vec::new());
    let begin = Instant::now();
    while passes[0].is_empty() || begin.elapsed() < length {
        for (passes, (_, parse)) in passes.iter_mut().zip(PARSERS) {
            passes.push(parse(body)?);
        }
    }
    Ok(passes.map(|mut passes| {
        passes.sort_unstable();
        passes[passes.len() / 2]
    }))
}

fn parse(body: &[u8]) -> Result<Tensor> {
    let specs = [TensorSpec::new("x", DType::F32, None)];
    let mut parsed = parse_predict(body, |_| Some(&specs[..]))?;
    Ok(parsed.inputs.remove(0))
}

fn ours(body: &[u8]) -> Result<Duration> {
    let begin = Instant::now();
    let tensor = parse(black_box(body))?;
    let length = begin.elapsed();
    black_box(tensor);
    Ok(length)
}

fn simd_document(body: &[u8]) -> Result<Duration> {
    let mut copy = body.to_vec();
    let begin = Instant::now();
    let document = simd_json::to_borrowed_value(black_box(&mut copy))?;
    let length = begin.elapsed();
    black_box(document);
    Ok(length)
}

fn serde_document(body: &[u8]) -> Result<Duration> {
    let begin = Instant::now();
    let document: serde_json::Value = serde_json::from_slice(black_box(body))?;
    let length = begin.elapsed();
    black_box(document);
    Ok(length)
}

/// The least that anybody could do: finds where numbers begin, checks nothing, keeps them in one list.
fn flat_loop(body: &[u8]) -> Result<Duration> {
    let begin = Instant::now();
    let numbers = numbers(black_box(body));
    let length = begin.elapsed();
    black_box(numbers);
    Ok(length)
}

fn numbers(body: &[u8]) -> Vec<f32> {
    let mut numbers = Vec::new();
    let mut at = 0;
    while let Some(byte) = body.get(at) {
        if !matches!(byte, b'-' | b'0'..=b'9') {
            at += 1;
            continue;
        }
        let Ok((number, length)) = fast_float2::parse_partial(&body[at..]) else {
            break;
        };
        numbers.push(number);
        at += length;
    }
    numbers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flat_loop_finds_every_number() {
        assert_eq!(
            numbers(br#"{"instances":[[0.5,-2],[1e3,0.25]]}"#),
            [0.5, -2.0, 1000.0, 0.25]
        );
    }

    #[test]
    fn every_parser_reads_a_body_however_short_the_turn() {
        let medians = turn(br#"{"instances": [1.5, 2.5]}"#, Duration::ZERO).unwrap();
        assert_eq!(medians.len(), PARSERS.len());
    }
}
