//! One request being worked on: what every step needs of it, and how it is counted at the end.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use http::HeaderValue;
use salver_batching::{ExecuteError, Priority};
use salver_repository::LoadedModel;
use salver_servable::Handle;
use salver_telemetry::{Call, Refusal, SignatureMetrics};
use tokio::time::Instant;
use tracing::warn;

use crate::admission::Reservation;
use crate::app::App;
use crate::context::RequestContext;
use crate::request_log::{Entry, Exchange, ModelLog};
use crate::split::{Pick, Routed};
use crate::status::{Code, ServeError};
use crate::trace::{RequestSpan, RunSpan};

/// One request being worked on.
pub(crate) struct Work<'a> {
    pub(crate) app: &'a App,
    pub(crate) deadline: Option<Instant>,
    pub(crate) priority: Priority,
    pub(crate) reservation: Reservation,
    /// The signature that it is counted under, once that is known.
    pub(crate) resolved: Option<Arc<SignatureMetrics>>,
    /// How it came, if it is of those that TensorFlow Serving counts.
    pub(crate) call: Option<Call>,
    /// The name of the model that it asks for; only needed while that is not resolved.
    pub(crate) asked: Option<String>,
    /// What its model's split decided of it, if there is one and it names no version.
    pub(crate) pick: Option<Pick>,
    /// What it asked and was answered, if it is to be logged.
    pub(crate) exchange: Option<Box<Exchange>>,
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
            priority: Priority::default(),
            reservation: app.budget.reservation(),
            resolved: None,
            call: None,
            asked: None,
            pick: None,
            exchange: None,
            run: None,
            api,
            context,
        }
    }

    /// Remembers what a split decided of the request, and returns who answers it.
    pub(crate) fn follow(&mut self, routed: Routed) -> Handle<LoadedModel> {
        self.pick = routed.pick;
        routed.handle
    }

    /// Refuses a request that its model would turn away now, whatever it asks: before anything is done for it.
    pub(crate) fn admit(&mut self, handle: &Handle<LoadedModel>) -> Result<(), ServeError> {
        let refusal = handle.executor().refusal(self.deadline, self.priority);
        let refusal = refusal.map_or_else(
            || check_share(self.app, handle),
            |refusal| Err(ServeError::Execute(refusal)),
        );
        if refusal.is_ok() {
            return Ok(());
        }
        // Which signature it asks for is not known yet.
        let signatures = handle.signatures();
        let signature = signatures.get("").or_else(|| signatures.iter().next());
        self.resolved = signature.map(|signature| Arc::clone(handle.metrics(&signature.name)));
        refusal
    }

    /// Returns the name of the arm that it went to, for the answer.
    pub(crate) fn arm_name(&self) -> Option<HeaderValue> {
        self.pick.as_ref().and_then(Pick::arm_name)
    }

    /// Counts the request by how it ended, logs what only the log may say, and gives the reservation on to the answer.
    pub(crate) fn end(mut self, error: Option<&ServeError>) -> Reservation {
        let code = error.map_or(Code::Ok, ServeError::code);
        match &self.resolved {
            Some(metrics) => metrics.request_ended(code.name()),
            None if code != Code::Ok => self.app.metrics.request_failed(self.api, code.name()),
            None => {}
        }
        if let Some(arm) = self.pick.as_ref().and_then(Pick::arm) {
            let elapsed = self.context.started.elapsed();
            arm.metrics.request_ended(code.name(), elapsed);
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
        self.log(code, error);
        if self.app.tracer.is_on() {
            self.trace(code);
        }
        self.reservation
    }

    /// Draws lots whether the request is logged, once its model is known.
    pub(crate) fn draw_for_log(&mut self, keep: impl FnOnce(Arc<ModelLog>) -> Exchange) {
        let Some(metrics) = &self.resolved else {
            return;
        };
        let lot = || self.app.ids.next();
        if let Some(log) = self.app.request_logs.draw(metrics.model().name(), lot) {
            self.exchange = Some(Box::new(keep(log)));
        }
    }

    /// Hands the request over to its log; one that failed before its model ran draws lots here.
    fn log(&mut self, code: Code, error: Option<&ServeError>) {
        let exchange = self.exchange.take();
        let log = match (&exchange, error) {
            (Some(exchange), _) => Some(Arc::clone(&exchange.log)),
            (None, None) => None,
            (None, Some(_)) => self.draw_for_failure(),
        };
        let Some(log) = log else { return };
        let latency = self.context.started.elapsed();
        self.app.request_logs.push(Entry {
            log,
            time: salver_telemetry::unix_time().saturating_sub(latency),
            latency,
            entrypoint: self.api,
            request_id: self.context.id.to_string(),
            code,
            error: error.map(ServeError::to_string),
            exchange,
        });
    }

    fn draw_for_failure(&self) -> Option<Arc<ModelLog>> {
        let resolved = self.resolved.as_ref().map(|metrics| metrics.model().name());
        let model = resolved.or(self.asked.as_deref())?;
        self.app.request_logs.draw(model, || self.app.ids.next())
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

/// Refuses what is for a model whose requests hold more bytes than are free, not counting those that nobody waits for.
pub(crate) fn check_share(app: &App, handle: &Handle<LoadedModel>) -> Result<(), ServeError> {
    app.budget.check_share(handle.held_bytes()).or_else(|_| {
        handle.executor().drop_unwanted();
        app.budget.check_share(handle.held_bytes())
    })
}

/// Runs a step until the deadline; not at all if it has passed, even if the step would be done at once.
///
/// The step is where its caller has put it: passed by value, its future would be in this one twice.
pub(crate) async fn until<T>(
    deadline: Option<Instant>,
    step: Pin<&mut impl Future<Output = Result<T, ServeError>>>,
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
pub(crate) fn refusal(error: &ServeError) -> Option<Refusal> {
    match error {
        ServeError::NoRoom { .. } | ServeError::ModelShare { .. } => Some(Refusal::InflightBytes),
        ServeError::TooLarge { .. } => Some(Refusal::BodyTooLarge),
        ServeError::Execute(
            ExecuteError::QueueFull { .. } | ExecuteError::BatchQueueFull { .. },
        ) => Some(Refusal::QueueFull),
        ServeError::Execute(
            ExecuteError::BatchQueueTimeout
            | ExecuteError::WouldBeLate { .. }
            | ExecuteError::DeadlineExceeded {
                waited_in_queue: true,
            },
        ) => Some(Refusal::Deadline),
        ServeError::Execute(ExecuteError::Stopped) => Some(Refusal::ShuttingDown),
        _ => None,
    }
}
