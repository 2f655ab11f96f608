//! `balcony invite …`: invitations to register (XEP-0077 where the host says `invite`).

use balcony_admin_api::{Answer, Request};
use clap::Subcommand;

use crate::connection::unexpected;
use crate::{Context, Error};

/// What can be done with invitations.
#[derive(Debug, Subcommand)]
pub enum InviteCommand {
    /// Make an invitation and print the address to hand on
    Create {
        /// The host on which it is good for one account
        host: String,
        /// For how many days it is good
        #[arg(long, value_parser = clap::value_parser!(u64).range(1..=3650))]
        days: Option<u64>,
    },
}

pub(crate) fn run(command: &InviteCommand, context: &mut Context<'_>) -> Result<(), Error> {
    let InviteCommand::Create { host, days } = command;
    let expires_seconds = days.map(|days| days * 86_400);
    let request = Request::InviteCreate {
        host: host.clone(),
        expires_seconds,
    };
    let answer = context.connect()?.call(request)?;
    let Answer::Invite(invite) = &answer else {
        return Err(unexpected(&answer));
    };
    context.output.show(&answer, |output| {
        output.line(&invite.uri)?;
        output.line(&format!("token: {}", invite.token))
    })?;
    Ok(())
}
