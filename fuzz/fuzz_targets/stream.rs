//! No bytes in any pieces make a stream machine of either role panic, hold more than it was given,
//! or authenticate where encryption is required and absent.
#![no_main]

use std::sync::Arc;
use std::time::Duration;

use balcony_proto::jid::Jid;
use balcony_proto::sasl::{ChannelBindings, Mechanism};
use balcony_stream::initiating::{self, ClientConfig, Initiating, TlsPolicy};
use balcony_stream::receiving::{
    Answer, BindAnswer, Credentials, Input, Output, Question, Receiving, Verdict,
};
use balcony_stream::{HostFacts, Random, Security, Settings, TlsInfo};
use libfuzzer_sys::fuzz_target;

fn random() -> Random {
    Random::new(|bytes| bytes.fill(7))
}

fn tls() -> TlsInfo {
    TlsInfo {
        version13: true,
        bindings: ChannelBindings { exporter: Some([1; 32]), server_end_point: Some(vec![2; 32]) },
        ..TlsInfo::default()
    }
}

/// An owner that lets everyone in, so that the machine gets far.
fn answer(question: Question) -> Answer {
    match question {
        Question::Host(domain) => {
            let mut facts = HostFacts::new(domain);
            facts.mechanisms = Mechanism::ALL.to_vec();
            facts.registration = true;
            Answer::Host(Some(Arc::new(facts)))
        }
        Question::Credentials { .. } => Answer::Credentials(Credentials::Unknown),
        Question::Plain { .. } => Answer::Verdict(Verdict::Right),
        Question::Anonymous(host) => {
            Answer::Anonymous(Jid::from_parts(Some("mercutio"), &host, None).ok())
        }
        Question::Bind(request) => Answer::Bind(Ok(BindAnswer::new(
            request.account.with_resource(&request.resource).expect("a valid resourcepart"),
        ))),
        _ => Answer::Failed,
    }
}

fn receive(direct: bool, pieces: &[&[u8]]) {
    let security = if direct { Security::DirectTls } else { Security::Plain };
    let settings = Arc::new(Settings::default());
    let mut machine = Receiving::new(settings, security, random(), Duration::ZERO);
    let mut encrypted = direct;
    if direct {
        machine.handle(Input::TlsReady(tls()), Duration::ZERO);
    }
    let mut given = 0;
    for piece in pieces {
        given += piece.len();
        machine.handle(Input::Bytes(piece), Duration::ZERO);
        let (mut handshake, mut bound) = (false, false);
        while let Some(output) = machine.poll() {
            match output {
                Output::Ask(question) => {
                    assert!(encrypted || matches!(question, Question::Host(_)));
                    machine.handle(Input::Answer(answer(question)), Duration::ZERO);
                }
                Output::PreAuth(_) => {
                    machine.handle(Input::Answer(Answer::PreAuth(None)), Duration::ZERO);
                }
                Output::StartTls => handshake = true,
                Output::Bound(_) => bound = true,
                _ => {}
            }
        }
        // The factor is that of the canonical form, which the scanner bounds.
        assert!(machine.buffered() <= 8 * given + 4096);
        if bound {
            let (mut established, rest) = machine.into_established();
            let mut rest = rest.as_slice();
            while let Ok(Some(_)) = established.receive(&mut rest) {}
            return;
        }
        if handshake {
            encrypted = true;
            machine.handle(Input::TlsReady(tls()), Duration::ZERO);
        }
    }
}

fn initiate(direct: bool, pieces: &[&[u8]]) {
    let jid = Jid::parse("romeo@localhost").expect("an address");
    let mut config = ClientConfig::new(jid, "rosaline");
    config.mechanisms = Mechanism::ALL.to_vec();
    config.tls = if direct { TlsPolicy::Direct } else { TlsPolicy::StartTls };
    let mut machine = Initiating::new(Arc::new(config), random(), Duration::ZERO);
    if direct {
        machine.handle(initiating::Input::TlsReady(tls()), Duration::ZERO);
    }
    for piece in pieces {
        machine.handle(initiating::Input::Bytes(piece), Duration::ZERO);
        while let Some(output) = machine.poll() {
            if matches!(output, initiating::Output::StartTls) {
                machine.handle(initiating::Input::TlsReady(tls()), Duration::ZERO);
            }
        }
    }
}

fuzz_target!(|input: (bool, bool, Vec<&[u8]>)| {
    let (client, direct, pieces) = input;
    match client {
        true => initiate(direct, &pieces),
        false => receive(direct, &pieces),
    }
});
