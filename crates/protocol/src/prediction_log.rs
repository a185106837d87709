//! `tensorflow.serving.PredictionLog`: a request and its answer, kept as the bytes they were.
//!
//! A record of a warm-up file or of a request log. Only the envelope is read and written here: requests and answers
//! have codecs of their own, and are not copied.

use bytes::{BufMut, Bytes};
use salver_wire::{Reader, WireError, WireType, Writer, len_field_len, varint_field_len};

use crate::VersionChoice;
use crate::model_spec::ModelSpecView;
use crate::predict::ModelSpecEcho;

/// What kind of request a record holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogType {
    /// `ClassificationRequest`.
    Classify,
    /// `RegressionRequest`.
    Regress,
    /// `PredictRequest`.
    Predict,
    /// `MultiInferenceRequest`.
    MultiInference,
    /// `SessionRunRequest`, which no service takes.
    SessionRun,
    /// Several `PredictRequest`s of one stream, which no service takes.
    PredictStreamed,
}

impl LogType {
    /// Returns the number of its field in the message.
    #[must_use]
    pub const fn field(self) -> u32 {
        match self {
            Self::Classify => 2,
            Self::Regress => 3,
            Self::MultiInference => 4,
            Self::SessionRun => 5,
            Self::Predict => 6,
            Self::PredictStreamed => 7,
        }
    }

    fn of_field(field: u32) -> Option<Self> {
        let all = [
            Self::Classify,
            Self::Regress,
            Self::MultiInference,
            Self::SessionRun,
            Self::Predict,
            Self::PredictStreamed,
        ];
        all.into_iter().find(|log_type| log_type.field() == field)
    }
}

/// A request that was logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoggedRequest {
    /// Its kind.
    pub log_type: LogType,
    /// The encoded request; empty if it is not there.
    pub request: Bytes,
}

/// When, and for whom, a record was written.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LogMetadata<'a> {
    /// Who answered.
    pub model: ModelSpecEcho<'a>,
    /// The share of requests that are logged.
    pub sampling_rate: f64,
    /// Seconds since 1970.
    pub timestamp_seconds: i64,
}

/// Field numbers.
mod field {
    pub(super) const LOG_METADATA: u32 = 1;
    /// Of every kind of log.
    pub(super) const REQUEST: u32 = 1;
    pub(super) const RESPONSE: u32 = 2;
    /// Of `LogMetadata`.
    pub(super) const MODEL_SPEC: u32 = 1;
    pub(super) const SAMPLING_CONFIG: u32 = 2;
    pub(super) const TIMESTAMP_SECS: u32 = 4;
    /// Of `SamplingConfig`.
    pub(super) const SAMPLING_RATE: u32 = 1;
}

/// A `SamplingConfig` is one double with its key.
const SAMPLING_CONFIG_BYTES: usize = 9;

/// Reads a record; `None` if it holds no request of any kind.
///
/// # Errors
/// [`WireError`] if it is not protobuf.
pub fn decode(record: Bytes) -> Result<Option<LoggedRequest>, WireError> {
    let mut reader = Reader::new(record);
    let mut logged = None;
    while let Some((field, wire_type)) = reader.next_field()? {
        match LogType::of_field(field).filter(|_| wire_type == WireType::Len) {
            // Of several kinds the last one counts.
            Some(log_type) => {
                let request = reader.message(read_request)?;
                logged = Some(LoggedRequest { log_type, request });
            }
            None => reader.skip(field, wire_type)?,
        }
    }
    Ok(logged)
}

fn read_request(log: &mut Reader<Bytes>) -> Result<Bytes, WireError> {
    let mut request = Bytes::new();
    while let Some((field, wire_type)) = log.next_field()? {
        match (field, wire_type) {
            (field::REQUEST, WireType::Len) => request = log.bytes()?,
            _ => log.skip(field, wire_type)?,
        }
    }
    Ok(request)
}

/// Appends a record whose request and answer lie in pieces, without joining them.
pub fn encode(
    log_type: LogType,
    metadata: &LogMetadata<'_>,
    request: &[Bytes],
    response: &[Bytes],
    out: &mut impl BufMut,
) {
    let [request_len, response_len] =
        [request, response].map(|pieces| pieces.iter().map(Bytes::len).sum());
    let log_len =
        len_field_len(field::REQUEST, request_len) + len_field_len(field::RESPONSE, response_len);
    let mut writer = Writer::new(out);
    write_metadata(&mut writer, metadata);
    writer.message(log_type.field(), log_len);
    for (field, len, pieces) in [
        (field::REQUEST, request_len, request),
        (field::RESPONSE, response_len, response),
    ] {
        writer.message(field, len);
        pieces.iter().for_each(|piece| writer.raw(piece));
    }
}

