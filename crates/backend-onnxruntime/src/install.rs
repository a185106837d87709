//! What is fetched by [`install()`]: ONNX Runtime's own wheels.

use std::path::{Path, PathBuf};

use salver_engine_install::{InstallError, Machine, Package, Pin, Wheels};

use crate::library;

/// The version that [`install()`] fetches.
pub const VERSION: &str = "1.31.1";

/// The folder in the wheel that the library is in.
const LIBRARY_DIR: &str = "onnxruntime/capi/";

/// The terms under which the library may be used; they go with it.
const LICENCES: [&str; 2] = ["onnxruntime/LICENSE", "onnxruntime/ThirdPartyNotices.txt"];

/// What there is to install.
pub(crate) const PACKAGE: Package = Package {
    title: "ONNX Runtime",
    folder: "onnxruntime",
    version: VERSION,
    wheels: WHEELS,
    download_megabytes: 24,
    is_wanted,
    // The library has about thirty million.
    max_file_bytes: 256 * 1024 * 1024,
    library_in: library::library_in,
};

/// Installs the library into `<cache_dir>/onnxruntime/<version>/` and returns its path. Does nothing if it is there.
///
/// `python` is a Python 3 with pip; `progress` is told what is being done, a line at a time.
///
/// # Blocking
/// Downloads 24 MB.
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

fn is_wanted(name: &str) -> bool {
    LICENCES.contains(&name)
        || name
            .strip_prefix(LIBRARY_DIR)
            .is_some_and(|name| !name.contains('/') && library::is_library(name))
}

/// The wheels of [`VERSION`].
const WHEELS: &[Wheels] = &[
    Wheels {
        machine: Machine::LinuxX86,
        package: "onnxruntime",
        platform: "manylinux_2_28_x86_64",
        pins: &[
            Pin {
                file: "onnxruntime-1.31.1-cp311-cp311-manylinux_2_28_x86_64.whl",
                sha256: "5752bd508126ae7c49894d3b9d2e83f0c3d487319246d04c444b393308d7ad7f",
            },
            Pin {
                file: "onnxruntime-1.31.1-cp312-cp312-manylinux_2_28_x86_64.whl",
                sha256: "1f3dea47f2f0e5117c2404cea7d21fd253ae7836a3bf167a501cdfbb2600d536",
            },
            Pin {
                file: "onnxruntime-1.31.1-cp313-cp313-manylinux_2_28_x86_64.whl",
                sha256: "74a6a52994616c4d18b33db1e13c226333a70a6ba07480a5cab9c2a50dff1430",
            },
            Pin {
                file: "onnxruntime-1.31.1-cp314-cp314-manylinux_2_28_x86_64.whl",
                sha256: "c20d7f15d84427db070b163f78c2c7146cc93edd6113fa7327671259a24184fe",
            },
            Pin {
                file: "onnxruntime-1.31.1-cp314-cp314t-manylinux_2_28_x86_64.whl",
                sha256: "4d5f5fcc01f0c334d282a8991eab44e7752ad01c47b336d848ba43eb38084958",
            },
        ],
    },
    Wheels {
        machine: Machine::LinuxArm,
        package: "onnxruntime",
        platform: "manylinux_2_28_aarch64",
        pins: &[
            Pin {
                file: "onnxruntime-1.31.1-cp311-cp311-manylinux_2_28_aarch64.whl",
                sha256: "da05378364c44d4407e463982d2bf8d5e4cfea873283757e48beeb41df97b7f3",
            },
            Pin {
                file: "onnxruntime-1.31.1-cp312-cp312-manylinux_2_28_aarch64.whl",
                sha256: "0b9a492176886992e0e875f06bc0367e333f5fff11711a2d642e18b02f3009cc",
            },
            Pin {
                file: "onnxruntime-1.31.1-cp313-cp313-manylinux_2_28_aarch64.whl",
                sha256: "dcaedc50333876f3829ab966b242147f0e548229e29c36fe44622ecf748c25ee",
            },
            Pin {
                file: "onnxruntime-1.31.1-cp314-cp314-manylinux_2_28_aarch64.whl",
                sha256: "c878686b75cade1ed59131aa018ab004b1e64368b0d54041912450b9642cf04f",
            },
        ],
    },
    Wheels {
        machine: Machine::MacArm,
        package: "onnxruntime",
        platform: "macosx_14_0_arm64",
        pins: &[
            Pin {
                file: "onnxruntime-1.31.1-cp311-cp311-macosx_14_0_arm64.whl",
                sha256: "60b6b69bfe580eab576cacc5d132a0e9cf2a37fcfd18d46dd191042b1d1ed0d7",
            },
            Pin {
                file: "onnxruntime-1.31.1-cp312-cp312-macosx_14_0_arm64.whl",
                sha256: "96dd2564b10ea7153ad9c207e7cd8e5917cb3ba521e0e0a62ac03486fdc8d56c",
            },
            Pin {
                file: "onnxruntime-1.31.1-cp313-cp313-macosx_14_0_arm64.whl",
                sha256: "e4ad067d36e2220218e085d7223283b2ee1bc73d887e811fd14d21cf901a11ee",
            },
            Pin {
                file: "onnxruntime-1.31.1-cp314-cp314-macosx_14_0_arm64.whl",
                sha256: "8536ac43682caa7492c46d6cfd4c3c8db288dcf0619508431a22170b670ee1d0",
            },
        ],
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_library_and_its_licences_are_wanted_and_nothing_else() {
        let rows = [
            ("onnxruntime/LICENSE", true),
            ("onnxruntime/capi/libonnxruntime.so.1.31.1", true),
            ("onnxruntime/__init__.py", false),
            ("onnxruntime/capi/libonnxruntime_providers_shared.so", false),
            ("../../libonnxruntime.so.9", false),
            ("onnxruntime/capi/../../libonnxruntime.so.9", false),
        ];
        for (name, expected) in rows {
            assert_eq!(is_wanted(name), expected, "{name}");
        }
    }
}
