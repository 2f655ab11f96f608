//! Plays conversations over TCP, in real time: against our binary, or against another server to
//! prove the scripts.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;
use std::time::Duration;

use balcony_testkit::run::{self, Balcony, Other, World};
use balcony_testkit::script::{self, Act, Admin, Script, Tls};
use clap::Parser;

/// Play conversations over TCP
#[derive(Parser)]
struct Line {
    /// Another server that serves `localhost` and registers accounts; without it, our binary
    #[arg(long, value_name = "HOST:PORT")]
    against: Option<SocketAddr>,
    /// Where the other server speaks TLS from the first byte
    #[arg(long, value_name = "HOST:PORT", requires = "against")]
    direct_tls: Option<SocketAddr>,
    /// What the other server is called where a script says that it fails: `prosody`, `ejabberd`
    #[arg(long, value_name = "NAME", requires = "against")]
    called: Option<String>,
    /// Only scripts whose path contains one of these
    paths: Vec<String>,
}

/// Longer waits are left to virtual time.
const PATIENCE: Duration = Duration::from_secs(3);
/// Servers of ours at a time.
const WORKERS: usize = 4;

enum Outcome {
    Passed,
    Skipped(String),
    Failed(String),
}

fn main() -> ExitCode {
    let line = Line::parse();
    match play_all(&line) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Answers how many failed.
fn play_all(line: &Line) -> Result<usize, String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/conversations");
    let folder = folder.canonicalize().map_err(|error| error.to_string())?;
    let scripts = script::find(&folder).map_err(|error| error.to_string())?;
    let wanted = |path: &PathBuf| {
        let path = path.display().to_string();
        line.paths.is_empty() || line.paths.iter().any(|part| path.contains(part))
    };
    let scripts: VecDeque<PathBuf> = scripts.into_iter().filter(wanted).collect();
    if scripts.is_empty() {
        return Err("no such conversation".into());
    }
    let queue = Mutex::new(scripts);
    let outcomes = Mutex::new(Vec::new());
    // Scripts share the accounts of another server, so there they come one after the other.
    let workers = if line.against.is_some() { 1 } else { WORKERS };
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while let Some(path) = queue.lock().ok().and_then(|mut queue| queue.pop_front()) {
                    let outcome = play(line, &path);
                    let name = path.strip_prefix(&folder).unwrap_or(&path);
                    tell(name, &outcome);
                    if let Ok(mut outcomes) = outcomes.lock() {
                        outcomes.push(outcome);
                    }
                }
            });
        }
    });
    let outcomes = outcomes.into_inner().map_err(|error| error.to_string())?;
    let count = |which: fn(&Outcome) -> bool| outcomes.iter().filter(|one| which(one)).count();
    let failed = count(|one| matches!(one, Outcome::Failed(_)));
    println!(
        "{} passed, {failed} failed, {} skipped",
        count(|one| matches!(one, Outcome::Passed)),
        count(|one| matches!(one, Outcome::Skipped(_)))
    );
    Ok(failed)
}

fn tell(name: &Path, outcome: &Outcome) {
    match outcome {
        Outcome::Passed => println!("ok       {}", name.display()),
        Outcome::Skipped(why) => println!("skipped  {}: {why}", name.display()),
        Outcome::Failed(why) => println!("FAILED   {}\n{why}\n", name.display()),
    }
}

fn play(line: &Line, path: &Path) -> Outcome {
    let script = match Script::read(path) {
        Ok(script) => script,
        Err(mistake) => return Outcome::Failed(format!("{}: {}", mistake.line, mistake.what)),
    };
    if let Some(why) = obstacle(line, &script) {
        return Outcome::Skipped(why);
    }
    match over_tcp(line, &script) {
        Ok(()) => Outcome::Passed,
        Err(why) => Outcome::Failed(why),
    }
}

/// Why a script cannot be played here; `None`: it can.
fn obstacle(line: &Line, script: &Script) -> Option<String> {
    if script.waits() > PATIENCE {
        return Some("takes too long in real time".into());
    }
    let stops = |act: &Act| matches!(act, Act::StopReading(..));
    if script.steps.iter().any(|step| stops(&step.act)) {
        return Some("the system's buffers would take what nobody reads".into());
    }
    if !script.servers.is_empty() {
        return Some("several servers that reach each other are in memory alone".into());
    }
    if !script.keys.is_empty() {
        return Some("no command makes an account that lacks keys".into());
    }
    line.against?;
    if let Some(why) = &script.only_balcony {
        return Some(why.clone());
    }
    let named = |(server, _): &&(String, String)| Some(server) == line.called.as_ref();
    if let Some((_, how)) = script.not.iter().find(named) {
        return Some(how.clone());
    }
    let ours = |act: &Act| matches!(act, Act::Admin(act) if !matches!(act, Admin::Create(..)));
    if !script.config.is_empty() || script.steps.iter().any(|step| ours(&step.act)) {
        return Some("needs a configuration or an operator".into());
    }
    let direct = script.clients.iter().any(|one| one.tls == Tls::Direct);
    (direct && line.direct_tls.is_none()).then(|| "needs --direct-tls".into())
}

fn over_tcp(line: &Line, script: &Script) -> Result<(), String> {
    let world = match line.against {
        Some(plain) => World::Other(Other {
            plain,
            direct: line.direct_tls,
        }),
        None => World::Balcony(Box::new(Balcony::start(&run::binary()?, &script.config)?)),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| error.to_string())?;
    let result = runtime.block_on(run::play(script, &world));
    result.map_err(|failure| failure.to_string())
}
