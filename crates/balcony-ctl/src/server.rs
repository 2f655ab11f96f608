//! `balcony reload`, `balcony stats`: the server as a whole.

use std::io;

use balcony_admin_api::{Answer, ErrorKind, Request, Stats};

use crate::connection::unexpected;
use crate::output::{Output, bytes, span};
use crate::{Context, Error};

/// A file with faults changes nothing, and is an error.
pub(crate) fn reload(context: &mut Context<'_>) -> Result<(), Error> {
    let answer = context.connect()?.call(Request::Reload)?;
    let Answer::Reloaded {
        changed,
        needs_restart,
        problems,
    } = &answer
    else {
        return Err(unexpected(&answer));
    };
    if !problems.is_empty() {
        return Err(Error::Refused {
            kind: ErrorKind::Invalid,
            message: format!("nothing was changed:\n{}", problems.join("\n")),
            hint: Some("`balcony check` tells the same without the server".to_owned()),
        });
    }
    context.output.show(&answer, |output| {
        match changed.as_slice() {
            [] => output.line("reloaded; no key of the configuration has changed")?,
            keys => output.line(&format!("reloaded; now in force: {}", keys.join(", ")))?,
        }
        match needs_restart.as_slice() {
            [] => Ok(()),
            keys => output.line(&format!("needs a restart: {}", keys.join(", "))),
        }
    })?;
    Ok(())
}

pub(crate) fn stats(context: &mut Context<'_>) -> Result<(), Error> {
    let answer = context.connect()?.call(Request::Stats)?;
    let Answer::Stats(stats) = &answer else {
        return Err(unexpected(&answer));
    };
    Ok(context
        .output
        .show(&answer, |output| show_stats(output, stats))?)
}

fn show_stats(output: &mut Output<'_>, stats: &Stats) -> io::Result<()> {
    let row = |name: &str, value: String| vec![name.to_owned(), value];
    let mut rows = vec![
        row("up for", span(stats.uptime_seconds)),
        row("memory", bytes(stats.memory_bytes)),
        row("sessions", stats.sessions.to_string()),
        row("not logged in", stats.unauthenticated.to_string()),
    ];
    for host in &stats.hosts {
        let text = format!("{} accounts, {} sessions", host.accounts, host.sessions);
        rows.push(row(&host.host, text));
    }
    rows.extend(
        stats
            .counters
            .iter()
            .map(|(name, count)| row(name, count.to_string())),
    );
    output.table(&rows)
}
