//! Both sides against each other, in memory.

use super::*;

struct Link {
    speaker: Speaker,
    hearer: Hearer,
    /// What the sides do to each other is cut into pieces of so many bytes.
    piece: usize,
    /// The server of the speaker's domain says so of the keys.
    verdict: Verdict,
}

impl Link {
    fn new(security: Security, certified: bool, piece: usize) -> Link {
        let mut hearer = Hearer::new(security);
        if certified {
            hearer.trust = Trust::Proved;
        }
        // From montague.example to capulet.example.
        let mut link = Link {
            speaker: Speaker::new(options(), security),
            hearer,
            piece,
            verdict: Verdict::Valid,
        };
        if security == Security::DirectTls {
            link.handshake(String::new());
        } else {
            let header = link.speaker.drain();
            link.pump(header);
        }
        link
    }

    fn handshake(&mut self, rest: String) {
        let said = self.hearer.input(Input::TlsReady(handshake()));
        assert_eq!(said, "");
        let header = self.speaker.input(Input::TlsReady(handshake()));
        self.pump(rest + &header);
    }

    /// Until neither has anything to say.
    fn pump(&mut self, mut said: String) {
        while !said.is_empty() {
            let mut answer = String::new();
            for piece in said.as_bytes().chunks(self.piece) {
                answer += &self.hearer.input(Input::Bytes(piece));
                answer += &self.decide();
            }
            said = String::new();
            for piece in answer.as_bytes().chunks(self.piece) {
                said += &self.speaker.input(Input::Bytes(piece));
            }
            let starts = |output: &Output| matches!(output, Output::StartTls);
            if self.speaker.seen.iter().any(starts) {
                self.speaker.seen.retain(|output| !starts(output));
                return self.handshake(said);
            }
        }
    }

    /// Decides as the owner does that asked the domain's server.
    fn decide(&mut self) -> String {
        let claims: Vec<(Pair, String, String)> = (self.hearer.seen.iter())
            .filter_map(|output| match output {
                Output::Claim {
                    pair,
                    key,
                    stream_id,
                } => Some((pair.clone(), key.clone(), stream_id.clone())),
                _ => None,
            })
            .collect();
        let mut said = String::new();
        for (pair, key, id) in claims {
            let secret = Secret::new(SECRET);
            assert!(secret.made(&key, &pair.local, &pair.remote, &id));
            self.hearer.machine.decide(&pair, &id, self.verdict.clone());
            said += &self.hearer.drain();
        }
        said
    }
}

fn proved(hearer: &Hearer) -> Vec<(&str, How)> {
    let proved = hearer.seen.iter().filter_map(|output| match output {
        Output::Proved { pair, how } => Some((&*pair.remote, *how)),
        _ => None,
    });
    proved.collect()
}

const SENT: &[u8] =
    b"<message from='romeo@montague.example' to='juliet@capulet.example'><body>She speaks</body></message>";

#[test]
fn they_find_together_by_every_way_and_in_every_piece() {
    for piece in [1, 7, usize::MAX] {
        for security in [Security::Plain, Security::DirectTls] {
            for (certified, how) in [(true, How::External), (false, How::Claim)] {
                let mut link = Link::new(security, certified, piece);
                assert_eq!(link.speaker.ready(), [("montague.example", how)]);
                assert_eq!(proved(&link.hearer), [("montague.example", how)]);
                assert_eq!((bidi(&link.speaker.seen), bidi(&link.hearer.seen)), (1, 1));
                link.hearer.input(Input::Bytes(SENT));
                link.speaker.feed(MESSAGE);
                assert_eq!(stanzas(&link.hearer.seen).len(), 1);
                assert_eq!(stanzas(&link.speaker.seen).len(), 1);
                counts(&mut link);
            }
        }
    }
}

/// Both count both ways.
fn counts(link: &mut Link) {
    link.speaker.machine.sent(1);
    link.hearer.machine.handled(1);
    link.speaker.machine.request();
    let asked = link.speaker.drain();
    link.pump(asked);
    link.hearer.machine.sent(1);
    link.speaker.machine.handled(1);
    link.hearer.machine.request();
    let asked = link.hearer.drain();
    let answer = link.speaker.feed(&asked);
    link.pump(answer);
    for seen in [&link.speaker.seen, &link.hearer.seen] {
        let told = |output: &&Output| matches!(output, Output::Acknowledged(1));
        assert_eq!(seen.iter().filter(told).count(), 1, "{seen:?}");
    }
}

#[test]
fn nothing_is_sent_the_other_way_between_success_and_the_header() {
    // XEP-0288 §3
    let mut hearer = Hearer::encrypted(true);
    hearer.feed(HEADER);
    hearer.feed("<bidi xmlns='urn:xmpp:bidi'/>");
    hearer.feed("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>=</auth>");
    assert_eq!(proved(&hearer).len(), 1);
    assert_eq!(bidi(&hearer.seen), 0);
    hearer.feed(HEADER);
    assert_eq!(bidi(&hearer.seen), 1);
}

#[test]
fn further_domains_share_the_stream() {
    let mut link = Link::new(Security::DirectTls, true, usize::MAX);
    link.speaker.machine.claim("rooms.montague.example");
    let claim = link.speaker.drain();
    link.pump(claim);
    let both = [
        ("montague.example", How::External),
        ("rooms.montague.example", How::Claim),
    ];
    assert_eq!(link.speaker.ready(), both);
    assert_eq!(proved(&link.hearer), both);
}

#[test]
fn a_question_about_a_key_is_answered_beside_the_claim() {
    let mut link = Link::new(Security::DirectTls, false, usize::MAX);
    let key = Secret::new(SECRET).key("montague.example", "capulet.example", "417GAF25");
    for (key, good) in [(key.as_str(), true), ("forged", false)] {
        link.speaker.seen.clear();
        link.speaker
            .machine
            .verify("montague.example", "417GAF25", key);
        let asked = link.speaker.drain();
        link.pump(asked);
        let [Output::Verified { verdict, .. }] = link.speaker.seen.as_slice() else {
            panic!("{:?}", link.speaker.seen);
        };
        assert_eq!(*verdict == Verdict::Valid, good);
    }
}

#[test]
fn a_forged_domain_gets_nowhere() {
    let mut link = Link::new(Security::DirectTls, true, usize::MAX);
    link.verdict = Verdict::Invalid;
    link.speaker.machine.claim("bank.example");
    let claim = link.speaker.drain();
    link.pump(claim);
    assert_eq!(link.speaker.ready().len(), 1);
    assert!(!closed(&link.speaker.seen));
}
