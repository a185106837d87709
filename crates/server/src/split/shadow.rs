//! Requests that are sent to shadows too, once they have run: nobody waits for the answers, which are only counted.
//!
//! Tensors are shared, not copied, and stay counted in the budget of bytes until the last shadow is done with them.

use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use salver_backend::Signature;
use salver_batching::{Batch, Executed, Priority};
use salver_repository::LoadedModel;
use salver_servable::Manager;
use salver_telemetry::{Phase, ShadowResult};
use salver_tensor::Tensor;
use tokio::time::Instant;

use super::ReadySplit;
use crate::admission::{ByteBudget, Share};
use crate::app::App;
use crate::infer::{self, Job};
use crate::inference::{self, Question};
use crate::status::ServeError;
use crate::tasks::Tasks;
use crate::work::{Work, refusal, until};

/// Requests that shadows work on at once, over all models: some for every core, and no more waiting than a slow shadow
/// answers in a second or two. Others are dropped.
const MAX_SHADOWS: usize = 64;

/// A shadow that takes longer has as good as failed, and holds up the unloading of its version no longer.
const SHADOW_TIMEOUT: Duration = Duration::from_secs(30);

/// A request that shadows are to be asked too.
pub(crate) struct Shadowed {
    split: Arc<ReadySplit>,
    drawn: Vec<usize>,
    asked: Arc<Asked>,
}

/// What was asked, as the model that answers understood it.
struct Asked {
    signature: Arc<Signature>,
    inputs: Vec<Tensor>,
    requested: Vec<usize>,
    /// What is asked about rows; nothing for a prediction.
    questions: Vec<Question>,
    /// Keeps the inputs counted.
    hold: Arc<Share>,
}

impl Shadowed {
    /// Draws lots whether a request is sent to shadows, and keeps what it asks if it is.
    pub(crate) fn draw(
        work: &Work<'_>,
        job: &Job,
        questions: &[Question],
        hold: &Arc<Share>,
    ) -> Option<Self> {
        let split = &work.pick.as_ref()?.split;
        let drawn = split.draw_shadows(|| work.app.ids.next());
        (!drawn.is_empty()).then(|| Self {
            split: Arc::clone(split),
            drawn,
            asked: Arc::new(Asked {
                signature: Arc::clone(&job.signature),
                inputs: job.inputs.clone(),
                requested: job.requested.clone(),
                questions: questions.to_vec(),
                hold: Arc::clone(hold),
            }),
        })
    }
}

/// The requests that shadows work on.
#[derive(Default)]
pub(crate) struct Shadows(Mutex<Running>);

/// `None` once they are cut: nothing is begun after that.
struct Running(Option<Tasks>);

impl Default for Running {
    fn default() -> Self {
        Self(Some(Tasks::default()))
    }
}

impl Shadows {
    /// Asks the shadows that were drawn, or drops what there is no room for.
    pub(crate) fn send(&self, app: &App, shadowed: Shadowed) {
        let Shadowed {
            split,
            drawn,
            asked,
        } = shadowed;
        asked.hold.give_up();
        let mut running = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(tasks) = &mut running.0 {
            tasks.reap();
        }
        for shadow_idx in drawn {
            let tasks = running.0.as_mut();
            let has_room =
                |tasks: &&mut Tasks| tasks.len() < MAX_SHADOWS && !is_scarce(&app.budget);
            let Some(tasks) = tasks.filter(has_room) else {
                let metrics = &split.shadows[shadow_idx].metrics;
                metrics.count(ShadowResult::Dropped);
                continue;
            };
            let (split, asked) = (Arc::clone(&split), Arc::clone(&asked));
            let manager = app.manager.clone();
            tasks.spawn(async move { ask(&manager, &split, shadow_idx, &asked).await });
        }
    }

    /// Cuts what is left.
    pub(crate) async fn stop(&self) {
        let tasks = {
            let mut running = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            running.0.take()
        };
        if let Some(mut tasks) = tasks {
            tasks.abort_all().await;
        }
    }
}

/// Tells whether requests that somebody waits for need the room that is left.
fn is_scarce(budget: &ByteBudget) -> bool {
    budget.inflight_bytes() > budget.limit_bytes() / 2
}

async fn ask(manager: &Manager<LoadedModel>, split: &ReadySplit, shadow_idx: usize, asked: &Asked) {
    let shadow = &split.shadows[shadow_idx];
    let outcome = run(manager, split, shadow_idx, asked).await;
    if let Err(error) = &outcome {
        tracing::debug!(model = %split.model, target = %shadow.target, %error, "a shadow did not answer");
    }
    shadow.metrics.count(result(&outcome));
}

