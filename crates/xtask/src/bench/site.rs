//! The folder of a comparison, and the programs that run in it.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use std::{env, fs};

use std::os::unix::process::CommandExt;

use crate::process::within;

/// Scripts that start and stop the servers.
pub(super) const PEERS: &str = "crates/balcony-bench/peers";

/// Waits for the end of whoever compares, by whatever it ends, and then stops and removes all that
/// is left: the programs of the run, the servers of every home, and the folder.
const JANITOR: &str = r#"
trap '' HUP INT TERM
cat > /dev/null
[ ! -f "$1/group" ] || kill -s KILL -- "-$(cat "$1/group")" 2> /dev/null
for home in "$1"/*/; do
    [ -d "$home" ] || continue
    for server in balcony ejabberd prosody; do
        BENCH_DIR=${home%/} "$2/$server.sh" wipe
    done
done
rm -rf "$1"
"#;

/// Says which processes a run consists of, for the janitor, and becomes the program.
const GROUP: &str = r#"echo $$ > "$0"; exec "$@""#;

/// Why something has no result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Trouble {
    /// One line.
    pub(super) why: String,
    /// It took too long, so that there is no point in doing it again.
    pub(super) slow: bool,
}

impl Trouble {
    pub(super) fn new(why: impl Into<String>) -> Trouble {
        Trouble {
            why: why.into(),
            slow: false,
        }
    }
}

/// The folder. It goes with this value, and also where the process is killed.
pub(super) struct Site {
    folder: PathBuf,
    janitor: Child,
}

impl Site {
    /// A fresh folder below this one, or below the machine's for temporary files.
    ///
    /// # Errors
    /// It cannot be made.
    pub(super) fn new(below: Option<&Path>) -> Result<Site, String> {
        let below = below.map_or_else(env::temp_dir, Path::to_path_buf);
        let below = std::path::absolute(&below).unwrap_or(below);
        let folder = below.join(format!("balcony-bench-{}", std::process::id()));
        let trouble = |error: std::io::Error| format!("{}: {error}", folder.display());
        fs::create_dir_all(&below).map_err(trouble)?;
        fs::create_dir(&folder).map_err(trouble)?;
        let peers = std::path::absolute(PEERS).map_err(trouble)?;
        let janitor = Command::new("sh")
            .args(["-c", JANITOR, "janitor"])
            .args([&folder, &peers])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // Ctrl-C is not for it.
            .process_group(0)
            .spawn()
            .map_err(trouble)?;
        Ok(Site { folder, janitor })
    }

    /// A folder or file in it.
    pub(super) fn place(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Runs a program, and all that it starts, for at most so long; what it wrote.
    ///
    /// # Errors
    /// It does not start, fails, or takes longer.
    pub(super) fn run(&self, command: &Command, limit: Duration) -> Result<String, Trouble> {
        let (group, log) = (self.place("group"), self.place("log"));
        let mut grouped = Command::new("sh");
        grouped.arg("-c").arg(GROUP).arg(&group);
        grouped.arg(command.get_program()).args(command.get_args());
        let set = command.get_envs();
        grouped.envs(set.filter_map(|(name, value)| Some((name, value?))));
        grouped.stdin(Stdio::null());
        let ended = within(grouped, limit, &log);
        // Whoever gets its number next is not to be killed for it.
        fs::remove_file(&group).ok();
        let told = fs::read(&log).unwrap_or_default();
        let told = String::from_utf8_lossy(&told).into_owned();
        match ended.map_err(Trouble::new)? {
            Some(0) => Ok(told),
            Some(code) => Err(Trouble::new(why(&told, code))),
            None => Err(Trouble {
                why: format!("not done within {} s", limit.as_secs()),
                slow: true,
            }),
        }
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        // The end of its input is what it waits for.
        drop(self.janitor.stdin.take());
        self.janitor.wait().ok();
    }
}

/// The line in which a program says why it failed, or the last one.
fn why(told: &str, code: i32) -> String {
    let reason = |line: &&str| line.starts_with("balcony-bench: ") || line.starts_with("error: ");
    let mut lines = told.lines().filter(|line| !line.trim().is_empty());
    let last = lines.clone().next_back();
    let line = lines.find(reason).or(last);
    line.map_or_else(
        || format!("it ended with {code}"),
        |line| line.trim_start_matches("balcony-bench: ").to_owned(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::program;

    /// Below a folder of its own, since tests run side by side.
    fn site(name: &str) -> (PathBuf, Site) {
        let below = env::temp_dir().join(format!("xtask-{name}-{}", std::process::id()));
        let site = Site::new(Some(&below)).unwrap();
        (below, site)
    }

    #[test]
    fn the_reason_of_a_failure_is_one_line() {
        let told = "balcony chat: p50 1\nbalcony-bench: 1 lost\nmore\n";
        assert_eq!(why(told, 1), "1 lost");
        assert_eq!(
            why("error: no such flag\n\nUsage\n", 2),
            "error: no such flag"
        );
        assert_eq!(why("one\ntwo\n\n", 1), "two");
        assert_eq!(why("", 3), "it ended with 3");
    }

    #[test]
    fn what_is_left_of_a_run_goes_with_the_site() {
        let (below, site) = site("left");
        let mut left = Command::new("sleep")
            .arg("1000")
            .process_group(0)
            .spawn()
            .unwrap();
        fs::write(site.place("group"), format!("{}\n", left.id())).unwrap();
        drop(site);
        // It would sleep for much longer.
        let status = left.wait().unwrap();
        assert_eq!(
            std::os::unix::process::ExitStatusExt::signal(&status),
            Some(9)
        );
        fs::remove_dir(below).unwrap();
    }

    #[test]
    fn a_site_runs_programs_and_goes() {
        let (below, site) = site("runs");
        let folder = site.place("");
        let limit = Duration::from_secs(20);
        let mut echo = program("sh", ["-c", "echo $WORD; cat < /dev/null"]);
        echo.env("WORD", "here");
        assert_eq!(site.run(&echo, limit).unwrap(), "here\n");
        let fails = site.run(&program("sh", ["-c", "echo because; exit 1"]), limit);
        assert_eq!(fails.unwrap_err(), Trouble::new("because"));
        let slow = site.run(&program("sleep", ["100"]), Duration::from_millis(100));
        assert!(slow.unwrap_err().slow);
        assert!(folder.join("log").exists());
        drop(site);
        assert!(!folder.exists());
        fs::remove_dir(below).unwrap();
    }
}