fn write_metadata<B: BufMut>(writer: &mut Writer<B>, metadata: &LogMetadata<'_>) {
    let version = VersionChoice::Version(metadata.model.version);
    let model = ModelSpecView {
        name: metadata.model.name,
        version: &version,
        signature_name: metadata.model.signature_name,
    };
    let timestamp = metadata.timestamp_seconds.cast_unsigned();
    let metadata_len = len_field_len(field::MODEL_SPEC, model.encoded_len())
        + len_field_len(field::SAMPLING_CONFIG, SAMPLING_CONFIG_BYTES)
        + varint_field_len(field::TIMESTAMP_SECS, timestamp);
    writer.message(field::LOG_METADATA, metadata_len);
    writer.message(field::MODEL_SPEC, model.encoded_len());
    model.write(writer);
    writer.message(field::SAMPLING_CONFIG, SAMPLING_CONFIG_BYTES);
    writer.fixed64_field(field::SAMPLING_RATE, metadata.sampling_rate.to_bits());
    writer.varint_field(field::TIMESTAMP_SECS, timestamp);
}

#[cfg(test)]
mod tests {
    use prost::Message;
    use salver_proto::tensorflow::serving::prediction_log::LogType as Wire;
    use salver_proto::tensorflow::serving::{
        self as proto, ModelSpec, PredictLog, PredictRequest, PredictResponse, PredictionLog,
        SessionRunLog, SessionRunRequest,
    };

    use super::*;

    fn model_spec() -> Option<ModelSpec> {
        let version = proto::model_spec::VersionChoice::Version(3);
        Some(ModelSpec {
            name: "m".to_owned(),
            version_choice: Some(version),
            signature_name: "s".to_owned(),
        })
    }

    #[test]
    fn generated_code_reads_what_is_written() {
        let request = PredictRequest {
            output_filter: vec!["y".to_owned()],
            ..PredictRequest::default()
        };
        let response = PredictResponse {
            model_spec: model_spec(),
            ..PredictResponse::default()
        };
        let metadata = LogMetadata {
            model: ModelSpecEcho {
                name: "m",
                version: 3,
                signature_name: "s",
            },
            sampling_rate: 0.25,
            timestamp_seconds: 1_700_000_000,
        };
        let mut pieces = Bytes::from(request.encode_to_vec());
        let first = pieces.split_to(1);
        let mut record = Vec::new();
        encode(
            LogType::Predict,
            &metadata,
            &[first, pieces],
            &[response.encode_to_vec().into()],
            &mut record,
        );
        let expected = PredictionLog {
            log_metadata: Some(proto::LogMetadata {
                model_spec: model_spec(),
                sampling_config: Some(proto::SamplingConfig {
                    sampling_rate: 0.25,
                    ..proto::SamplingConfig::default()
                }),
                timestamp_secs: 1_700_000_000,
                ..proto::LogMetadata::default()
            }),
            log_type: Some(Wire::PredictLog(PredictLog {
                request: Some(request.clone()),
                response: Some(response),
            })),
        };
        assert_eq!(PredictionLog::decode(&record[..]).unwrap(), expected);
        let logged = decode(record.into()).unwrap();
        let expected = LoggedRequest {
            log_type: LogType::Predict,
            request: request.encode_to_vec().into(),
        };
        assert_eq!(logged, Some(expected));
    }

    #[test]
    fn every_kind_is_told_apart() {
        let session_run = Wire::SessionRunLog(SessionRunLog {
            request: Some(SessionRunRequest::default()),
            response: None,
        });
        let rows = [
            (
                Wire::ClassifyLog(proto::ClassifyLog::default()),
                LogType::Classify,
            ),
            (
                Wire::RegressLog(proto::RegressLog::default()),
                LogType::Regress,
            ),
            (Wire::PredictLog(PredictLog::default()), LogType::Predict),
            (
                Wire::MultiInferenceLog(proto::MultiInferenceLog::default()),
                LogType::MultiInference,
            ),
            (session_run, LogType::SessionRun),
            (
                Wire::PredictStreamedLog(proto::PredictStreamedLog::default()),
                LogType::PredictStreamed,
            ),
        ];
        for (log_type, expected) in rows {
            let log = PredictionLog {
                log_metadata: None,
                log_type: Some(log_type),
            };
            let logged = decode(log.encode_to_vec().into()).unwrap().unwrap();
            assert_eq!(logged.log_type, expected);
        }
        assert_eq!(decode(Bytes::new()), Ok(None));
        assert_eq!(decode(Bytes::from_static(b"\x32\x05")).ok(), None);
    }
}
