//! What is fetched by [`install()`]: TensorFlow's own wheels.

use std::path::{Path, PathBuf};

use salver_engine_install::{InstallError, Machine, Package, Pin, Wheels};

use crate::library;

/// The version that [`install()`] fetches.
pub const VERSION: &str = "2.21.0";

/// The folder in the wheel that the libraries are in.
const LIBRARY_DIR: &str = "tensorflow/";

/// The terms under which the libraries may be used; they go with them.
const LICENCES: [&str; 2] = [
    "tensorflow/include/LICENSE",
    "tensorflow/THIRD_PARTY_NOTICES.txt",
];

/// What there is to install.
pub(crate) const PACKAGE: Package = Package {
    title: "TensorFlow",
    folder: "tensorflow",
    version: VERSION,
    wheels: WHEELS,
    download_megabytes: 270,
    is_wanted,
    // The larger library has about 800 million, and had 1,100 million in other builds.
    max_file_bytes: 2 * 1024 * 1024 * 1024,
    library_in: library::library_in,
};

/// Installs the libraries into `<cache_dir>/tensorflow/<version>/` and returns the path of the one that is opened. Does
/// nothing if it is there.
///
/// `python` is a Python 3 with pip; `progress` is told what is being done, a line at a time.
///
/// # Blocking
/// Downloads 270 MB and unpacks 850 MB.
///
/// # Errors
/// [`InstallError`]; the cache is then as it was before.
pub fn install(
    cache_dir: &Path,
    python: &Path,
    progress: &mut dyn FnMut(&str),
) -> Result<PathBuf, InstallError> {
    salver_engine_install::install(&PACKAGE, cache_dir, python, progress)
}

/// Two libraries are wanted, which need nothing but the C and C++ libraries.
fn is_wanted(name: &str) -> bool {
    LICENCES.contains(&name)
        || name
            .strip_prefix(LIBRARY_DIR)
            .is_some_and(|name| library::is_main(name) || library::is_framework(name))
}

/// The wheels of [`VERSION`]. Only on x86-64 is there one without GPU support that has a name of its own.
const WHEELS: &[Wheels] = &[
    Wheels {
        machine: Machine::LinuxX86,
        package: "tensorflow-cpu",
        platform: "manylinux_2_27_x86_64",
        pins: &[
            Pin {
                file: "tensorflow_cpu-2.21.0-cp310-cp310-manylinux_2_27_x86_64.whl",
                sha256: "d143e92f5c0661cdfa26eaca8f73cd2efd0ec53a68af8dec82f584ba8eb14b83",
            },
            Pin {
                file: "tensorflow_cpu-2.21.0-cp311-cp311-manylinux_2_27_x86_64.whl",
                sha256: "2b847d217b02ee7731ed91431daf3250daa0196c3c94614d23be27232e6e5b6c",
            },
            Pin {
                file: "tensorflow_cpu-2.21.0-cp312-cp312-manylinux_2_27_x86_64.whl",
                sha256: "dcc8afd32930e42d5296b6ee19078b773706830af4ea97fbe503b9f5e0f820cb",
            },
            Pin {
                file: "tensorflow_cpu-2.21.0-cp313-cp313-manylinux_2_27_x86_64.whl",
                sha256: "05af7c26d35f4de910b5598c7b507e3981831a7b0f47fed9a405d995d51d7793",
            },
        ],
    },
    Wheels {
        machine: Machine::LinuxArm,
        package: "tensorflow",
        platform: "manylinux_2_27_aarch64",
        pins: &[
            Pin {
                file: "tensorflow-2.21.0-cp310-cp310-manylinux_2_27_aarch64.whl",
                sha256: "7c97938b25cf70c80ae8619931f85abcdee2ab2eb256c2051202edb3b89e9a5d",
            },
            Pin {
                file: "tensorflow-2.21.0-cp311-cp311-manylinux_2_27_aarch64.whl",
                sha256: "4b24aca16d527a3cf1c37f720c04c484c3d20f4d0fdfa98632ac8b9f3be6eb5c",
            },
            Pin {
                file: "tensorflow-2.21.0-cp312-cp312-manylinux_2_27_aarch64.whl",
                sha256: "b07d15737406533898e36c7ef7944b1be18e9028dc521b9229952c537bbc5552",
            },
            Pin {
                file: "tensorflow-2.21.0-cp313-cp313-manylinux_2_27_aarch64.whl",
                sha256: "a10abdfb8b1189210c251021a3f153b7ccc52a8e6521351f3dc3331e8ba593e0",
            },
        ],
    },
    Wheels {
        machine: Machine::MacArm,
        package: "tensorflow",
        platform: "macosx_12_0_arm64",
        pins: &[
            Pin {
                file: "tensorflow-2.21.0-cp310-cp310-macosx_12_0_arm64.whl",
                sha256: "6462632889e0e9ce1455b208c87b86a8c154e899407ef7d426ef1ec71647f565",
            },
            Pin {
                file: "tensorflow-2.21.0-cp311-cp311-macosx_12_0_arm64.whl",
                sha256: "51f46f4806139d01fc7920cc72a4c75876f80649bf40ff083ab6212ceb43ca88",
            },
            Pin {
                file: "tensorflow-2.21.0-cp312-cp312-macosx_12_0_arm64.whl",
                sha256: "56ecd7d47429acbe1df2694d50b75bf9fc3995ac92cb367cd9af6c4780ead712",
            },
            Pin {
                file: "tensorflow-2.21.0-cp313-cp313-macosx_12_0_arm64.whl",
                sha256: "a145ed46c58192b7c3f9916d070caf4f6afc6dc7e5511f83dd97677f4c4947f4",
            },
        ],
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_libraries_and_their_licences_are_wanted_and_nothing_else() {
        let rows = [
            ("tensorflow/THIRD_PARTY_NOTICES.txt", true),
            ("tensorflow/libtensorflow_cc.so.2", true),
            ("tensorflow/libtensorflow_framework.so.2", true),
            ("tensorflow/libtensorflow_cc.2.dylib", true),
            ("tensorflow/__init__.py", false),
            ("tensorflow/python/libtensorflow_cc.so.2", false),
            ("tensorflow/../libtensorflow_cc.so.2", false),
            ("tensorflow/include/external/ducc/LICENSE", false),
        ];
        for (name, expected) in rows {
            assert_eq!(is_wanted(name), expected, "{name}");
        }
    }
}
