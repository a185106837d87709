//! A file that lists models, read again every so often.
//!
//! What it lists is what is served: whatever changed the models meanwhile is undone at the next look, as by TensorFlow
//! Serving. A file that is gone or broken changes nothing, and is complained of once.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError, SyncSender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use salver_protocol::config::ModelsFile;
use salver_server::Reload;

use crate::files;
use crate::reload::{LabelRule, ModelList};

/// The thread that reads the file; ends when this is dropped, or soon after.
#[derive(Debug)]
pub(crate) struct FileWatch {
    stop: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl FileWatch {
    /// Begins to read a file again at every interval.
    ///
    /// # Errors
    /// If the system has no thread left.
    pub(crate) fn start(
        file: PathBuf,
        interval: Duration,
        list: Arc<ModelList>,
    ) -> io::Result<Self> {
        let (stop, stopped) = mpsc::sync_channel(0);
        let mut look = Look {
            file,
            list,
            complaint: None,
        };
        let thread = thread::Builder::new().name("salver-list".to_owned());
        let thread = thread.spawn(move || {
            while stopped.recv_timeout(interval) == Err(RecvTimeoutError::Timeout) {
                look.take();
            }
        })?;
        Ok(Self {
            stop: Some(stop),
            thread: Some(thread),
        })
    }
}

impl Drop for FileWatch {
    fn drop(&mut self) {
        self.stop = None;
        if self
            .thread
            .take()
            .is_some_and(|thread| thread.join().is_err())
        {
            tracing::error!("the thread that reads the list of models panicked");
        }
    }
}

/// One look after the other.
struct Look {
    file: PathBuf,
    list: Arc<ModelList>,
    /// What was said to be wrong and still is.
    complaint: Option<String>,
}

impl Look {
    fn take(&mut self) {
        let complaint = self.read().err();
        if let Some(complaint) = &complaint
            && self.complaint.as_ref() != Some(complaint)
        {
            tracing::error!(file = %self.file.display(), "the list of models was not taken: {complaint}");
        }
        self.complaint = complaint;
    }

    fn read(&self) -> Result<(), String> {
        let file = files::models(&self.file).map_err(|failure| failure.messages.join("; "))?;
        let ModelsFile::List(models) = file else {
            // An empty file is one that is being written, more likely than a wish to unload everything.
            let is_nothing_served = !self.list.has_models() || self.list.is_in_force(&[]);
            return match is_nothing_served {
                true => Ok(()),
                false => {
                    Err("it is empty; `model_config_list {}` would unload every model".to_owned())
                }
            };
        };
        if self.list.is_in_force(&models) {
            return Ok(());
        }
        tracing::info!(file = %self.file.display(), models = models.len(), "taking a new list of models");
        self.list
            .replace(models, LabelRule::Any)
            .map_err(|error| error.to_string())
    }
}
