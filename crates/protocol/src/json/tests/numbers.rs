//! Numbers as text, read and written.

use super::*;

/// Reads a number at the end of a body, and far from it, where more bytes are looked at at once.
#[track_caller]
fn read_f32(text: &str) -> f32 {
    let [near, far] = [0, 40].map(|room| {
        let body = format!("{{\"inputs\": [{text}{:room$}]}}", "");
        parse_one(DType::F32, body).as_slice::<f32>().unwrap()[0]
    });
    assert!(near.to_bits() == far.to_bits(), "{text}: {near} and {far}");
    near
}

#[track_caller]
fn read_f64(text: &str) -> f64 {
    parse_one(DType::F64, format!("{{\"inputs\": {text}}}"))
        .as_slice::<f64>()
        .unwrap()[0]
}

fn written(tensor: Result<Tensor, salver_tensor::TensorError>) -> String {
    let mut out = Vec::new();
    encode_predict(Format::Columnar, &[("y", &tensor.unwrap())], &mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    text["{\n    \"outputs\": ".len()..text.len() - 2].replace([' ', '\n'], "")
}

/// On either side of the middle of two singles, which the first sixteen digits behind the point do not tell.
const NEAR_MIDDLES: [&str; 20] = [
    "0.00100000010570511221",
    "0.00100000010570511222",
    "0.0010000001057051122188",
    "0.0010000001057051122189",
    "0.0010000001057051122188568115234375",
    "0.00099000002956017851",
    "0.00099000002956017852",
    "0.0009900000295601785182",
    "0.0009900000295601785183",
    "0.0009900000295601785182952880859375",
    "0.00110000005224719643",
    "0.00110000005224719644",
    "0.0011000000522471964359",
    "0.0011000000522471964360",
    "0.0011000000522471964359283447265625",
    "0.50000002980232238769",
    "0.50000002980232238770",
    "0.5000000298023223876953",
    "0.5000000298023223876954",
    "0.5000000298023223876953125",
];

#[test]
fn floats_are_rounded_correctly() {
    for text in [
        "0",
        "-0",
        "0.0",
        "1",
        "-1.5",
        "0.1",
        "0.123456",
        "123.456e2",
        "1e0",
        "1E+2",
        "1e-2",
        "16777217",
        "16777219",
        "16777217.0000000000000000001",
        "0.30000000000000004",
        "0.07843137532472610474",
        "1.17549435e-38",
        "1.1754943e-38",
        "1e-45",
        "7e-46",
        "7.1e-46",
        "4.9e-324",
        "2.4703282292062327e-324",
        "3.4028235e38",
        "3.4028235677973366e38",
        "3.4028235677973365e38",
        "1e39",
        "-1e39",
        "1e308",
        "1.7976931348623159e308",
        "1e309",
        "-1e400",
        "1e99999999999999999999",
        "1e-99999999999999999999",
        "123456789012345678901234567890",
        "0.000000000000000000000000000001234567890123456789",
        "9007199254740993",
        "9007199254740992.5",
        "1435774380",
        "8.5e22",
        "123456789e22",
        "9.999999999999999999999999",
        "12345678",
        "123456789",
        "0.12345678901234567890123",
        "0.5",
        "0.25000000000000000",
        "-9.9999999999999999",
        "0.000999999999999999999",
        "0.00100000000000000000009",
        "0.0000000000000000000000000001",
        "1.00000005960464477539062",
        "1.000000059604644775390625",
        "1.0000000596046447753906250",
        "1.00000005960464477539063",
        "5.25e1",
        "5.25E-3",
        "2.2250738585072011e-308",
        "18446744073709551615",
        "18446744073709551616",
        "9223372036854775807.5",
    ]
    .into_iter()
    .chain(NEAR_MIDDLES)
    {
        let expected: f32 = text.parse().unwrap();
        assert_eq!(read_f32(text).to_bits(), expected.to_bits(), "{text}");
        let expected: f64 = text.parse().unwrap();
        assert_eq!(read_f64(text).to_bits(), expected.to_bits(), "{text}");
    }
}

#[test]
fn bare_words_are_floats_and_nothing_else() {
    assert!(read_f32("NaN").is_nan() && read_f64("-NaN").is_nan());
    for (text, expected) in [
        ("Infinity", f32::INFINITY),
        ("Inf", f32::INFINITY),
        ("-Infinity", f32::NEG_INFINITY),
        ("-Inf", f32::NEG_INFINITY),
    ] {
        assert_eq!(read_f32(text), expected);
        assert_eq!(read_f64(text), f64::from(expected));
    }
    let error = refusal(&[("x", DType::I32)], r#"{"inputs": NaN}"#);
    assert_eq!(
        error,
        "JSON Value: NaN Type: Number is not of expected type: int32"
    );
}

/// Reads one whole number as each integer dtype; `None` where it is refused.
fn read_whole(text: &str) -> [Option<i128>; 7] {
    let body = format!("{{\"inputs\": [{text}]}}");
    let read = |dtype| {
        parse(&[("x", dtype)], &body)
            .ok()
            .map(|parsed| parsed.inputs[0].clone())
    };
    [
        read(DType::U8).map(|x| x.as_slice::<u8>().unwrap()[0].into()),
        read(DType::I8).map(|x| x.as_slice::<i8>().unwrap()[0].into()),
        read(DType::I16).map(|x| x.as_slice::<i16>().unwrap()[0].into()),
        read(DType::I32).map(|x| x.as_slice::<i32>().unwrap()[0].into()),
        read(DType::U32).map(|x| x.as_slice::<u32>().unwrap()[0].into()),
        read(DType::I64).map(|x| x.as_slice::<i64>().unwrap()[0].into()),
        read(DType::U64).map(|x| x.as_slice::<u64>().unwrap()[0].into()),
    ]
}

#[test]
fn whole_numbers_keep_to_their_range_and_small_ones_wrap() {
    let all = |number: i128| [Some(number); 7];
    assert_eq!(read_whole("0"), all(0));
    assert_eq!(read_whole("-0"), all(0));
    assert_eq!(read_whole("127"), all(127));
    let max = i128::from(i64::MAX);
    for (text, expected) in [
        (
            "300",
            [
                Some(44),
                Some(44),
                Some(300),
                Some(300),
                Some(300),
                Some(300),
                Some(300),
            ],
        ),
        (
            "-1",
            [
                Some(255),
                Some(-1),
                Some(-1),
                Some(-1),
                None,
                Some(-1),
                None,
            ],
        ),
        (
            "40000",
            [
                Some(64),
                Some(64),
                Some(-25536),
                Some(40000),
                Some(40000),
                Some(40000),
                Some(40000),
            ],
        ),
        (
            "2147483647",
            [
                Some(255),
                Some(-1),
                Some(-1),
                Some(2147483647),
                Some(2147483647),
                Some(2147483647),
                Some(2147483647),
            ],
        ),
        (
            "2147483648",
            [
                None,
                None,
                None,
                None,
                Some(2147483648),
                Some(2147483648),
                Some(2147483648),
            ],
        ),
        (
            "-2147483648",
            [
                Some(0),
                Some(0),
                Some(0),
                Some(-2147483648),
                None,
                Some(-2147483648),
                None,
            ],
        ),
        (
            "4294967296",
            [
                None,
                None,
                None,
                None,
                None,
                Some(4294967296),
                Some(4294967296),
            ],
        ),
        (
            "9223372036854775807",
            [None, None, None, None, None, Some(max), Some(max)],
        ),
        (
            "9223372036854775808",
            [None, None, None, None, None, None, Some(max + 1)],
        ),
        (
            "-9223372036854775808",
            [None, None, None, None, None, Some(-max - 1), None],
        ),
        ("-9223372036854775809", [None; 7]),
        (
            "18446744073709551615",
            [None, None, None, None, None, None, Some(u64::MAX.into())],
        ),
        ("18446744073709551616", [None; 7]),
        ("100000000000000000000000", [None; 7]),
        ("1.0", [None; 7]),
        ("1e0", [None; 7]),
    ] {
        assert_eq!(read_whole(text), expected, "{text}");
    }
}

#[test]
fn singles_are_written_as_c_writes_them() {
    for (value, expected) in [
        (0.0, "0.0"),
        (-0.0, "-0.0"),
        (1.0, "1.0"),
        (2.5, "2.5"),
        (9_000_000.0, "9e+06"),
        (999_999.0, "999999.0"),
        (1_000_000.0, "1e+06"),
        (1_234_567.0, "1234567.0"),
        (0.5, "0.5"),
        (0.0003, "0.0003"),
        (0.00003, "3e-05"),
        (555_557.5, "555557.5"),
        (0.1, "0.1"),
        (0.3, "0.3"),
        (1.0 / 3.0, "0.333333343"),
        (16_777_216.0, "16777216.0"),
        (123_456_790.0, "123456792.0"),
        (908_433_984.0, "9.08434e+08"),
        (1e10, "1e+10"),
        (12_345_678_848.0, "1.23456788e+10"),
        (f32::MAX, "3.40282347e+38"),
        (f32::MIN_POSITIVE, "1.17549435e-38"),
        (1e-45, "1.4013e-45"),
        (-1.5e-7, "-1.5e-07"),
        (0.000_123_456_79, "0.00012345679"),
        (99_999.95, "99999.9531"),
        (8_388_608.0, "8388608.0"),
        (0.062_5, "0.0625"),
        (f32::INFINITY, "Infinity"),
        (f32::NEG_INFINITY, "-Infinity"),
        (f32::NAN, "NaN"),
    ] {
        assert_eq!(written(Tensor::from_vec([], vec![value])), expected);
    }
}

#[test]
fn doubles_are_written_as_c_writes_them() {
    for (value, expected) in [
        (8.0, "8.0"),
        (0.1, "0.1"),
        (0.1 + 0.2, "0.30000000000000004"),
        (0.123_456_7, "0.1234567"),
        (1.0 / 3.0, "0.33333333333333331"),
        (123_456_789.0, "123456789.0"),
        (1e16, "1e+16"),
        (12_345_678_901_234_567.0, "12345678901234568.0"),
        (1.234_567_890_123_456_7e17, "1.2345678901234566e+17"),
        (1e22, "1e+22"),
        (1e23, "1e+23"),
        (9_007_199_254_740_993.0, "9007199254740992.0"),
        (f64::MAX, "1.7976931348623157e+308"),
        (f64::MIN_POSITIVE, "2.2250738585072014e-308"),
        (5e-324, "4.94066e-324"),
        (1e-5, "1e-05"),
        (1.25e-100, "1.25e-100"),
        (-2.5, "-2.5"),
    ] {
        assert_eq!(written(Tensor::from_vec([], vec![value])), expected);
    }
}

#[test]
fn whole_numbers_are_written_without_a_point() {
    assert_eq!(written(Tensor::from_vec([2], vec![0_u8, 255])), "[0,255]");
    assert_eq!(
        written(Tensor::from_vec([2], vec![i8::MIN, i8::MAX])),
        "[-128,127]"
    );
    assert_eq!(
        written(Tensor::from_vec([2], vec![i16::MIN, i16::MAX])),
        "[-32768,32767]"
    );
    assert_eq!(
        written(Tensor::from_vec([2], vec![i32::MIN, i32::MAX])),
        "[-2147483648,2147483647]"
    );
    assert_eq!(
        written(Tensor::from_vec([2], vec![0, u32::MAX])),
        "[0,4294967295]"
    );
    assert_eq!(
        written(Tensor::from_vec([2], vec![i64::MIN, i64::MAX])),
        "[-9223372036854775808,9223372036854775807]"
    );
    assert_eq!(
        written(Tensor::from_vec([2], vec![10, u64::MAX])),
        "[10,18446744073709551615]"
    );
    assert_eq!(
        written(Tensor::from_bools([2], &[true, false])),
        "[true,false]"
    );
}
