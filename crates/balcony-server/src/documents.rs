//! The documents that are made from what the modules declare.

use std::fmt::Write;

use balcony_core::config;
use balcony_core::module::{ModuleSpec, Spec};
use balcony_modules::MODULES;

/// Every generated document: its path in the repository, and its text.
#[must_use]
pub fn generated_files() -> Vec<(&'static str, String)> {
    let pipeline = balcony_core::pipeline_listing(MODULES);
    vec![
        ("XEPS.md", xeps()),
        ("doap.xml", doap()),
        ("docs/config.md", config::reference(&crate::sections())),
        (
            "docs/pipeline.txt",
            pipeline.unwrap_or_else(|error| error.to_string()),
        ),
    ]
}

/// The documents that are built into other crates than `modules`: streams, stanzas, addresses.
const BELOW: &[Spec] = &[
    Spec::xep("RFC 6120", "XMPP: Core", "2011-03").partial("see-other-host"),
    Spec::xep("RFC 7622", "XMPP: Address Format", "2015-09"),
    Spec::xep("RFC 7590", "Use of TLS in XMPP", "2015-06"),
    Spec::xep("RFC 5802", "SCRAM", "2010-07").note("SHA-1, SHA-256 (RFC 7677), SHA-512"),
    Spec::xep("RFC 9266", "Channel Bindings for TLS 1.3", "2022-07"),
    Spec::xep("XEP-0368", "SRV records for XMPP over TLS", "1.1.0").note(
        "direct TLS with ALPN, of clients and servers; records of other servers are followed",
    ),
    Spec::xep("RFC 7673", "DANE TLSA Records with SRV", "2015-10")
        .note("where `[federation] dane` is on; only for streams that this server opens"),
    Spec::xep("XEP-0220", "Server Dialback", "1.1.1")
        .note("with errors, and several domains on a stream")
        .partial("several target domains on a stream that this server opens (§2.6.2)"),
    Spec::xep("XEP-0185", "Dialback Key Generation and Validation", "1.0"),
    Spec::xep(
        "XEP-0178",
        "Best Practices for Use of SASL EXTERNAL with Certificates",
        "1.2",
    )
    .partial("client certificates (§2)"),
    Spec::xep(
        "XEP-0288",
        "Bidirectional Server-to-Server Connections",
        "1.0.1",
    ),
    Spec::xep("XEP-0344", "Impact of TLS and DNSSEC on Dialback", "0.4")
        .partial("POSH; a certificate that only DNSSEC vouches for, of who connects to us"),
    Spec::xep("XEP-0495", "Happy Eyeballs", "0.1.0"),
    Spec::xep("XEP-0114", "Jabber Component Protocol", "1.6")
        .note("components connect to the server"),
    Spec::xep(
        "XEP-0175",
        "Best Practices for Use of SASL ANONYMOUS",
        "1.2",
    )
    .note("per host, off by default"),
    Spec::xep("XEP-0198", "Stream Management", "1.6.3").note(
        "sessions outlive connections and orderly restarts; after a crash the client is told what \
         was handled; between servers without resumption",
    ),
    Spec::xep("XEP-0386", "Bind 2", "1.1.0")
        .note("offline messages are sent, but for those that the client read in its archive"),
    Spec::xep("XEP-0388", "Extensible SASL Profile", "1.0.4").partial("tasks after login"),
    Spec::xep("XEP-0440", "SASL Channel-Binding Type Capability", "1.0.0"),
    Spec::xep(
        "XEP-0484",
        "Fast Authentication Streamlining Tokens",
        "0.2.0",
    )
    .note("HT-SHA-256 with and without channel binding; no early data"),
    Spec::xep("XEP-0509", "Instant Authentication Pipelining", "0.2.0"),
    Spec::xep("XEP-0480", "SASL Upgrade Tasks", "0.2.0")
        .note("to SCRAM-SHA-256 and SCRAM-SHA-512, while a host has accounts that lack their keys"),
    Spec::xep("XEP-0474", "SASL SCRAM Downgrade Protection", "0.5.0"),
    Spec::xep("XEP-0478", "Stream Limits Advertisement", "0.2.0"),
];

/// What is implemented of one document, by all modules together.
struct Implemented {
    spec: Spec,
    modules: Vec<&'static str>,
    missing: Vec<&'static str>,
    notes: Vec<&'static str>,
}

fn implemented() -> Vec<Implemented> {
    let below = BELOW.iter().map(|spec| (*spec, "streams"));
    let modules = MODULES
        .iter()
        .flat_map(|module: &&ModuleSpec| module.specs.iter().map(|spec| (*spec, module.name)));
    let mut all: Vec<Implemented> = Vec::new();
    for (spec, module) in below.chain(modules) {
        let notes = Some(spec.note).filter(|note| !note.is_empty());
        match all
            .iter_mut()
            .find(|other| other.spec.document == spec.document)
        {
            Some(other) => {
                other.modules.push(module);
                other.missing.extend(spec.missing);
                other.notes.extend(notes);
            }
            None => all.push(Implemented {
                spec,
                modules: vec![module],
                missing: spec.missing.into_iter().collect(),
                notes: notes.into_iter().collect(),
            }),
        }
    }
    all.sort_by_key(|one| one.spec.document);
    all
}

fn xeps() -> String {
    let mut text = String::from(
        "# What is implemented\n\n\
         Made from the modules' declarations by `cargo xtask generate`.\n\n\
         | document | title | version read | module | state | note |\n|---|---|---|---|---|---|\n",
    );
    for Implemented {
        spec,
        modules,
        missing,
        notes,
    } in implemented()
    {
        let state = match missing.is_empty() {
            true => "complete".to_owned(),
            false => format!("partial, without {}", missing.join("; ")),
        };
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {state} | {} |",
            spec.document,
            spec.title,
            spec.version,
            modules.join(", "),
            notes.join("; ")
        );
    }
    text
}

/// A DOAP file by the schema that the XSF uses for its software list (XEP-0453).
fn doap() -> String {
    let mut text = String::from(
        "<?xml version='1.0' encoding='UTF-8'?>\n\
         <rdf:RDF xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#' \
         xmlns='http://usefulinc.com/ns/doap#' xmlns:xmpp='https://linkmauve.fr/ns/xmpp-doap#'>\n\
         <Project>\n<name>Balcony</name>\n\
         <shortdesc xml:lang='en'>An XMPP server in Rust</shortdesc>\n\
         <programming-language>Rust</programming-language>\n\
         <category rdf:resource='https://linkmauve.fr/ns/xmpp-doap#category-server'/>\n",
    );
    for Implemented { spec, missing, .. } in implemented() {
        let Some(number) = spec.document.strip_prefix("XEP-") else {
            let number = spec.document.replace(' ', "").to_lowercase();
            let _ = writeln!(
                text,
                "<implements rdf:resource='https://www.rfc-editor.org/info/{number}'/>"
            );
            continue;
        };
        let status = if missing.is_empty() {
            "complete"
        } else {
            "partial"
        };
        let _ = writeln!(
            text,
            "<implements><xmpp:SupportedXep>\
             <xmpp:xep rdf:resource='https://xmpp.org/extensions/xep-{number}.html'/>\
             <xmpp:status>{status}</xmpp:status><xmpp:version>{}</xmpp:version>\
             </xmpp:SupportedXep></implements>",
            spec.version
        );
    }
    text.push_str("</Project>\n</rdf:RDF>\n");
    text
}
