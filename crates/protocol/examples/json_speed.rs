//! Prints how fast predict bodies are parsed and written, beside `serde_json` making a document of the same bytes.
//!
//! `cargo run --release -p salver-protocol --example json_speed`

#![allow(clippy::print_stdout, reason = "its output is the result")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use salver_protocol::json::{Format, check_predict, encode_predict, parse_predict};
use salver_tensor::{DType, Tensor, TensorSpec};

/// Numbers in a body: a picture of 299 x 299 x 3.
const NUM_ELEMENTS: usize = 299 * 299 * 3;

/// Each measurement goes on for this long and keeps the fastest round.
const MEASURE_FOR: Duration = Duration::from_millis(600);

/// Where random numbers start: any odd number will do.
const SEED: u64 = 0x9e37_79b9_7f4a_7c15;

fn main() {
    let mut random = Random(SEED);
    let mut numbers = |number: &mut dyn FnMut(f64) -> String, separator: &str| {
        let numbers: Vec<String> = (0..NUM_ELEMENTS)
            .map(|_| number(random.fraction()))
            .collect();
        numbers.join(separator)
    };
    let six_digits = numbers(&mut |x| format!("{x:.6}"), ",");
    let spaced = numbers(&mut |x| format!("{x:.6}"), ", ");
    let widened = numbers(&mut |x| format!("{}", f64::from(x as f32)), ", ");
    let doubles = numbers(&mut |x| format!("{x}"), ", ");
    let pixels = numbers(&mut |x| format!("{}", (x * 256.0) as u8), ",");

    println!(
        "{:<34}{:>10}{:>12}{:>10}{:>12}",
        "parse, MB/s", "MB", "this crate", "check", "serde_json"
    );
    parse("f32  0.123456,", DType::F32, &six_digits);
    parse("f32  0.123456, (with spaces)", DType::F32, &spaced);
    parse("f32  widened to f64, as Python does", DType::F32, &widened);
    parse("f64  17 digits", DType::F64, &doubles);
    parse("f32  0..255", DType::F32, &pixels);
    parse("u8   0..255", DType::U8, &pixels);
    parse("i64  0..255", DType::I64, &pixels);
    parse_rows("f32  rows of 13", DType::F32, &six_digits, 13);
    parse_picture(&six_digits);
    parse_base64();

    println!(
        "\n{:<34}{:>10}{:>12}{:>10}{:>12}",
        "write, MB/s", "MB", "this crate", "", "serde_json"
    );
    write(
        "f32  random",
        &(0..NUM_ELEMENTS)
            .map(|_| random.fraction() as f32)
            .collect::<Vec<_>>(),
    );
    write(
        "f32  six digits",
        &(0..NUM_ELEMENTS)
            .map(|_| (random.fraction() * 1e6).round() as f32 / 1e6)
            .collect::<Vec<_>>(),
    );
}

fn parse(name: &str, dtype: DType, numbers: &str) {
    report_parse(name, dtype, &format!("{{\"instances\": [[{numbers}]]}}"));
}

fn parse_rows(name: &str, dtype: DType, numbers: &str, row_len: usize) {
    let numbers: Vec<&str> = numbers.split(',').collect();
    let rows: Vec<String> = numbers
        .chunks_exact(row_len)
        .map(|row| format!("[{}]", row.join(",")))
        .collect();
    report_parse(
        name,
        dtype,
        &format!("{{\"instances\": [{}]}}", rows.join(",")),
    );
}

/// A picture of 224 x 224 x 3 as rows: what image clients send.
fn parse_picture(numbers: &str) {
    let lists = |values: Vec<String>, extent: usize| -> Vec<String> {
        let lists = values.chunks_exact(extent);
        lists.map(|list| format!("[{}]", list.join(","))).collect()
    };
    let values = numbers.split(',').take(224 * 224 * 3);
    let values: Vec<String> = values.map(str::to_owned).collect();
    let picture = lists(lists(lists(values, 3), 224), 224);
    let body = format!("{{\"instances\": [{}]}}", picture.join(","));
    report_parse("f32  a picture in rows", DType::F32, &body);
}

fn parse_base64() {
    let text = "AAAA/w".repeat(200_000);
    report_parse(
        "string  one b64",
        DType::String,
        &format!("{{\"instances\": [{{\"b64\": \"{text}\"}}]}}"),
    );
}

fn report_parse(name: &str, dtype: DType, body: &str) {
    let specs = [TensorSpec::new("x", dtype, None)];
    let ours = fastest(|| {
        black_box(parse_predict(body.as_bytes(), |_| Some(&specs[..])).expect("the body is right"));
    });
    let check = fastest(|| check_predict(body.as_bytes()).expect("the body is right"));
    let document = fastest(|| {
        black_box(serde_json::from_str::<serde_json::Value>(body).expect("the body is right"));
    });
    let speed = |time: Duration| body.len() as f64 / time.as_secs_f64() / 1e6;
    println!(
        "{name:<34}{:>10.2}{:>12.0}{:>10.0}{:>12.0}",
        body.len() as f64 / 1e6,
        speed(ours),
        speed(check),
        speed(document)
    );
}

fn write(name: &str, numbers: &[f32]) {
    let tensor =
        Tensor::from_vec([1, numbers.len()], numbers.to_vec()).expect("the length is right");
    let mut out = Vec::new();
    let ours = fastest(|| {
        out.clear();
        encode_predict(Format::Row, &[("y", &tensor)], &mut out).expect("f32 can be written");
    });
    let theirs = fastest(|| {
        black_box(serde_json::to_vec(numbers).expect("f32 can be written"));
    });
    let speed = |time: Duration| out.len() as f64 / time.as_secs_f64() / 1e6;
    println!(
        "{name:<34}{:>10.2}{:>12.0}{:>10}{:>12.0}",
        out.len() as f64 / 1e6,
        speed(ours),
        "",
        speed(theirs)
    );
}

/// Runs again and again and returns the shortest time of one run.
fn fastest(mut run: impl FnMut()) -> Duration {
    let start = Instant::now();
    let mut best = Duration::MAX;
    while start.elapsed() < MEASURE_FOR {
        let before = Instant::now();
        run();
        best = best.min(before.elapsed());
    }
    best
}

/// A xorshift generator: the same numbers on every run.
struct Random(u64);

impl Random {
    /// Returns a number in 0..1.
    fn fraction(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }
}
