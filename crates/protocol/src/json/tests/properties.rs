//! What holds for all bodies.

use bytes::Bytes;
use proptest::prelude::*;
use salver_tensor::Element;
use serde_json::{Value, json};

use super::*;

/// An answer as a request: what is written must be read back.
fn echo(format: Format, alias: &str, tensor: &Tensor) -> Tensor {
    let mut out = Vec::new();
    encode_predict(format, &[(alias, tensor)], &mut out).unwrap();
    let text = out.iter().position(|&byte| byte == b':').unwrap();
    let key = match format {
        Format::Row => "instances",
        Format::Columnar => "inputs",
    };
    let body = [format!("{{\"{key}\"").as_bytes(), &out[text..]].concat();
    let mut parsed = parse(&[(alias, tensor.dtype())], &body).unwrap();
    assert_eq!(parsed.format, format);
    parsed.inputs.remove(0)
}

fn shapes() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(1..4_usize, 0..5)
}

fn check_echo<T: Element>(shape: &[usize], elements: Vec<T>) {
    let tensor = Tensor::from_vec(shape.to_vec(), elements).unwrap();
    assert!(echo(Format::Columnar, "x", &tensor).as_bytes() == tensor.as_bytes());
    if !shape.is_empty() {
        let back = echo(Format::Row, "x", &tensor);
        assert_eq!(back.shape(), tensor.shape());
        assert!(back.as_bytes() == tensor.as_bytes());
    }
}

/// Shapes with elements of any value to fill them.
fn filled<T: Arbitrary + Clone>() -> impl Strategy<Value = (Vec<usize>, Vec<T>)> {
    shapes().prop_flat_map(|shape| {
        let num_elements = shape.iter().product::<usize>();
        (Just(shape), prop::collection::vec(any::<T>(), num_elements))
    })
}

fn finite_or_infinite_f32() -> impl Strategy<Value = f32> {
    any::<u32>()
        .prop_map(f32::from_bits)
        .prop_filter("NaN has many forms", |value| !value.is_nan())
}

fn finite_or_infinite_f64() -> impl Strategy<Value = f64> {
    any::<u64>()
        .prop_map(f64::from_bits)
        .prop_filter("NaN has many forms", |value| !value.is_nan())
}

fn json_values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_filter_map("finite", |value| serde_json::Number::from_f64(value)
            .map(Value::from)),
        ".{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 64, 8, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..8).prop_map(Value::from),
            prop::collection::btree_map(
                prop_oneof![Just("x".to_owned()), Just("b64".to_owned()), ".{0,6}"],
                inner,
                0..6
            )
            .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// Lists in lists that are nearly all of one shape.
fn nearly_regular() -> impl Strategy<Value = Value> {
    let number = (-99..100_i32).prop_map(Value::from);
    let leaves = |size: usize| prop::collection::vec(number.clone(), size).prop_map(Value::from);
    let of_three =
        prop_oneof![20 => leaves(3), 1 => leaves(2), 1 => leaves(0), 1 => number.clone()];
    let lists = prop_oneof![
        20 => prop::collection::vec(of_three.clone(), 2).prop_map(Value::from),
        1 => prop::collection::vec(of_three.clone(), 0..4).prop_map(Value::from),
        1 => of_three,
    ];
    prop::collection::vec(lists, 0..5).prop_map(Value::from)
}

