//! Servers with a fault, which a run has to find out: what the real one says is bent on its way to
//! the client.

use balcony_proto::ns;
use balcony_proto::xml::Element;

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Whoever asks for a stream gets it, as far as it knows.
    EverybodyWins,
    /// Who loses its stream, or does not get it, hears nothing of it.
    Silence,
    /// The first stanza after a resumption is lost.
    Forgets,
    /// What was handled is counted twice.
    Overcounts,
    /// The end of a session is told twice.
    GoesTwice,
}

impl Fault {
    /// All of them.
    pub const ALL: [Fault; 5] = [
        Fault::EverybodyWins,
        Fault::Silence,
        Fault::Forgets,
        Fault::Overcounts,
        Fault::GoesTwice,
    ];
}

/// What a connection hears of a server with a fault.
pub(super) struct Bent {
    fault: Option<Fault>,
    resumed: bool,
}

impl Bent {
    pub(super) fn new(fault: Option<Fault>) -> Bent {
        Bent {
            fault,
            resumed: false,
        }
    }

    pub(super) fn hear(&mut self, element: Element) -> Vec<Element> {
        let failed = element.is(ns::SM, "failed");
        let resumed = element.is(ns::SM, "resumed");
        let message = element.is(ns::CLIENT, "message");
        let conflict = element.child(ns::STREAM_ERROR, "conflict").is_some();
        match self.fault {
            Some(Fault::EverybodyWins) if failed => {
                let h = element.attr("h").unwrap_or("0").to_owned();
                vec![Element::new(ns::SM, "resumed").with_attr("h", h)]
            }
            Some(Fault::EverybodyWins | Fault::Silence) if conflict => Vec::new(),
            Some(Fault::Silence) if failed => Vec::new(),
            Some(Fault::Forgets) if message && std::mem::take(&mut self.resumed) => Vec::new(),
            Some(Fault::Overcounts) if resumed => {
                let h: u32 = element.attr("h").and_then(|h| h.parse().ok()).unwrap_or(0);
                vec![element.with_attr("h", (h * 2).to_string())]
            }
            Some(Fault::GoesTwice) if element.attr("type") == Some("unavailable") => {
                vec![element.clone(), element]
            }
            _ => {
                self.resumed |= resumed;
                vec![element]
            }
        }
    }
}
