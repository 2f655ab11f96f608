//! Incidents of other servers that a conversation cannot show, because what matters is inside of
//! something encoded. `tests/conversations/issues/README.md` lists them all.

// A failed unwrap in a helper is a failed test, too.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr};

use balcony_proto::jid::Jid;
use balcony_proto::xml::Element;
use balcony_stream::Security;
use balcony_testkit::TestServer;
use balcony_testkit::memory::End;
use balcony_testkit::reader::{Piece, Reader};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

const HEADER: &str = "<stream:stream to='localhost' version='1.0' \
     xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>";

struct Stranger {
    end: End,
    reader: Reader,
}

impl Stranger {
    async fn connect(server: &TestServer) -> Stranger {
        let end = server.connect(IpAddr::V4(Ipv4Addr::LOCALHOST), Security::DirectTls);
        end.start_tls().await.unwrap();
        let reader = Reader::default();
        Stranger { end, reader }
    }

    async fn piece(&mut self) -> Element {
        loop {
            match self.reader.next_piece() {
                Some(Piece::Open(element) | Piece::Element(element)) => return element,
                Some(Piece::Close) => panic!("the stream ended"),
                None => {
                    let bytes = self.end.receive().await.unwrap();
                    self.reader.feed(&bytes).unwrap();
                }
            }
        }
    }

    /// What SCRAM says to a user before anything is proved.
    async fn challenge(server: &TestServer, user: &str) -> String {
        let mut stranger = Stranger::connect(server).await;
        assert!(stranger.end.send(HEADER.as_bytes()));
        stranger.piece().await;
        stranger.piece().await;
        let first = STANDARD.encode(format!("n,,n={user},r=fyko+d2lbbFgONRv9qkxdawL"));
        let auth = format!(
            "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='SCRAM-SHA-256'>{first}</auth>"
        );
        assert!(stranger.end.send(auth.as_bytes()));
        let challenge = stranger.piece().await;
        assert_eq!(challenge.name(), "challenge");
        String::from_utf8(STANDARD.decode(challenge.text()).unwrap()).unwrap()
    }
}

/// Salt and iterations of a challenge.
fn salt_and_rounds(challenge: &str) -> (String, String) {
    let field = |name: &str| {
        let found = challenge
            .split(',')
            .find_map(|field| field.strip_prefix(name));
        found.unwrap().to_owned()
    };
    (field("s="), field("i="))
}

/// OF-3257, OF-3258: who is told another salt each time knows that there is no such user.
#[tokio::test(start_paused = true)]
async fn of_3257_an_unknown_user_has_a_salt_that_stays() {
    let server = TestServer::start("[auth]\niterations = 4096")
        .await
        .unwrap();
    let romeo = Jid::parse("romeo@localhost").unwrap();
    server.add_account(&romeo, "secret").await.unwrap();
    let known = salt_and_rounds(&Stranger::challenge(&server, "romeo").await);
    let nobody = salt_and_rounds(&Stranger::challenge(&server, "nobody").await);
    let again = salt_and_rounds(&Stranger::challenge(&server, "nobody").await);
    let other = salt_and_rounds(&Stranger::challenge(&server, "nobody2").await);
    assert_eq!(nobody, again);
    assert_ne!(nobody.0, other.0, "two users would share a salt");
    assert_eq!(nobody.1, known.1, "the rounds tell");
    assert_eq!(
        nobody.0.len(),
        known.0.len(),
        "the length of the salt tells"
    );
}

/// ejabberd 26.07: weak randomness of tokens. Stream ids carry 128 bits and never come twice.
#[tokio::test(start_paused = true)]
async fn ejabberd_26_07_stream_ids_cannot_be_guessed() {
    let server = TestServer::start("").await.unwrap();
    let mut seen = HashSet::new();
    for _ in 0..200 {
        let mut stranger = Stranger::connect(&server).await;
        assert!(stranger.end.send(HEADER.as_bytes()));
        let id = stranger.piece().await.attr("id").unwrap().to_owned();
        // 22 characters of 6 bits.
        assert_eq!(id.len(), 22, "{id}");
        assert!(seen.insert(id), "an id came twice");
    }
    for place in 0..22 {
        let at: HashSet<u8> = seen.iter().map(|id| id.as_bytes()[place]).collect();
        // The last character holds only two of the 128 bits.
        assert!(at.len() >= 4, "place {place} hardly changes");
    }
}

#[test]
fn the_table_of_incidents_names_what_there_is() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let folder = root.join("tests/conversations/issues");
    let table = std::fs::read_to_string(folder.join("README.md")).unwrap();
    let links = table
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split_once(')'));
    for (link, _) in links {
        assert!(folder.join(link).is_file(), "{link} is not there");
    }
    for script in balcony_testkit::script::find(&folder).unwrap() {
        let name = script.file_name().unwrap().to_str().unwrap();
        assert!(table.contains(name), "the table does not name {name}");
    }
    let sources = ["balcony-stream/src", "balcony-testkit/tests"];
    let code: String = sources
        .iter()
        .flat_map(|folder| sources_below(&root.join("crates").join(folder)))
        .collect();
    for test in table
        .split('`')
        .skip(1)
        .step_by(2)
        .filter(|name| !name.contains(['/', ' ', '.']))
    {
        assert!(
            test == "sql" || code.contains(test),
            "there is no test {test}"
        );
    }
}

fn sources_below(folder: &std::path::Path) -> Vec<String> {
    let mut texts = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            texts.extend(sources_below(&path));
        } else {
            texts.push(std::fs::read_to_string(&path).unwrap());
        }
    }
    texts
}
