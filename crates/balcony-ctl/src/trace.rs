//! `balcony user trace`: both streams of a session as they run.

use std::io;

use balcony_admin_api::{Answer, Direction, Request, TraceLine};

use crate::connection::unexpected;
use crate::output::{Color, Output};
use crate::{Context, Error};

/// Shows what comes until the server closes or Ctrl-C ends the process.
pub(crate) fn run(jid: &str, context: &mut Context<'_>) -> Result<(), Error> {
    let mut connection = context.connect()?;
    connection.send(Request::Trace {
        jid: jid.to_owned(),
    })?;
    connection.wait_for_ever()?;
    let mut shown = String::new();
    while let Some(answer) = connection.next()? {
        let Answer::Trace(line) = &answer else {
            return Err(unexpected(&answer));
        };
        context
            .output
            .show(&answer, |output| show(output, line, &mut shown))?;
    }
    Ok(())
}

/// One line for each piece, and a headline where the session changes.
fn show(output: &mut Output<'_>, line: &TraceLine, shown: &mut String) -> io::Result<()> {
    if *shown != line.session {
        output.colored(&[(&format!("--- {}", line.session), Some(Color::Dim))])?;
        shown.clone_from(&line.session);
    }
    let (who, color) = match line.direction {
        Direction::Read => ("client", Color::Cyan),
        Direction::Wrote => ("server", Color::Yellow),
    };
    let time = clock(line.time_micros);
    output.colored(&[
        (&format!("{time} "), Some(Color::Dim)),
        (
            &format!("{who}  {}", line.text.trim_end_matches('\n')),
            Some(color),
        ),
    ])
}

/// The time of day in UTC, as the server's log has it.
fn clock(micros: u64) -> String {
    let millis = micros / 1_000;
    let seconds = millis / 1_000;
    let (hours, minutes) = (seconds / 3_600 % 24, seconds / 60 % 60);
    format!(
        "{hours:02}:{minutes:02}:{:02}.{:03}Z",
        seconds % 60,
        millis % 1_000
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(direction: Direction, session: &str, text: &str) -> TraceLine {
        let (session, text) = (session.to_owned(), text.to_owned());
        TraceLine {
            time_micros: 86_399_999_000,
            session,
            direction,
            text,
        }
    }

    fn shown(color: bool) -> String {
        let mut out = Vec::new();
        let mut output = Output::new(&mut out, false, color);
        let mut last = String::new();
        for line in [
            piece(Direction::Read, "romeo@localhost/orchard", "<presence/>\n"),
            piece(
                Direction::Wrote,
                "romeo@localhost/orchard",
                "<iq id='\u{1b}'/>",
            ),
            piece(Direction::Wrote, "romeo@localhost/street", "<r/>"),
        ] {
            show(&mut output, &line, &mut last).unwrap();
        }
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn without_a_terminal_words_tell_the_sides_apart() {
        assert_eq!(
            shown(false),
            "--- romeo@localhost/orchard\n\
             23:59:59.999Z client  <presence/>\n\
             23:59:59.999Z server  <iq id='\\u{1b}'/>\n\
             --- romeo@localhost/street\n\
             23:59:59.999Z server  <r/>\n"
        );
    }

    #[test]
    fn on_a_terminal_colours_do() {
        let text = shown(true);
        assert!(text.contains("\u{1b}[36mclient"));
        assert!(text.contains("\u{1b}[33mserver"));
    }
}