fn bodies() -> impl Strategy<Value = Vec<u8>> {
    let key = prop_oneof![
        Just("instances"),
        Just("inputs"),
        Just("signature_name"),
        Just("other")
    ];
    (key, json_values())
        .prop_map(|(key, value)| json!({ key: value, "more": [1] }).to_string().into_bytes())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn singles_come_back_bit_for_bit(values in prop::collection::vec(finite_or_infinite_f32(), 1..64)) {
        check_echo(&[values.len()], values);
    }

    #[test]
    fn doubles_come_back_bit_for_bit(values in prop::collection::vec(finite_or_infinite_f64(), 1..64)) {
        check_echo(&[values.len()], values);
    }

    #[test]
    fn numbers_of_every_dtype_and_shape_come_back(
        u8s in filled::<u8>(), u32s in filled::<u32>(), u64s in filled::<u64>(), i8s in filled::<i8>(),
        i16s in filled::<i16>(), i32s in filled::<i32>(), i64s in filled::<i64>(), f64s in filled::<f64>(),
    ) {
        check_echo(&u8s.0, u8s.1);
        check_echo(&u32s.0, u32s.1);
        check_echo(&u64s.0, u64s.1);
        check_echo(&i8s.0, i8s.1);
        check_echo(&i16s.0, i16s.1);
        check_echo(&i32s.0, i32s.1);
        check_echo(&i64s.0, i64s.1);
        check_echo(&f64s.0, f64s.1);
    }

    #[test]
    fn strings_come_back_as_text_and_as_bytes((shape, strings) in filled::<Vec<u8>>()) {
        let strings: Vec<Bytes> = strings.into_iter().map(Bytes::from).collect();
        let tensor = Tensor::from_strings(shape, strings).unwrap();
        for alias in ["x", "x_bytes"] {
            prop_assert!(echo(Format::Columnar, alias, &tensor) == tensor);
        }
    }

    #[test]
    fn booleans_come_back((shape, bools) in filled::<bool>()) {
        let tensor = Tensor::from_bools(shape, &bools).unwrap();
        prop_assert!(echo(Format::Columnar, "x", &tensor) == tensor);
    }

    #[test]
    fn decimal_text_is_read_as_the_standard_library_reads_it(
        text in "-?([0-9]|[1-9][0-9]{0,24})(\\.[0-9]{1,40})?([eE][+-]?[0-9]{1,3})?",
        room in prop::sample::select(vec![0_usize, 40]),
    ) {
        // Far from the end of the body more bytes are looked at at once.
        let body = format!("{{\"inputs\": [{text}, 0{:room$}]}}", "");
        let single = parse_one(DType::F32, &body).as_slice::<f32>().unwrap()[0];
        prop_assert_eq!(single.to_bits(), text.parse::<f32>().unwrap().to_bits());
        let double = parse_one(DType::F64, &body).as_slice::<f64>().unwrap()[0];
        prop_assert_eq!(double.to_bits(), text.parse::<f64>().unwrap().to_bits());
    }

    #[test]
    fn text_near_the_middle_of_two_singles_is_rounded_correctly(bits in 0x0080_0000..0x7f00_0000_u32, nudge in -3..4_i64) {
        let middle = f64::from(f32::from_bits(bits)).midpoint(f64::from(f32::from_bits(bits + 1)));
        let near = f64::from_bits(middle.to_bits().wrapping_add_signed(nudge));
        let text = format!("{near:e}");
        let body = format!("{{\"inputs\": {text}}}");
        let single = parse_one(DType::F32, &body).as_slice::<f32>().unwrap()[0];
        prop_assert_eq!(single.to_bits(), text.parse::<f32>().unwrap().to_bits());
    }

    #[test]
    fn the_common_form_is_rounded_correctly_near_the_middle_of_two_singles(
        // As many of each size, as small ones are told from fewer digits.
        single in (1e-5_f32.to_bits()..10_f32.to_bits()).prop_map(f32::from_bits),
        num_digits in 10..32_usize,
    ) {
        let middle = f64::from(single).midpoint(f64::from(single.next_up()));
        let text = format!("{middle:.num_digits$}");
        let body = format!("{{\"inputs\": [{text}, {text}, {:40}]}}", 0);
        let singles = parse_one(DType::F32, &body);
        let expected = [text.parse::<f32>().unwrap(); 2];
        prop_assert_eq!(&singles.as_slice::<f32>().unwrap()[..2], &expected[..]);
    }

    #[test]
    fn white_space_changes_nothing(lists in nearly_regular()) {
        let compact = json!({ "inputs": lists }).to_string();
        let spaced = compact.replace(',', ", ");
        let wide = compact.replace(',', " ,\n").replace('[', "[ ").replace(']', "\t]");
        let tensors = |text: &str| match parse(X, text) {
            Ok(parsed) => Ok(parsed.inputs),
            Err(error) => Err(error.to_string()),
        };
        prop_assert_eq!(tensors(&compact), tensors(&spaced));
        prop_assert_eq!(tensors(&compact), tensors(&wide));
    }

    #[test]
    fn valid_json_is_valid_here(value in json_values(), pretty in any::<bool>()) {
        let document = json!({ "a": value });
        let text = if pretty { serde_json::to_string_pretty(&document) } else { serde_json::to_string(&document) };
        prop_assert_eq!(check_predict(text.unwrap().as_bytes()), Ok(()));
    }

    #[test]
    fn what_is_valid_here_is_valid_json(mut body in bodies(), edits in prop::collection::vec(any::<(u16, u8)>(), 0..4)) {
        mutate(&mut body, &edits);
        // Allowed here and not there: bytes that are not UTF-8, bare words, numbers beyond f64, lone surrogates.
        let body = String::from_utf8_lossy(&body).into_owned().into_bytes();
        prop_assume!(![&b"NaN"[..], b"Inf"].iter().any(|word| body.windows(3).any(|bytes| bytes == *word)));
        let first = serde_json::Deserializer::from_slice(&body).into_iter::<Value>().next();
        if let Some(Err(error)) = &first {
            let text = error.to_string();
            prop_assume!(!text.contains("out of range") && !text.contains("surrogate"));
        }
        // What follows the object is not looked at here.
        let theirs = matches!(first, Some(Ok(Value::Object(ref members))) if is_same_signature(members));
        prop_assert_eq!(check_predict(&body).is_ok(), theirs);
    }

    #[test]
    fn random_bytes_never_panic(body in prop::collection::vec(any::<u8>(), 0..256)) {
        parse_as_everything(&body);
    }

    #[test]
    fn mutated_bodies_never_panic(mut body in bodies(), edits in prop::collection::vec(any::<(u16, u8)>(), 0..6)) {
        mutate(&mut body, &edits);
        parse_as_everything(&body);
    }
}

