use super::*;

fn spec(name: &str, dtype: DType) -> TensorSpec {
    TensorSpec::new(name, dtype, None)
}

#[test]
fn requests_name_every_input() {
    let x = Tensor::from_vec([2, 2], vec![1.0_f32, 2.5, -0.1, 1e-9]).unwrap();
    let n = Tensor::from_vec([], vec![-7_i64]).unwrap();
    let rows: [(&[(&str, &Tensor)], &str); 3] = [
        (
            &[("x", &x)],
            r#"{"signature_name":"s","inputs":{"x":[[1.0,2.5],[-0.1,1e-9]]}}"#,
        ),
        (
            &[("n", &n), ("x", &x)],
            r#"{"signature_name":"s","inputs":{"n":-7,"x":[[1.0,2.5],[-0.1,1e-9]]}}"#,
        ),
        (&[], r#"{"signature_name":"s","inputs":{}}"#),
    ];
    for (inputs, expected) in rows {
        assert_eq!(request_body("s", inputs).unwrap(), expected);
    }
}

#[test]
fn every_kind_of_element_has_its_form() {
    let strings = [Bytes::from_static(b"a\"b"), Bytes::from_static(&[0xff])].to_vec();
    let rows = [
        (
            Tensor::from_vec([3], vec![f32::NAN, f32::INFINITY, f32::NEG_INFINITY]).unwrap(),
            "[NaN,Infinity,-Infinity]",
        ),
        (
            Tensor::from_bools([2], &[true, false]).unwrap(),
            "[true,false]",
        ),
        (
            Tensor::from_strings([2], strings).unwrap(),
            r#"["a\"b",{"b64":"/w=="}]"#,
        ),
        (Tensor::from_vec([1, 0], Vec::<u8>::new()).unwrap(), "[[]]"),
        (
            Tensor::from_vec([1], vec![u64::MAX]).unwrap(),
            "[18446744073709551615]",
        ),
    ];
    for (tensor, expected) in rows {
        let mut out = String::new();
        write_tensor("x", &tensor, &mut out).unwrap();
        assert_eq!(out, expected);
    }
}

#[test]
fn dtypes_without_a_form_are_refused_by_name() {
    let tensor = Tensor::from_bytes(DType::F16, [1], Bytes::from_static(&[0, 0])).unwrap();
    let error = request_body("s", &[("x", &tensor)]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "input `x` is f16, which the REST API cannot take; use the gRPC API"
    );
}

#[test]
fn what_is_written_is_read_back() {
    let strings = [
        Bytes::from_static(b"NaN \\\" {"),
        Bytes::from_static(&[0xff, 0]),
    ]
    .to_vec();
    let rows = [
        Tensor::from_vec(
            [2, 1, 2],
            vec![1.0_f32, f32::MIN_POSITIVE, f32::INFINITY, -0.0],
        )
        .unwrap(),
        Tensor::from_vec([], vec![std::f64::consts::PI]).unwrap(),
        Tensor::from_vec([2], vec![i64::MIN, i64::MAX]).unwrap(),
        Tensor::from_vec([1], vec![u64::MAX]).unwrap(),
        Tensor::from_vec([0], Vec::<i32>::new()).unwrap(),
        Tensor::from_bools([3], &[true, false, true]).unwrap(),
        Tensor::from_strings([2], strings).unwrap(),
    ];
    for tensor in rows {
        let mut answer = "{\"outputs\": ".to_owned();
        write_tensor("y", &tensor, &mut answer).unwrap();
        answer.push('}');
        let outputs = decode_response(answer.as_bytes(), &[spec("y", tensor.dtype())]).unwrap();
        assert!(outputs[0].1 == tensor, "{answer}");
    }
}

#[test]
fn several_outputs_are_read_by_name() {
    let body = br#"{"outputs": {"b": [1, 2], "a": [[0.5]]}}"#;
    let outputs = decode_response(body, &[spec("a", DType::F32), spec("b", DType::I32)]).unwrap();
    assert_eq!(outputs[0].1.as_slice::<f32>().unwrap(), [0.5]);
    assert_eq!(outputs[1].1.as_slice::<i32>().unwrap(), [1, 2]);
}

#[test]
fn answers_that_do_not_fit_are_errors() {
    let rows: [(&[u8], &str); 6] = [
        (b"{\"outputs\": [[1.0], 2.0]}", "not rectangular"),
        (b"{\"outputs\": [[1.0], [2.0, 3.0]]}", "not rectangular"),
        (b"{\"outputs\": [\"x\"]}", "output `y` is not f32"),
        (b"{\"predictions\": [1.0]}", "no `outputs`"),
        (b"{\"outputs\": ", "EOF"),
        (b"\xff", "utf-8"),
    ];
    for (body, expected) in rows {
        let error = decode_response(body, &[spec("y", DType::F32)])
            .unwrap_err()
            .to_string();
        assert!(error.contains(expected), "{error}");
    }
}
