//! What comes for a client, held against what the script expects.

use balcony_proto::ns;
use balcony_proto::xml::Element;

use super::stage::Stage;
use crate::compare::{compare, pretty};
use crate::reader::Piece;

impl Stage<'_> {
    /// The next piece; `None` when nothing comes, or nothing more.
    pub(super) async fn next(
        &mut self,
        who: usize,
        presence: bool,
    ) -> Result<Option<Piece>, String> {
        let drops_presence = self.script.ignores_presence && !presence;
        let (patience, elsewhere) = (self.world.patience(), self.world.is_elsewhere());
        let speaker = self.speaker(who)?;
        loop {
            match speaker.next(patience.expected).await? {
                Some(Some(piece)) if drops_presence && is_presence(&piece) => {}
                Some(Some(piece)) if elsewhere && tells_absence(&piece) => {}
                Some(piece) => return Ok(piece),
                None => return Ok(None),
            }
        }
    }

    pub(super) async fn receive(
        &mut self,
        who: usize,
        expected: &[Element],
        any_order: bool,
    ) -> Result<(), String> {
        let presence = expected.iter().any(|one| one.is(ns::CLIENT, "presence"));
        let mut left: Vec<&Element> = expected.iter().collect();
        while let Some(first) = left.first().copied() {
            let piece = self.next(who, presence).await?;
            let (Some(Piece::Element(got)) | Some(Piece::Open(got))) = &piece else {
                let instead = show(piece.as_ref());
                return Err(format!("{instead} came. Expected:\n{}", pretty(first)));
            };
            let got = &self.with_sender(who, first, got)?;
            let candidates = if any_order { left.len() } else { 1 };
            let mut reasons = Vec::new();
            let found = left.iter().take(candidates).position(|one| {
                let result = compare(one, got, &mut self.names);
                result.map_err(|why| reasons.push(why)).is_ok()
            });
            match found {
                Some(at) => drop(left.remove(at)),
                None => return Err(difference(&reasons, &left, candidates, got)),
            }
        }
        Ok(())
    }

    /// What comes without a sender is from the account (RFC 6120 §8.1.2.1); a server may say so or
    /// not, whatever the script does.
    fn with_sender(
        &self,
        who: usize,
        expected: &Element,
        got: &Element,
    ) -> Result<Element, String> {
        let name = &self.client(who)?.name;
        let mut got = got.clone();
        let Some(account) = self.names.get(&format!("bare jid of {name}")) else {
            return Ok(got);
        };
        match (expected.attr("from"), got.attr("from")) {
            (Some(_), None) if got.ns() == ns::CLIENT => got.set_attr("from", account),
            (None, Some(from)) if from == account => {
                got.remove_attr("from");
            }
            _ => {}
        }
        // RFC 6121 §4.3.2: some stamp the presence that they tell again.
        let stamped = expected.child(ns::DELAY, "delay").is_some();
        if self.world.is_elsewhere() && !stamped && got.is(ns::CLIENT, "presence") {
            got.retain(|child| !child.is(ns::DELAY, "delay"));
        }
        Ok(got)
    }

    pub(super) async fn receive_nothing(&mut self, who: usize) -> Result<(), String> {
        let (patience, real) = (self.world.patience(), self.world.is_real());
        if real && self.speaker(who)?.is_logged_in() {
            self.speaker(who)?.catch_up(patience.expected).await?;
        }
        let drops_presence = self.script.ignores_presence;
        let elsewhere = self.world.is_elsewhere();
        let speaker = self.speaker(who)?;
        loop {
            match speaker.next(patience.nothing).await? {
                Some(Some(piece)) if drops_presence && is_presence(&piece) => {}
                Some(Some(piece)) if elsewhere && tells_absence(&piece) => {}
                Some(piece) => return Err(format!("{} came", show(piece.as_ref()))),
                None => return Ok(()),
            }
        }
    }

    pub(super) fn offered(&mut self, who: usize, expected: &[Element]) -> Result<(), String> {
        let features = self.speaker(who)?.features.clone();
        let features = features.ok_or("there were no features")?;
        for one in expected {
            let mut offers = features.children();
            if !offers.any(|offer| compare(one, offer, &mut self.names).is_ok()) {
                let offered = pretty(&features);
                return Err(format!("not offered:\n{}offered:\n{offered}", pretty(one)));
            }
        }
        Ok(())
    }
}

/// RFC 6121 §4.3.2 point 3: a server may tell at each login of the contacts that are away. Ours
/// does not.
fn tells_absence(piece: &Piece) -> bool {
    let Piece::Element(element) = piece else {
        return false;
    };
    let from = element.attr("from").unwrap_or_default();
    is_presence(piece) && element.attr("type") == Some("unavailable") && !from.contains('/')
}

fn is_presence(piece: &Piece) -> bool {
    matches!(piece, Piece::Element(element) if element.is(ns::CLIENT, "presence"))
}

pub(super) fn show(piece: Option<&Piece>) -> String {
    match piece {
        None => "nothing".to_owned(),
        Some(Piece::Close) => "the end of the stream".to_owned(),
        Some(Piece::Open(element)) | Some(Piece::Element(element)) => {
            format!("this\n{}", pretty(element))
        }
    }
}

fn difference(reasons: &[String], left: &[&Element], candidates: usize, got: &Element) -> String {
    let mut text = format!("{}\n", reasons.join("; or "));
    for one in left.iter().take(candidates) {
        text.push_str(&format!("  expected:\n{}", pretty(one)));
    }
    text.push_str(&format!("  received:\n{}", pretty(got)));
    text
}
