//! Files that are damaged, not whole or beyond the engine are told apart; weights may lie beside the model.

use salver_backend::{Backend, BackendError, ModelFiles, ModelFormat};
use salver_tensor::Tensor;

use super::loaded::{config, format};
use super::{Case, Failure, Loaded, Outcome, ensure};
use crate::{ModelFolder, Tiny, Tolerance, models};

pub(super) const CASES: &[Case] = &[
    Case {
        name: "refuses_files_that_are_not_whole",
        check: refuses_files_that_are_not_whole,
    },
    Case {
        name: "refuses_files_that_are_no_models",
        check: refuses_files_that_are_no_models,
    },
    Case {
        name: "names_operators_it_does_not_have",
        check: names_operators_it_does_not_have,
    },
    Case {
        name: "refuses_outputs_that_are_no_tensors",
        check: refuses_outputs_that_are_no_tensors,
    },
];

/// Only ONNX lets a model say where its weights are.
pub(super) const ONNX_CASES: &[Case] = &[
    Case {
        name: "finds_weights_beside_the_model",
        check: finds_weights_beside_the_model,
    },
    Case {
        name: "refuses_weights_that_are_missing",
        check: refuses_weights_that_are_missing,
    },
    Case {
        name: "refuses_weights_from_elsewhere",
        check: refuses_weights_from_elsewhere,
    },
];

/// Both ways of looking at a model's files must come to this conclusion.
fn ensure_refused(
    backend: &dyn Backend,
    files: &ModelFiles,
    is_right: fn(&BackendError) -> bool,
    what: &str,
) -> Outcome {
    let load = || backend.load(files, &config()).map(|_| ());
    for (step, result) in [("supports", backend.supports(files)), ("load", load())] {
        let is_right = result.as_ref().is_err_and(is_right);
        ensure(is_right, || format!("{what}: {step} gives {result:?}"))?;
    }
    Ok(())
}

fn is_invalid_model(error: &BackendError) -> bool {
    matches!(error, BackendError::InvalidModel { .. })
}

fn is_unsupported(error: &BackendError) -> bool {
    matches!(error, BackendError::Unsupported { remedy, .. } if !remedy.is_empty())
}

fn refuses_files_that_are_not_whole(backend: &dyn Backend) -> Outcome {
    let format = format(backend);
    let whole = Tiny::Mlp.bytes(format);
    for len in (0..whole.len()).step_by(7).chain([1, 2, whole.len() - 1]) {
        let folder = ModelFolder::of(format, &whole[..len]);
        ensure_refused(
            backend,
            &folder.files(),
            is_invalid_model,
            &format!("first {len} bytes of {}", whole.len()),
        )?;
    }
    Ok(())
}

fn refuses_files_that_are_no_models(backend: &dyn Backend) -> Outcome {
    for garbage in [
        &b"<html>404</html>"[..],
        b"\x08\x08\x3a\x02\xff\xff",
        &[0xff; 64],
        &[0; 64],
        b"{\"a\": 1}",
    ] {
        let folder = ModelFolder::of(format(backend), garbage);
        ensure_refused(
            backend,
            &folder.files(),
            is_invalid_model,
            &format!("{garbage:?}"),
        )?;
    }
    let folder = ModelFolder::of(format(backend), &[]);
    let mut missing = folder.files();
    missing.main = folder.path().join("missing/saved_model.pb");
    missing.dir = folder.path().join("missing");
    ensure_refused(backend, &missing, is_invalid_model, "a missing file")
}

fn names_operators_it_does_not_have(backend: &dyn Backend) -> Outcome {
    let folder = Tiny::UnknownOperator.folder(format(backend));
    let files = folder.files();
    // Which operators TensorFlow has only its library knows, which is not opened to ask.
    let refused = match files.format {
        ModelFormat::SavedModel => backend.load(&files, &config()).map(|_| ()),
        _ => {
            ensure_refused(backend, &files, is_unsupported, "an unknown operator")?;
            backend.supports(&files)
        }
    };
    match refused {
        Err(error) if is_unsupported(&error) && error.to_string().contains("Divine") => Ok(()),
        other => Err(Failure::Wrong(format!(
            "does not name the operator: {other:?}"
        ))),
    }
}

fn refuses_outputs_that_are_no_tensors(backend: &dyn Backend) -> Outcome {
    let folder = Tiny::OddOutput.folder(format(backend));
    ensure_refused(backend, &folder.files(), is_unsupported, "no tensor")
}

fn finds_weights_beside_the_model(backend: &dyn Backend) -> Outcome {
    for location in [
        "model.onnx.data",
        "weights.bin",
        "weights",
        "./sub/weights.pb",
    ] {
        let (model, weights) = models::external_mlp(location);
        let folder = ModelFolder::with_model(&model);
        folder.write(location, &weights);
        let mut loaded = Loaded::from_folder(backend, &folder)?;
        // What is loaded does not depend on the files any more.
        folder.write(location, &[]);
        folder.write("model.onnx", &[]);
        let x = Tensor::from_vec([2, 4], vec![0.5_f32, -1.0, 2.0, 0.0, 1.0, 1.0, -1.0, 0.25])
            .expect("eight");
        let tolerance = Tolerance::Close {
            rtol: 1e-5,
            atol: 1e-6,
        };
        tolerance.check(
            &loaded.answer(std::slice::from_ref(&x))?[0],
            &models::mlp_expected(&x),
        )?;
    }
    Ok(())
}

fn refuses_weights_that_are_missing(backend: &dyn Backend) -> Outcome {
    let (model, weights) = models::external_mlp("model.onnx.data");
    let folder = ModelFolder::with_model(&model);
    ensure_refused(
        backend,
        &folder.files(),
        is_invalid_model,
        "weights that are missing",
    )?;
    folder.write("model.onnx.data", &weights[..weights.len() - 1]);
    ensure_refused(
        backend,
        &folder.files(),
        is_invalid_model,
        "weights that are too short",
    )
}

fn refuses_weights_from_elsewhere(backend: &dyn Backend) -> Outcome {
    let (_, weights) = models::external_mlp("");
    let elsewhere = ModelFolder::with_model(&[]);
    elsewhere.write("weights.data", &weights);
    let absolute = elsewhere.path().join("weights.data");
    for location in [
        "../weights.data",
        "sub/../../weights.data",
        &absolute.to_string_lossy(),
    ] {
        let (model, _) = models::external_mlp(location);
        let folder = ModelFolder::with_model(&model);
        ensure_refused(backend, &folder.files(), is_invalid_model, location)?;
    }
    Ok(())
}
