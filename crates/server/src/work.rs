//! One request being worked on: what every step needs of it, and how it is counted at the end.

use std::future::Future;
use std::sync::Arc;

use salver_batching::ExecuteError;
use salver_telemetry::{Call, Refusal, SignatureMetrics};
use tokio::time::Instant;
use tracing::warn;

use crate::admission::Reservation;
use crate::app::App;
use crate::context::RequestContext;
use crate::status::{Code, ServeError};
use crate::trace::{RequestSpan, RunSpan};

/// One request being worked on.
pub(crate) struct Work<'a> {
    pub(crate) app: &'a App,
    pub(crate) deadline: Option<Instant>,
    pub(crate) reservation: Reservation,
    /// The signature that it is counted under, once that is known.
    pub(crate) resolved: Option<Arc<SignatureMetrics>>,
    /// How it came, if it is of those that TensorFlow Serving counts.
    pub(crate) call: Option<Call>,
    /// The name of the model that it asks for; only needed while that is not resolved.
    pub(crate) asked: Option<String>,
    /// The run of its model, while requests are traced.
    pub(crate) run: Option<Box<RunSpan>>,
    api: &'static str,
    context: RequestContext,
}

impl<'a> Work<'a> {
    pub(crate) fn begin(
        app: &'a App,
        api: &'static str,
        context: RequestContext,
        deadline: Option<Instant>,
    ) -> Self {
        Self {
            app,
            deadline,
            reservation: app.budget.reservation(),
            resolved: None,
            call: None,
            asked: None,
            run: None,
            api,
            context,
        }
    }

    /// Counts the request by how it ended, logs what only the log may say, and gives the reservation on to the answer.
    pub(crate) fn end(mut self, error: Option<&ServeError>) -> Reservation {
        let code = error.map_or(Code::Ok, ServeError::code);
        match &self.resolved {
            Some(metrics) => metrics.request_ended(code.name()),
            None if code != Code::Ok => self.app.metrics.request_failed(self.api, code.name()),
            None => {}
        }
        if let Some(call) = self.call {
            self.count(call, code);
        }
        if let Some(reason) = error.and_then(refusal) {
            self.app.metrics.count_refused(reason);
        }
        if let Some(detail) = error.and_then(ServeError::detail) {
            warn!(request_id = %self.context.id, detail, "request failed");
        }
        if self.app.tracer.is_on() {
            self.trace(code);
        }
        self.reservation
    }

    fn trace(&mut self, code: Code) {
        self.app.tracer.record(RequestSpan {
            entrypoint: self.api,
            id: self.context.id.clone(),
            started: self.context.started,
            ended: Instant::now(),
            code,
            run: self.run.take().map(|run| *run),
        });
    }

    /// Counts the request as TensorFlow Serving does.
    fn count(&self, call: Call, code: Code) {
        let elapsed = self.context.started.elapsed();
        match &self.resolved {
            Some(metrics) => metrics.model().request_ended(call, code.name(), elapsed),
            None => {
                let model = self.asked.as_deref().unwrap_or_default();
                self.app
                    .metrics
                    .unresolved_request_ended(model, call, code.name(), elapsed);
            }
        }
    }
}

/// Runs a step until the deadline; not at all if it has passed, even if the step would be done at once.
pub(crate) async fn until<T>(
    deadline: Option<Instant>,
    step: impl Future<Output = Result<T, ServeError>>,
) -> Result<T, ServeError> {
    match deadline {
        Some(deadline) if deadline <= Instant::now() => Err(ServeError::Deadline),
        Some(deadline) => tokio::time::timeout_at(deadline, step)
            .await
            .unwrap_or(Err(ServeError::Deadline)),
        None => step.await,
    }
}

/// Returns why a request was turned away, if that is how it failed.
fn refusal(error: &ServeError) -> Option<Refusal> {
    match error {
        ServeError::NoRoom { .. } => Some(Refusal::InflightBytes),
        ServeError::TooLarge { .. } => Some(Refusal::BodyTooLarge),
        ServeError::Execute(ExecuteError::QueueFull { .. }) => Some(Refusal::QueueFull),
        ServeError::Execute(ExecuteError::DeadlineExceeded {
            waited_in_queue: true,
        }) => Some(Refusal::Deadline),
        ServeError::Execute(ExecuteError::Stopped) => Some(Refusal::ShuttingDown),
        _ => None,
    }
}
