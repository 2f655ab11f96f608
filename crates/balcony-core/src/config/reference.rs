//! `docs/config.md`, from the declarations.

use std::fmt::Write as _;

use super::schema::{Applies, Fallback, Key, Schema, Section};

const HEAD: &str = "\
# Configuration

<!-- Made from the declarations in the code by `cargo xtask generate`; do not edit. -->

One [TOML](https://toml.io) file: `balcony serve --config FILE`, or `balcony.toml` in the working
directory where that exists, or none, since every key has a default. The file is strict: an unknown
key is an error that names its line and the nearest key. `balcony check` tells everything that is
wrong at once, and `balcony reload` reads the file again without a restart.

Times are written `\"30s\"`, `\"5m\"`, `\"12h\"`, `\"7d\"`; sizes `\"256KiB\"`, `\"4MiB\"` or a
plain number of bytes. A relative path begins at the folder of the file. \"Takes effect\" says
whether a changed value needs `balcony reload` or a restart; what has begun, such as a session,
keeps the value that it began with. A key that is *not in force yet* is accepted and checked, but
nothing reads it.
";

/// Renders the reference of the core's sections and of these.
pub fn reference(modules: &[&'static Section]) -> String {
    let schema = super::schema(modules);
    let mut out = String::from(HEAD);
    for name in schema.names() {
        section(&mut out, &schema, name);
    }
    out
}

fn section(out: &mut String, schema: &Schema, name: &str) {
    let title = match name {
        "" => "At the top of the file".to_owned(),
        name if schema.is_list(name) => format!("`[[{name}]]`"),
        name => format!("`[{name}]`"),
    };
    let docs: Vec<&str> = schema.parts(name).map(|part| part.doc).collect();
    let doc = docs
        .into_iter()
        .filter(|doc| !doc.is_empty())
        .collect::<Vec<_>>()
        .join(" ");
    // Writing to a String does not fail.
    let _ = write!(out, "\n## {title}\n\n{doc}\n");
    if schema.keys(name).next().is_none() {
        return;
    }
    out.push_str("\n| Key | Value | Default | Takes effect | What it does |\n");
    out.push_str("|---|---|---|---|---|\n");
    for key in schema.keys(name) {
        row(out, key);
    }
}

fn row(out: &mut String, key: &Key) {
    let default = match key.default {
        Fallback::Toml(text) => format!("`{text}`"),
        Fallback::Unset(text) => text.to_owned(),
        Fallback::Required => "has to be written".to_owned(),
    };
    let applies = match key.applies {
        Applies::Reload => "reload",
        Applies::Restart => "restart",
    };
    let value = key.kind.describe();
    let cells = [
        &format!("`{}`", key.name),
        &value,
        &default,
        applies,
        key.doc,
    ];
    let cells = cells.map(|cell| cell.replace('|', "\\|"));
    let _ = writeln!(out, "| {} |", cells.join(" | "));
}