/// `check_predict` refuses a name that is no string.
fn is_same_signature(members: &serde_json::Map<String, Value>) -> bool {
    members.get("signature_name").is_none_or(Value::is_string)
}

/// Overwrites, removes or doubles a byte at each place.
fn mutate(body: &mut Vec<u8>, edits: &[(u16, u8)]) {
    const TOKENS: &[u8] = b"[]{},:\"\\0123456789.-tfn ";
    for &(place, choice) in edits {
        if body.is_empty() {
            return;
        }
        let place = usize::from(place) % body.len();
        match choice % 3 {
            0 => body[place] = TOKENS[usize::from(choice) % TOKENS.len()],
            1 => _ = body.remove(place),
            _ => body.insert(place, body[place]),
        }
    }
}

/// Parses for every dtype, with one input and with two, in both ways: what is taken must be valid, and the same.
fn parse_as_everything(body: &[u8]) {
    let is_valid = check_predict(body).is_ok();
    for dtype in DType::ALL {
        for inputs in [&[("x", dtype)][..], &[("x", dtype), ("b64", DType::F32)]] {
            let specs = specs(inputs);
            let lookup = |name: &str| name.is_empty().then_some(specs.as_slice());
            let carefully = request::parse_carefully(body, &lookup);
            if let Some(optimistically) =
                request::parse_optimistically(scanner::Scanner::new(body), &lookup)
            {
                assert_eq!(carefully.as_ref(), Ok(&optimistically));
            }
            if let Ok(parsed) = carefully {
                assert!(is_valid);
                assert_eq!(parsed.inputs.len(), inputs.len());
            }
        }
    }
}
