//! How requests for one name are shared out: arms that answer, shadows that only listen.

use std::fmt;
use std::sync::Arc;

use salver_servable::VersionChoice;

/// How the requests of a model that name neither a version nor a label are shared out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Split {
    /// The header by whose value an arm is chosen; else, and where a request lacks it, chance does.
    pub key: Option<String>,
    /// Who answers; if nobody is named, the latest version does. At most 32, of which not all weigh nothing.
    pub arms: Vec<Arm>,
    /// Who is asked too, without anybody waiting for the answer.
    pub shadows: Vec<Shadow>,
}

/// One of those among whom requests are shared out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arm {
    /// Its name in metrics and answers: letters, digits, `-`, `_` and `.`.
    pub name: Arc<str>,
    /// Who answers.
    pub target: Target,
    /// Its part of the requests, in proportion to the weights of the others.
    pub weight: u32,
    /// Requests that carry this always go here.
    pub header: Option<HeaderMatch>,
}

/// A header, gRPC's metadata included, with a certain value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderMatch {
    /// A valid name of a header; case does not matter.
    pub name: String,
    /// A valid value of a header; case matters.
    pub value: String,
}

/// Who is sent a part of the requests that others answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shadow {
    /// Its name in metrics, as that of an [`Arm`]; no arm has the same.
    pub name: Arc<str>,
    /// Who is asked.
    pub target: Target,
    /// The part of the requests.
    pub percent: Percent,
}

/// Who is asked in the place of the model that a request names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Another model; `None` for the one that was named.
    pub model: Option<Arc<str>>,
    /// Which of its versions.
    pub version: VersionChoice,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.version {
            VersionChoice::Latest => f.write_str("the latest version")?,
            VersionChoice::Version(version) => write!(f, "version {version}")?,
            VersionChoice::Label(label) => write!(f, "label {label}")?,
        }
        match &self.model {
            Some(model) => write!(f, " of {model}"),
            None => Ok(()),
        }
    }
}

/// A part of a hundred, from 0 to 100.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Percent(f64);

// It is never NaN.
impl Eq for Percent {}

impl Percent {
    /// Returns the percentage, or `None` if it is none.
    #[must_use]
    pub fn new(percent: f64) -> Option<Self> {
        (0.0..=100.0).contains(&percent).then_some(Self(percent))
    }

    /// Returns the percentage.
    #[must_use]
    pub fn get(self) -> f64 {
        self.0
    }
}