async fn run(
    manager: &Manager<LoadedModel>,
    split: &ReadySplit,
    shadow_idx: usize,
    asked: &Asked,
) -> Result<(), ServeError> {
    let target = &split.shadows[shadow_idx].target;
    let handle = split.find(manager, target).map_err(ServeError::Lookup)?;
    let batch = asked.batch(&handle)?;
    let metrics = Arc::clone(handle.metrics(&batch.signature.name));
    let deadline = batch.deadline;
    let step = pin!(async {
        let executed = handle.executor().execute(batch).await;
        executed.map_err(ServeError::Execute)
    });
    let Executed { queue, run, .. } = until(deadline, step).await?;
    metrics.observe(Phase::Queue, queue);
    metrics.observe(Phase::Run, run);
    Ok(())
}

fn result(outcome: &Result<(), ServeError>) -> ShadowResult {
    match outcome {
        Ok(()) => ShadowResult::Answered,
        Err(ServeError::Lookup(_)) => ShadowResult::Unavailable,
        Err(error) if refusal(error).is_some() => ShadowResult::Dropped,
        Err(_) => ShadowResult::Failed,
    }
}

impl Asked {
    /// Asks the same of another model, whose signatures may have another order.
    fn batch(&self, model: &LoadedModel) -> Result<Batch, ServeError> {
        let batch = match self.questions.is_empty() {
            true => self.prediction(model)?,
            false => {
                let again = |question: &Question| question.of(model);
                let questions = self.questions.iter().map(again);
                let questions = questions.collect::<Result<Vec<_>, _>>()?;
                let rows = self.inputs.first().cloned();
                let rows = rows.expect("a question is about its signature's one input");
                inference::batch_of_rows(&questions, rows)?
            }
        };
        let hold = Arc::clone(&self.hold);
        Ok(Batch {
            deadline: Some(Instant::now() + SHADOW_TIMEOUT),
            // Whoever is waited for goes first.
            priority: Priority::Low,
            hold: Some(hold),
            ..batch
        })
    }

    fn prediction(&self, model: &LoadedModel) -> Result<Batch, ServeError> {
        let name = &self.signature.name;
        let signature = model.signatures().get(name).cloned();
        let signature = signature.ok_or_else(|| ServeError::UnknownSignature(name.to_string()))?;
        let names = self
            .signature
            .inputs
            .iter()
            .map(|spec| spec.name.to_string());
        let sent = names.zip(self.inputs.iter().cloned().map(Ok)).collect();
        let inputs = infer::arrange(&signature, sent)?;
        infer::check_dtypes(&signature, &inputs)?;
        // Who wants everything gets what this model has.
        let outputs = &self.signature.outputs;
        let filter: Vec<String> = match self.requested.len() < outputs.len() {
            true => self
                .requested
                .iter()
                .map(|&idx| outputs[idx].name.to_string())
                .collect(),
            false => Vec::new(),
        };
        Ok(Batch {
            requested: infer::requested(&signature, &filter)?,
            signature,
            inputs,
            deadline: None,
            priority: Priority::Low,
            hold: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use salver_backend::BackendError;
    use salver_batching::ExecuteError;
    use salver_servable::LookupError;

    use super::*;

    #[test]
    fn what_had_no_room_is_told_from_what_failed() {
        let name = "m".to_owned();
        let panicked = BackendError::Panicked { platform: "fake" };
        let rows = [
            (Ok(()), ShadowResult::Answered),
            (
                Err(ServeError::Lookup(LookupError::UnknownModel { name })),
                ShadowResult::Unavailable,
            ),
            (
                Err(ServeError::Execute(ExecuteError::QueueFull { capacity: 1 })),
                ShadowResult::Dropped,
            ),
            (
                Err(ServeError::Execute(ExecuteError::Backend(panicked))),
                ShadowResult::Failed,
            ),
            (
                Err(ServeError::UnknownSignature("s".to_owned())),
                ShadowResult::Failed,
            ),
        ];
        for (outcome, expected) in rows {
            assert_eq!(result(&outcome), expected, "{outcome:?}");
        }
    }

    #[test]
    fn the_second_half_of_the_budget_is_for_those_who_wait() {
        let budget = ByteBudget::new(100);
        let mut reservation = budget.reservation();
        reservation.grow(50).expect("fits");
        assert!(!is_scarce(&budget));
        reservation.grow(1).expect("fits");
        assert!(is_scarce(&budget));
    }
}
