//! `balcony session …`: one session, or all of an account.

use balcony_admin_api::Request;
use clap::Subcommand;

use crate::user::done;
use crate::{Context, Error};

/// What can be done with sessions.
#[derive(Debug, Subcommand)]
pub enum SessionCommand {
    /// Close the stream of a session
    End {
        /// The session as a full JID, or an account for all its sessions
        jid: String,
        /// What to tell the client
        #[arg(long)]
        reason: Option<String>,
    },
}

pub(crate) fn run(command: &SessionCommand, context: &mut Context<'_>) -> Result<(), Error> {
    let SessionCommand::End { jid, reason } = command;
    let request = Request::SessionEnd {
        jid: jid.clone(),
        reason: reason.clone(),
    };
    let answer = context.connect()?.call(request)?;
    done(answer, &format!("ended {jid}"), context)
}
