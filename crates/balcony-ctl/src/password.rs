//! Where a password comes from: typed without echo, or a file. Never from the command line, which
//! every user of the machine can read.

use std::fs;
use std::io::BufRead;
use std::path::Path;

use balcony_admin_api::Secret;

use crate::{Context, Error};

/// More than this is not a password but the wrong file.
const MOST_BYTES: usize = 1024;

/// Reads a password from a file, `-` being standard input, or asks for it twice.
pub(crate) fn read(
    jid: &str,
    file: Option<&Path>,
    context: &mut Context<'_>,
) -> Result<Secret, Error> {
    match file {
        Some(path) if path == Path::new("-") => first_line(context.input),
        Some(path) => from_file(path),
        None if context.interactive => ask(jid),
        None => Err(Error::Password(
            "there is no terminal to ask for a password: use --password-file FILE, or `-` for \
             standard input"
                .to_owned(),
        )),
    }
}

fn first_line(input: &mut dyn BufRead) -> Result<Secret, Error> {
    let mut line = String::new();
    input.read_line(&mut line).map_err(Error::Input)?;
    checked(&line)
}

fn from_file(path: &Path) -> Result<Secret, Error> {
    let text = fs::read_to_string(path)
        .map_err(|error| Error::Password(format!("{}: {error}", path.display())))?;
    checked(&text)
}

fn ask(jid: &str) -> Result<Secret, Error> {
    let jid = crate::output::harmless(jid);
    let prompt = |text: String| rpassword::prompt_password(text).map_err(Error::Input);
    let first = checked(&prompt(format!("Password for {jid}: "))?)?;
    let second = prompt("The same again: ".to_owned())?;
    if first.reveal() == second {
        return Ok(first);
    }
    Err(Error::Password(
        "the two passwords differ; nothing was done".to_owned(),
    ))
}

/// The text without its final newline; spaces belong to a password (RFC 8265 §4.2).
fn checked(text: &str) -> Result<Secret, Error> {
    let text = text.strip_suffix('\n').unwrap_or(text);
    let text = text.strip_suffix('\r').unwrap_or(text);
    let refuse = |what: &str| Err(Error::Password(what.to_owned()));
    if text.is_empty() {
        return refuse("the password is empty");
    }
    if text.contains('\n') {
        return refuse("a password has one line, and this has several");
    }
    if text.len() > MOST_BYTES {
        return refuse("a password of more than 1024 bytes is not taken");
    }
    Ok(Secret::new(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_final_newline_is_dropped() {
        let read = |text: &str| checked(text).map(|secret| secret.reveal().to_owned()).ok();
        assert_eq!(read(" but soft \r\n").as_deref(), Some(" but soft "));
        assert_eq!(read("x").as_deref(), Some("x"));
        assert_eq!(read("\n"), None);
        assert_eq!(read("a\nb\n"), None);
        assert_eq!(read(&"x".repeat(MOST_BYTES + 1)), None);
    }

    #[test]
    fn standard_input_gives_its_first_line() {
        let mut input: &[u8] = b"secret\nromeo\n";
        assert_eq!(first_line(&mut input).unwrap().reveal(), "secret");
    }
}
