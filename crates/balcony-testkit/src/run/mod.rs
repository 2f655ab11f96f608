//! Plays a conversation: against a server in memory in virtual time, or over TCP in real time.

mod balcony;
mod login;
mod other;
mod prologue;
mod receiving;
mod speaker;
mod stage;
pub(crate) mod tcp;
mod towns;
mod wire;
mod world;

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::script::{Mistake, Script};
use stage::Stage;
use towns::Towns;

pub use balcony::{Balcony, Launch, binary};
pub use other::Other;
pub use world::World;

/// A conversation that went another way.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The script.
    pub path: PathBuf,
    /// The line of the step, from 1.
    pub line: usize,
    /// What was different, with what was expected and what came.
    pub what: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path.display(), self.line, self.what)
    }
}

/// How patient the player is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// How long something that is expected may take.
    pub(crate) expected: Duration,
    /// How long nothing has to come.
    pub(crate) nothing: Duration,
    /// How long the server is given to notice what happened.
    pub(crate) settle: Duration,
}

/// Virtual time passes only when nobody has anything left to do, so the least of it is enough for
/// everything that was caused to have happened.
pub(crate) const VIRTUAL: Patience = Patience {
    expected: Duration::from_secs(5),
    nothing: Duration::from_secs(5),
    settle: Duration::from_millis(1),
};

/// Real time costs the person who waits, so answers to pings tell when a server is through.
pub(crate) const REAL: Patience = Patience {
    expected: Duration::from_secs(5),
    nothing: Duration::from_millis(300),
    settle: Duration::from_millis(80),
};

/// Plays a script against a server in memory.
///
/// # Errors
/// The first step that went another way.
pub fn in_memory(script: &Script) -> Result<(), Failure> {
    let failure = |what| Failure {
        path: script.path.clone(),
        line: 1,
        what,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .map_err(|error| failure(error.to_string()))?;
    runtime.block_on(async {
        let towns = Towns::start(script).await.map_err(failure)?;
        play(script, &World::Memory(Box::new(towns))).await
    })
}

/// Plays a script against a world that is ready for it.
///
/// # Errors
/// The first step that went another way.
pub async fn play(script: &Script, world: &World) -> Result<(), Failure> {
    let at = |line| {
        move |what| Failure {
            path: script.path.clone(),
            line,
            what,
        }
    };
    world.prepare(script).await.map_err(at(1))?;
    prologue::subscribe_all(script, world)
        .await
        .map_err(at(1))?;
    let mut stage = Stage::new(script, world);
    let result = async {
        for step in &script.steps {
            stage.act(&step.act).await.map_err(at(step.line))?;
        }
        let end = script.steps.last().map_or(1, |step| step.line);
        stage.end().await.map_err(at(end))
    };
    let result = result.await;
    drop(stage);
    world.clean(script).await;
    result
}

/// Reads a script and plays it in memory; answers in words what went wrong.
///
/// # Errors
/// The mistake in the script, or the failure.
pub fn file_in_memory(path: &Path) -> Result<(), String> {
    let script = Script::read(path)
        .map_err(|Mistake { line, what }| format!("{}:{line}: {what}", path.display()))?;
    in_memory(&script).map_err(|failure| failure.to_string())
}
