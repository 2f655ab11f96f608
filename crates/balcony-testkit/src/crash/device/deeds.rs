//! What a device does under load: it writes, and its connection breaks in every way there is.

use std::time::Duration;

use balcony_stream::established::write_close;

use super::super::seeded::Seeded;
use super::{Device, End, Link};

/// Stanzas that may wait for their acknowledgement before a device pauses: more than the server
/// has under way of one client at a time.
const WAITING: usize = 150;

/// What is done next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deed {
    /// Writes so many messages to one account.
    Write(u64),
    /// Writes a message to each of several accounts.
    Spread,
    /// Says how much came, without being asked.
    Acknowledge,
    /// The connection breaks.
    Cut,
    /// The connection breaks in the middle of a message.
    Half,
    /// So many milliseconds nothing is read, then the connection breaks.
    Mute(u64),
    /// Closes the stream, to come back with a new one.
    Leave,
    /// Comes back without its stream, as a program does that was started again.
    Forget,
}

impl Deed {
    /// Something for a device that waits for so many acknowledgements.
    pub(super) fn choose(random: &mut Seeded, waiting: usize) -> Self {
        match random.below(1000) {
            0..15 => Deed::Cut,
            15..25 => Deed::Half,
            25..35 => Deed::Mute(random.between(20, 200)),
            35..50 => Deed::Leave,
            50..60 => Deed::Forget,
            60..150 => Deed::Acknowledge,
            _ if waiting > WAITING => Deed::Acknowledge,
            150..300 => Deed::Spread,
            300..500 => Deed::Write(random.between(2, 8)),
            _ => Deed::Write(1),
        }
    }
}

impl Device {
    pub(super) async fn act(&mut self, link: &mut Link, deed: Deed) -> Result<Option<End>, String> {
        let idle = self
            .stream
            .as_ref()
            .is_some_and(|stream| stream.waiting() == 0);
        match deed {
            Deed::Write(count) => self.write_to_one(link, count),
            Deed::Spread => self.write_to_all(link),
            Deed::Acknowledge => self.answer(link),
            Deed::Cut => return Ok(Some(End::Lost("cut".to_owned()))),
            Deed::Half => return self.write_half(link).await.map(Some),
            Deed::Mute(millis) => {
                link.flush().await?;
                tokio::time::sleep(Duration::from_millis(millis)).await;
                return Ok(Some(End::Lost("cut after silence".to_owned())));
            }
            Deed::Leave if idle => return self.leave(link).await.map(Some),
            Deed::Forget if idle => {
                self.stream = None;
                return Ok(Some(End::Lost("forgotten".to_owned())));
            }
            // What was sent and not answered must not be forgotten.
            Deed::Leave | Deed::Forget => {}
        }
        Ok(None)
    }

    fn write_to_one(&mut self, link: &mut Link, count: u64) {
        let peers = self.world.peers(self.account);
        let Some(peer) = self.random.of(&peers).copied() else {
            return;
        };
        for _ in 0..count {
            let bare = self.random.percent(60);
            let message = self.compose(peer, bare);
            self.send(link, message);
        }
        if self.random.percent(70) {
            self.ask(link);
        }
    }

    /// A message to everybody to whom this device writes.
    pub(super) fn write_to_all(&mut self, link: &mut Link) {
        let mut peers = self.world.peers(self.account);
        peers.sort_unstable();
        peers.dedup();
        for peer in peers {
            let message = self.compose(peer, true);
            self.send(link, message);
        }
        self.ask(link);
    }

    async fn write_half(&mut self, link: &mut Link) -> Result<End, String> {
        let peers = self.world.peers(self.account);
        if let Some(peer) = self.random.of(&peers).copied() {
            let message = self.compose(peer, true);
            let half = message.bytes.len() / 2;
            let written = link.out.len() + half;
            self.send(link, message);
            link.out.truncate(written);
        }
        link.flush().await?;
        Ok(End::Lost("cut in a message".to_owned()))
    }

    /// XEP-0198 §4: says what came before it closes.
    pub(super) async fn leave(&mut self, link: &mut Link) -> Result<End, String> {
        self.answer(link);
        write_close(&mut link.out);
        self.stream = None;
        link.flush().await?;
        link.shut().await;
        Ok(End::Closed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_deed_is_chosen_and_who_waits_writes_nothing() {
        let mut random = Seeded::new(1);
        let deeds: Vec<Deed> = (0..2_000).map(|_| Deed::choose(&mut random, 0)).collect();
        for deed in [
            Deed::Cut,
            Deed::Half,
            Deed::Leave,
            Deed::Forget,
            Deed::Spread,
        ] {
            assert!(deeds.contains(&deed), "{deed:?}");
        }
        let writes = |deed: &Deed| matches!(deed, Deed::Write(_) | Deed::Spread);
        let mut waiting = (0..2_000).map(|_| Deed::choose(&mut random, WAITING + 1));
        assert!(!waiting.any(|deed| writes(&deed)));
    }
}
