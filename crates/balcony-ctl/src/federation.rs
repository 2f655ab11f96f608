//! `balcony federation …`: the streams of other servers, and what waits for them.

use std::io;

use balcony_admin_api::{Answer, RemoteQueue, Request, ServerStream};
use clap::Subcommand;

use crate::connection::unexpected;
use crate::output::{Output, bytes, span};
use crate::{Context, Error};

/// What can be done with other servers.
#[derive(Debug, Subcommand)]
pub enum FederationCommand {
    /// List the streams that are open, and the domains that could not be reached
    List,
    /// Tell all about one domain
    Show {
        /// The other domain
        domain: String,
    },
    /// Close all streams with a domain; what waits for it is tried again at once
    Kick {
        /// The other domain
        domain: String,
    },
}

pub(crate) fn run(command: &FederationCommand, context: &mut Context<'_>) -> Result<(), Error> {
    match command {
        FederationCommand::List => list(None, context),
        FederationCommand::Show { domain } => list(Some(domain), context),
        FederationCommand::Kick { domain } => kick(domain, context),
    }
}

fn list(domain: Option<&String>, context: &mut Context<'_>) -> Result<(), Error> {
    let request = Request::FederationList {
        domain: domain.cloned(),
    };
    let answer = context.connect()?.call(request)?;
    let Answer::Federation { streams, queues } = &answer else {
        return Err(unexpected(&answer));
    };
    Ok(context.output.show(&answer, |output| match domain {
        None => show_all(output, streams, queues),
        Some(domain) => show_one(output, domain, streams, queues),
    })?)
}

fn kick(domain: &str, context: &mut Context<'_>) -> Result<(), Error> {
    let request = Request::FederationKick {
        domain: domain.to_owned(),
    };
    let answer = context.connect()?.call(request)?;
    let Answer::Kicked { streams } = answer else {
        return Err(unexpected(&answer));
    };
    let text = match streams {
        1 => format!("closed 1 stream with {domain}"),
        count => format!("closed {count} streams with {domain}"),
    };
    Ok(context.output.show(&answer, |output| output.line(&text))?)
}

fn show_all(
    output: &mut Output<'_>,
    streams: &[ServerStream],
    queues: &[RemoteQueue],
) -> io::Result<()> {
    if streams.is_empty() && queues.is_empty() {
        return output.line("no streams of other servers are open, and nothing waits for one");
    }
    let rows: Vec<Vec<String>> = streams.iter().map(row).collect();
    output.table(&rows)?;
    for queue in queues {
        if queue.stanzas > 0 || queue.failure.is_some() {
            output.line(&waiting(queue))?;
        }
    }
    Ok(())
}

fn row(stream: &ServerStream) -> Vec<String> {
    let arrow = match (stream.bidirectional, stream.incoming) {
        (true, _) => "<->",
        (false, true) => "<-",
        (false, false) => "->",
    };
    vec![
        stream.locals.join(","),
        arrow.to_owned(),
        stream.remotes.join(","),
        secured(stream),
        format!("sent {}", stream.sent),
        format!("received {}", stream.received),
        format!("idle {}", span(stream.idle_seconds)),
    ]
}

fn secured(stream: &ServerStream) -> String {
    let tls = if stream.encrypted { "TLS" } else { "clear" };
    let proof = stream.proof.as_deref().unwrap_or("not proved");
    format!("{tls}, {proof}")
}

fn waiting(queue: &RemoteQueue) -> String {
    let mut text = format!(
        "{}: {} stanzas wait ({})",
        queue.domain,
        queue.stanzas,
        bytes(queue.bytes)
    );
    if let Some(failure) = &queue.failure {
        text.push_str("; not reached: ");
        text.push_str(failure);
    }
    if let Some(seconds) = queue.retry_seconds {
        text.push_str(&format!("; next try in {}", span(seconds)));
    }
    text
}

fn show_one(
    output: &mut Output<'_>,
    domain: &str,
    streams: &[ServerStream],
    queues: &[RemoteQueue],
) -> io::Result<()> {
    let pair = |name: &str, value: String| vec![name.to_owned(), value];
    for stream in streams {
        let opened = if stream.incoming { "it" } else { "this server" };
        let yes = |yes: bool| if yes { "yes" } else { "no" }.to_owned();
        output.table(&[
            pair("stream opened by", opened.to_owned()),
            pair("domains here", stream.locals.join(", ")),
            pair("domains there", stream.remotes.join(", ")),
            pair("address", stream.address.clone().unwrap_or_default()),
            pair("secured by", secured(stream)),
            pair("both ways", yes(stream.bidirectional)),
            pair("acknowledged", yes(stream.acknowledged)),
            pair("open for", span(stream.age_seconds)),
            pair("idle for", span(stream.idle_seconds)),
            pair(
                "sent, received",
                format!("{}, {}", stream.sent, stream.received),
            ),
        ])?;
        output.line("")?;
    }
    for queue in queues {
        output.line(&waiting(queue))?;
    }
    if streams.is_empty() && queues.is_empty() {
        output.line(&format!(
            "no stream with {domain} is open, and nothing waits for it"
        ))?;
        output.line(&format!(
            "`balcony doctor {domain}` tells what a stranger finds there"
        ))?;
    }
    Ok(())
}
