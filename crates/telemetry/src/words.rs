//! The values that labels with a fixed set of values can take.

macro_rules! words {
    (
        $(#[$doc:meta])*
        $name:ident labels $label:literal {
            $($(#[$variant_doc:meta])* $variant:ident = $word:literal,)*
        }
    ) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)*
        }

        impl $name {
            /// How many there are.
            pub(crate) const COUNT: usize = [$($word),*].len();

            /// Every value, in order of declaration.
            pub const ALL: [Self; Self::COUNT] = [$(Self::$variant),*];

            #[doc = concat!("Returns the value of the `", $label, "` label.")]
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)*
                }
            }
        }
    };
}

words! {
    /// A stretch of a request's path that is timed by itself.
    Phase labels "phase" {
        /// From bytes to tensors.
        Decode = "decode",
        /// Waiting for an instance.
        Queue = "queue",
        /// The engine at work.
        Run = "run",
        /// From tensors to bytes.
        Encode = "encode",
    }
}

words! {
    /// What kind of question a model is asked.
    Api labels "API" {
        /// Outputs for inputs.
        Predict = "Predict",
        /// Classes for examples.
        Classify = "Classify",
        /// Values for examples.
        Regress = "Regress",
        /// Several of these for the same examples.
        MultiInference = "MultiInference",
    }
}

impl Api {
    /// Tells whether TensorFlow Serving counts the engine's time under this API.
    pub(crate) const fn has_runtime_latency(self) -> bool {
        !matches!(self, Self::MultiInference)
    }
}

words! {
    /// How a request came, as far as TensorFlow Serving counts it.
    Call labels "API" {
        /// `PredictionService.Predict`.
        GrpcPredict = "Predict",
        /// `PredictionService.Classify`.
        GrpcClassify = "Classify",
        /// `PredictionService.Regress`.
        GrpcRegress = "Regress",
        /// `POST …:predict`.
        RestPredict = "predict",
        /// `POST …:classify`.
        RestClassify = "classify",
        /// `POST …:regress`.
        RestRegress = "regress",
        /// Any other request under `/v1`.
        RestOther = "",
    }
}

impl Call {
    pub(crate) const fn api(self) -> &'static str {
        self.name()
    }

    pub(crate) const fn entrypoint(self) -> &'static str {
        match self {
            Self::GrpcPredict | Self::GrpcClassify | Self::GrpcRegress => "GRPC",
            Self::RestPredict | Self::RestClassify | Self::RestRegress | Self::RestOther => "REST",
        }
    }
}

words! {
    /// What became of a request that was to be logged.
    LogResult labels "result" {
        /// It is in the log.
        Written = "written",
        /// There was no room for it in memory.
        Dropped = "dropped",
        /// The file could not be written.
        Failed = "failed",
    }
}

impl LogResult {
    /// Returns the name of the code that stands for it.
    pub(crate) const fn code_name(self) -> &'static str {
        match self {
            Self::Written => "OK",
            Self::Dropped => "RESOURCE_EXHAUSTED",
            Self::Failed => "UNAVAILABLE",
        }
    }
}

words! {
    /// What became of a request that was sent to a shadow.
    ShadowResult labels "result" {
        /// The shadow answered it.
        Answered = "answered",
        /// It could not.
        Failed = "failed",
        /// Nobody was there to be asked.
        Unavailable = "unavailable",
        /// There was no room for it.
        Dropped = "dropped",
    }
}

words! {
    /// Why a request was turned away before its model ran.
    Refusal labels "reason" {
        /// The bytes in flight would exceed their budget.
        InflightBytes = "inflight_bytes",
        /// The body is larger than any request may be.
        BodyTooLarge = "body_too_large",
        /// The model has its share of requests already.
        InflightRequests = "inflight_requests",
        /// The model's queue is full.
        QueueFull = "queue_full",
        /// Its deadline passed while it waited, or would have.
        Deadline = "deadline",
        /// The server is shutting down.
        ShuttingDown = "shutting_down",
    }
}

words! {
    /// What came of an attempt to load a version.
    LoadResult labels "result" {
        /// It can be used.
        Loaded = "loaded",
        /// It cannot.
        Failed = "failed",
        /// It was given up before it ended.
        Cancelled = "cancelled",
    }
}

words! {
    /// Where a version stands, as far as `salver_model_versions` counts it.
    VersionState labels "state" {
        /// Seen, not yet loading.
        Start = "start",
        /// Being loaded.
        Loading = "loading",
        /// Serving.
        Available = "available",
        /// Being unloaded.
        Unloading = "unloading",
        /// Could not be loaded.
        Failed = "failed",
    }
}
