//! Reads any text as each of TensorFlow Serving's configuration files; what a list of models says must survive being
//! printed and read again.

#![no_main]

use libfuzzer_sys::fuzz_target;
use salver_protocol::config::{
    self, ModelsFile, SessionOverrides, parse_batching, parse_models, parse_platforms,
    parse_session, print_models,
};

fuzz_target!(|text: &str| {
    if let Ok(ModelsFile::List(models)) = parse_models(text) {
        // Another type in an `Any` than those that are known cannot be printed in a form that can be read.
        let is_plain = models.iter().all(|model| {
            let logging = model.logging.as_ref();
            logging
                .is_none_or(|logging| logging.custom.is_none() && !logging.sampling_rate.is_nan())
        });
        if is_plain {
            let printed = print_models(&models);
            let again = parse_models(&printed).expect("what was printed can be read");
            assert_eq!(print_models(as_list(&again)), printed);
        }
    }
    if let Ok(parameters) = parse_batching(text) {
        let _verdict = parameters.check();
    }
    let _platforms = parse_platforms(text);
    let _session = parse_session(text, &SessionOverrides::default());
    let _ssl = config::parse_ssl(text);
    let _monitoring = config::parse_monitoring(text);
});

fn as_list(file: &ModelsFile) -> &[config::ModelConfig] {
    match file {
        ModelsFile::List(models) => models,
        ModelsFile::Nothing => unreachable!("a list is printed as a list"),
    }
}
