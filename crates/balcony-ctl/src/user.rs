//! `balcony user …`: accounts.

use std::io;
use std::path::PathBuf;

use balcony_admin_api::{Account, Answer, MAX_PAGE, Request, Session};
use clap::Subcommand;

use crate::connection::unexpected;
use crate::output::{Output, bytes, span};
use crate::{Context, Error, password, trace};

/// What can be done with accounts.
#[derive(Debug, Subcommand)]
pub enum UserCommand {
    /// Make an account
    Add {
        /// Its address, such as juliet@localhost
        jid: String,
        /// Take the password from this file instead of asking for it; `-`: from standard input
        #[arg(long, value_name = "FILE")]
        password_file: Option<PathBuf>,
    },
    /// Give an account another password; ends its sessions
    Passwd {
        /// The account
        jid: String,
        /// Take the password from this file instead of asking for it; `-`: from standard input
        #[arg(long, value_name = "FILE")]
        password_file: Option<PathBuf>,
    },
    /// Delete an account with all that belongs to it
    Del {
        /// The account
        jid: String,
        /// Do not ask whether it is meant
        #[arg(long, short)]
        yes: bool,
    },
    /// List the accounts, of all hosts or of one
    List {
        /// Only of this host
        host: Option<String>,
    },
    /// Show the sessions of an account
    Sessions {
        /// The account
        jid: String,
    },
    /// Show the streams of an account as they run, until Ctrl-C; passwords are blanked
    Trace {
        /// The account, or one of its sessions as a full JID
        jid: String,
    },
    /// End the sessions of an account and refuse its logins
    Disable {
        /// The account
        jid: String,
    },
    /// Allow the logins of a disabled account again
    Enable {
        /// The account
        jid: String,
    },
}

pub(crate) fn run(command: &UserCommand, context: &mut Context<'_>) -> Result<(), Error> {
    match command {
        UserCommand::Add { jid, password_file } => {
            let mut connection = context.connect()?;
            let password = password::read(jid, password_file.as_deref(), context)?;
            let request = Request::UserAdd {
                jid: jid.clone(),
                password,
            };
            done(connection.call(request)?, &format!("added {jid}"), context)
        }
        UserCommand::Passwd { jid, password_file } => {
            let mut connection = context.connect()?;
            let password = password::read(jid, password_file.as_deref(), context)?;
            let request = Request::UserPasswd {
                jid: jid.clone(),
                password,
            };
            done(
                connection.call(request)?,
                &format!("changed the password of {jid}"),
                context,
            )
        }
        UserCommand::Del { jid, yes } => delete(jid, *yes, context),
        UserCommand::List { host } => list(host.clone(), context),
        UserCommand::Sessions { jid } => sessions(jid, context),
        UserCommand::Trace { jid } => trace::run(jid, context),
        UserCommand::Disable { jid } => {
            let answer = context
                .connect()?
                .call(Request::UserDisable { jid: jid.clone() })?;
            done(answer, &format!("disabled {jid}"), context)
        }
        UserCommand::Enable { jid } => {
            let answer = context
                .connect()?
                .call(Request::UserEnable { jid: jid.clone() })?;
            done(answer, &format!("enabled {jid}"), context)
        }
    }
}

/// Shows an answer that has nothing to say but that it is done.
pub(crate) fn done(answer: Answer, text: &str, context: &mut Context<'_>) -> Result<(), Error> {
    let Answer::Done = answer else {
        return Err(unexpected(&answer));
    };
    Ok(context.output.show(&answer, |output| output.line(text))?)
}

fn delete(jid: &str, yes: bool, context: &mut Context<'_>) -> Result<(), Error> {
    let mut connection = context.connect()?;
    if !yes {
        confirm(jid, context)?;
    }
    let answer = connection.call(Request::UserDel {
        jid: jid.to_owned(),
    })?;
    done(answer, &format!("deleted {jid}"), context)
}

fn confirm(jid: &str, context: &mut Context<'_>) -> Result<(), Error> {
    if !context.interactive {
        return Err(Error::Unconfirmed("there is no terminal to ask: use --yes"));
    }
    let question = format!("Delete {jid} with its contacts and messages, for ever? [y/N]");
    context.output.question(&question)?;
    let mut line = String::new();
    context.input.read_line(&mut line).map_err(Error::Input)?;
    match line.trim().to_ascii_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => Err(Error::Unconfirmed("you did not say yes")),
    }
}

/// Page by page, so that neither side holds more than one.
fn list(host: Option<String>, context: &mut Context<'_>) -> Result<(), Error> {
    let mut connection = context.connect()?;
    let mut after = None;
    loop {
        let request = Request::UserList {
            host: host.clone(),
            after,
            limit: MAX_PAGE,
        };
        let answer = connection.call(request)?;
        let Answer::Accounts { accounts, more } = &answer else {
            return Err(unexpected(&answer));
        };
        context
            .output
            .show(&answer, |output| show_accounts(output, accounts))?;
        let last = accounts.last().map(|account| account.jid.clone());
        match last {
            Some(jid) if *more => after = Some(jid),
            _ => return Ok(()),
        }
    }
}

fn show_accounts(output: &mut Output<'_>, accounts: &[Account]) -> io::Result<()> {
    let row = |account: &Account| {
        let sessions = match account.sessions {
            0 => String::new(),
            1 => "1 session".to_owned(),
            many => format!("{many} sessions"),
        };
        let state = if account.disabled { "disabled" } else { "" };
        vec![account.jid.clone(), state.to_owned(), sessions]
    };
    output.table(&accounts.iter().map(row).collect::<Vec<_>>())
}

fn sessions(jid: &str, context: &mut Context<'_>) -> Result<(), Error> {
    let answer = context.connect()?.call(Request::UserSessions {
        jid: jid.to_owned(),
    })?;
    let Answer::Sessions { sessions } = &answer else {
        return Err(unexpected(&answer));
    };
    context
        .output
        .show(&answer, |output| match sessions.as_slice() {
            [] => output.line(&format!("{jid} has no session")),
            some => show_sessions(output, some),
        })?;
    Ok(())
}

fn show_sessions(output: &mut Output<'_>, sessions: &[Session]) -> io::Result<()> {
    let head = [
        "SESSION", "SINCE", "SILENT", "PRIORITY", "TLS", "LOGIN", "WAITING", "FROM", "CLIENT",
    ];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    let or_dash = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    rows.extend(sessions.iter().map(|session| {
        vec![
            session.jid.clone(),
            span(session.connected_seconds),
            span(session.idle_seconds),
            or_dash(&session.priority.map(|priority| priority.to_string())),
            or_dash(&session.tls),
            or_dash(&session.mechanism),
            bytes(session.queue_bytes),
            or_dash(&session.address),
            or_dash(&session.client),
        ]
    }));
    output.table(&rows)
}
