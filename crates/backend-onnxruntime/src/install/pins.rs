//! The wheels that are known to be good.

/// One release file.
#[derive(Debug)]
pub(super) struct Pin {
    /// Its name, which says for which Python and machine it is; only for whoever updates this list.
    #[allow(dead_code, reason = "documents the hash beside it")]
    pub(super) file: &'static str,
    /// The hash of the whole file, in hexadecimal.
    pub(super) sha256: &'static str,
}

/// A kind of machine for which there are wheels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    LinuxX86,
    LinuxArm,
    MacArm,
}

impl Target {
    /// Returns the kind of the machine that this program is built for. The wheels are for glibc.
    pub(super) fn of_this_machine() -> Option<Self> {
        let is_glibc = cfg!(target_env = "gnu");
        match (std::env::consts::OS, std::env::consts::ARCH) {
            ("linux", "x86_64") if is_glibc => Some(Self::LinuxX86),
            ("linux", "aarch64") if is_glibc => Some(Self::LinuxArm),
            ("macos", "aarch64") => Some(Self::MacArm),
            _ => None,
        }
    }

    /// Returns pip's name for it.
    pub(super) const fn pip_platform(self) -> &'static str {
        match self {
            Self::LinuxX86 => "manylinux_2_28_x86_64",
            Self::LinuxArm => "manylinux_2_28_aarch64",
            Self::MacArm => "macosx_14_0_arm64",
        }
    }
}

/// The wheels of [`super::VERSION`].
pub(super) const PINS: &[Pin] = &[
    Pin {
        file: "onnxruntime-1.31.1-cp311-cp311-macosx_14_0_arm64.whl",
        sha256: "60b6b69bfe580eab576cacc5d132a0e9cf2a37fcfd18d46dd191042b1d1ed0d7",
    },
    Pin {
        file: "onnxruntime-1.31.1-cp311-cp311-manylinux_2_28_aarch64.whl",
        sha256: "da05378364c44d4407e463982d2bf8d5e4cfea873283757e48beeb41df97b7f3",
    },
    Pin {
        file: "onnxruntime-1.31.1-cp311-cp311-manylinux_2_28_x86_64.whl",
        sha256: "5752bd508126ae7c49894d3b9d2e83f0c3d487319246d04c444b393308d7ad7f",
    },
    Pin {
        file: "onnxruntime-1.31.1-cp312-cp312-macosx_14_0_arm64.whl",
        sha256: "96dd2564b10ea7153ad9c207e7cd8e5917cb3ba521e0e0a62ac03486fdc8d56c",
    },
    Pin {
        file: "onnxruntime-1.31.1-cp312-cp312-manylinux_2_28_aarch64.whl",
        sha256: "0b9a492176886992e0e875f06bc0367e333f5fff11711a2d642e18b02f3009cc",
    },
    Pin {
        file: "onnxruntime-1.31.1-cp312-cp312-manylinux_2_28_x86_64.whl",
        sha256: "1f3dea47f2f0e5117c2404cea7d21fd253ae7836a3bf167a501cdfbb2600d536",
    },
    Pin {
        file: "onnxruntime-1.31.1-cp313-cp313-macosx_14_0_arm64.whl",
        sha256: "e4ad067d36e2220218e085d7223283b2ee1bc73d887e811fd14d21cf901a11ee",
    },
    Pin {
        file: "onnxruntime-1.31.1-cp313-cp313-manylinux_2_28_aarch64.whl",
        sha256: "dcaedc50333876f3829ab966b242147f0e548229e29c36fe44622ecf748c25ee",
    },
    Pin {
        file: "onnxruntime-1.31.1-cp313-cp313-manylinux_2_28_x86_64.whl",
        sha256: "74a6a52994616c4d18b33db1e13c226333a70a6ba07480a5cab9c2a50dff1430",
    },
    Pin {
        file: "onnxruntime-1.31.1-cp314-cp314-macosx_14_0_arm64.whl",
        sha256: "8536ac43682caa7492c46d6cfd4c3c8db288dcf0619508431a22170b670ee1d0",
    },
    Pin {
        file: "onnxruntime-1.31.1-cp314-cp314-manylinux_2_28_aarch64.whl",
        sha256: "c878686b75cade1ed59131aa018ab004b1e64368b0d54041912450b9642cf04f",
    },
    Pin {
        file: "onnxruntime-1.31.1-cp314-cp314-manylinux_2_28_x86_64.whl",
        sha256: "c20d7f15d84427db070b163f78c2c7146cc93edd6113fa7327671259a24184fe",
    },
    Pin {
        file: "onnxruntime-1.31.1-cp314-cp314t-manylinux_2_28_x86_64.whl",
        sha256: "4d5f5fcc01f0c334d282a8991eab44e7752ad01c47b336d848ba43eb38084958",
    },
];
