//! Sessions that lose their connections all at once, and come back.

mod absence;
mod others;
mod storm;

use std::time::{Duration, Instant};

use clap::Args;

use crate::error::{Error, Result};
use crate::fleet::{Fleet, Hello, Tokens};
use crate::measure::{Meter, Report, Run};
use crate::options::{MOST_USERS, Target, Tls, bounded};
use crate::order::Faults;
use crate::stamp::{self, Stamp};
use crate::wire::{Bound, Engine, Load};
use absence::Absence;
use others::{Others, Weather};
use storm::Storm;

/// After everybody is back: what comes twice comes now.
const REST: Duration = Duration::from_millis(500);

/// Between the loss of the connections and the return, so that the server's work for the former
/// does not count for the latter.
const PAUSE: Duration = Duration::from_secs(1);

/// Stanzas after which whoever writes to the absent asks for an acknowledgement.
const ASK_EVERY: u32 = 100;

/// Cut the connections of all sessions at once and let them come back by resumption (XEP-0198 §5):
/// by SASL and `<resume/>`, or within SASL2 where --sasl2 says so and the server can.
#[derive(Args, Debug)]
pub(crate) struct Reconnect {
    #[command(flatten)]
    target: Target,
    /// Users whose connections are cut
    #[arg(long, default_value_t = 1000, value_parser = bounded(1, MOST_USERS))]
    users: u64,
    /// Reconnections under way at a time. Without it all users come at once
    #[arg(long, value_parser = bounded(1, MOST_USERS))]
    at_once: Option<u64>,
    /// Messages that are sent to each user while it is away, and have to come once and in order
    #[arg(long, default_value_t = 0, value_parser = bounded(0, 1000))]
    missed: u64,
    /// The server is not told that the connections are gone, as when phones leave their network
    #[arg(long)]
    silent: bool,
    /// Come back by tokens (XEP-0484) in place of the password. Needs --sasl2 and TLS
    #[arg(long, requires = "sasl2")]
    fast: bool,
    /// Send the token with the stream header (XEP-0509), without waiting for the features
    #[arg(long, requires = "fast")]
    pipelined: bool,
    /// Take up TLS sessions by the tickets that the server gave (RFC 8446 §2.2), as clients do
    /// whose libraries keep them, in place of whole handshakes. Whose ticket it is does not
    /// matter. Needs TLS
    #[arg(long)]
    tickets: bool,
    /// Pairs of further users whose connections stay. They chat meanwhile, at 200 messages a second
    /// altogether; their latencies are told, and the case fails when a message or a connection of
    /// theirs is lost
    #[arg(long, default_value_t = 0, value_parser = bounded(0, 10_000))]
    others: u64,
    /// Runs; the result is their median
    #[arg(long, default_value_t = 3, value_parser = bounded(1, 100))]
    runs: u64,
}

impl Reconnect {
    pub(crate) fn run(&self) -> Result<()> {
        let (target, users) = (&self.target, self.users as usize);
        if self.fast && target.tls == Tls::None {
            return Err(Error::Usage("tokens are for TLS: --tls".into()));
        }
        if self.tickets && target.tls == Tls::None {
            return Err(Error::Usage("tickets are of TLS: --tls".into()));
        }
        // First, so that the keys of all stand in their file before it is read again.
        let others =
            (self.others > 0).then(|| Others::log_in(target, users + 1, self.others as usize));
        let mut others = others.transpose()?;
        let mut fleet = Fleet::new(target)?;
        fleet.clients.tokens = self.tokens();
        let connector = target.connector()?.filter(|_| self.tickets);
        let connector = connector.map(|connector| connector.with_tickets());
        if connector.is_some() {
            fleet.engine.trust(connector.clone());
        }
        // One more, who writes to those who are away.
        fleet.log_in(0..users + 1, Hello::Client)?;
        fleet.manage(0..users + 1, Some(ASK_EVERY))?;
        if let Some(connector) = connector {
            connector.use_tickets();
        }
        let mut report = self.report();
        let (mut faults, mut failed) = (Faults::default(), None);
        for _ in 0..self.runs {
            let storm = self.run_once(&mut fleet, others.as_mut(), &mut report)?;
            faults.add(storm.0);
            failed = storm.1;
            if failed.is_some() {
                // Sessions that are gone cannot come back once more.
                break;
            }
        }
        report.publish(target.json.as_deref())?;
        if let Some(error) = failed {
            return Err(error);
        }
        if let Some(others) = &mut others {
            others.close()?;
        }
        fleet.engine.close()?;
        faults.verdict()
    }

    /// One run: the storm, and how those fared that it was not to reach. What went wrong with
    /// messages, and why a session is gone.
    fn run_once(
        &self,
        fleet: &mut Fleet<'_>,
        others: Option<&mut Others<'_>>,
        report: &mut Report,
    ) -> Result<(Faults, Option<Error>)> {
        let (storm, fared) = match others {
            Some(others) => {
                let (storm, fared) = others.during(|weather| self.storm(fleet, weather));
                (storm, Some(fared))
            }
            None => (self.storm(fleet, &Weather::default()), None),
        };
        let (mut run, storm) = storm?;
        let mut faults = storm.faults(self.missed as u32);
        let mut failed = storm.into_failure();
        match fared {
            Some(Ok(mut fared)) => {
                fared.tell(&mut run);
                faults.add(fared.faults);
                if let Some(wrong) = fared.wrong.take() {
                    report.remark(wrong);
                }
            }
            Some(Err(error)) => {
                report.remark(format!("one of the others: {error}"));
                failed.get_or_insert(error);
            }
            None => {}
        }
        report.push(run);
        Ok((faults, failed))
    }

    fn tokens(&self) -> Tokens {
        match (self.fast, self.pipelined) {
            (false, _) => Tokens::Never,
            (true, false) => Tokens::Used,
            (true, true) => Tokens::Pipelined,
        }
    }

    fn report(&self) -> Report {
        let target = &self.target;
        let case = format!("reconnect-{}", target.tls.as_str());
        let mut report = Report::new(case, &target.label);
        report.set("users", self.users);
        report.set("at_once", self.at_once);
        report.set("missed", self.missed);
        report.set("silent", self.silent);
        report.set("mechanism", target.mechanism.as_str());
        report.set("sasl2", target.sasl2);
        report.set("fast", self.fast);
        report.set("pipelined", self.pipelined);
        report.set("tickets", self.tickets);
        report.set("others", self.others);
        report
    }

    /// All go, messages come for them, and they come back.
    fn storm(&self, fleet: &mut Fleet<'_>, weather: &Weather) -> Result<(Run, Storm)> {
        let (target, users) = (&self.target, self.users as usize);
        let streams = (0..users).map(|user| self.again(fleet, user));
        let streams = streams.collect::<Result<Vec<_>>>()?;
        for user in 0..users {
            fleet.engine.cut(user, self.silent)?;
        }
        let run = stamp::fresh_run();
        self.write_to_the_absent(&mut fleet.engine, run)?;
        rest(&mut fleet.engine, &mut Quiet, PAUSE)?;

        let absences = streams.into_iter().map(Absence::new).collect();
        let mut storm = Storm::new(target, absences, self.missed as u32, run)?;
        storm.tokens = self.fast;
        weather.begins();
        let meter = Meter::start(&target.pid)?;
        storm.begin(&mut fleet.engine, self.at_once.unwrap_or(self.users))?;
        let engine = &mut fleet.engine;
        engine.turn_until(&mut storm, target.limit(), "the sessions", Storm::is_over)?;
        let spent = meter.spent()?;
        rest(engine, &mut storm, REST)?;
        engine.forget_former();
        let resumed = engine.resumed_tls();
        if self.tickets && resumed < users && storm.failures() == 0 {
            let text = format!("it resumed {resumed} of {users} TLS sessions");
            return Err(Error::Refused(text));
        }

        let mut result = Run::default();
        result.add("all_ms", "ms", spent.elapsed.as_secs_f64() * 1e3);
        let rate = self.users as f64 / spent.elapsed.as_secs_f64();
        result.add("per_s", "1/s", rate);
        result.cpu(&spent, self.users, ["server_us", "own_us"]);
        result.latency(storm.latency());
        let faults = storm.faults(self.missed as u32);
        result.add("failed", "", storm.failures() as f64);
        result.add("lost", "", faults.lost as f64);
        result.add("duplicated", "", faults.duplicated as f64);
        result.add("reordered", "", faults.reordered as f64);
        Ok((result, storm))
    }

    /// The stream on which a user will come back.
    fn again(
        &self,
        fleet: &Fleet<'_>,
        user: usize,
    ) -> Result<balcony_stream::initiating::Initiating> {
        let former = fleet.engine.former(user);
        let lacks = |what: &str| Err(Error::Refused(format!("it gave no {what}")));
        if former.resume.is_none() {
            return lacks("stream that may be resumed");
        }
        if self.fast && former.token.is_none() {
            return lacks("token");
        }
        if self.pipelined && former.version.is_none() {
            return lacks("version of its features");
        }
        fleet.clients.stream(user, former)
    }

    /// Sends to everybody's bare JID, and waits until the server has handled it.
    fn write_to_the_absent(&self, engine: &mut Engine, run: u32) -> Result<()> {
        let (target, sender) = (&self.target, self.users as usize);
        for user in 0..sender {
            let to = target.jid(user)?;
            for number in 0..self.missed as u32 {
                let stamp = Stamp {
                    run,
                    route: user as u32,
                    number,
                    nanos: 0,
                };
                engine.untimed(sender, |out| {
                    out.extend_from_slice(b"<message type='chat' to='");
                    out.extend_from_slice(to.as_str().as_bytes());
                    out.extend_from_slice(b"'><body>");
                    stamp.write(out);
                    out.extend_from_slice(b"</body></message>");
                });
            }
        }
        engine.ask(sender);
        let until = Instant::now() + target.limit();
        while engine.unacknowledged(sender) > 0 {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Error::Timeout("the messages for the absent".into()));
            }
            engine.turn(&mut Quiet, left)?;
        }
        Ok(())
    }
}

/// Takes what comes for a while.
fn rest(engine: &mut Engine, load: &mut dyn Load, span: Duration) -> Result<()> {
    let end = Instant::now() + span;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        engine.turn(load, left)?;
    }
}

/// While only the one who writes is there.
struct Quiet;

impl Load for Quiet {
    fn ready(&mut self, _: &mut Engine, _: usize, _: Bound) -> Result<()> {
        Ok(())
    }

    fn stanza(&mut self, engine: &mut Engine, session: usize, stanza: &[u8]) -> Result<()> {
        let error = crate::wire::markup::attribute(stanza, "type") == Some(b"error");
        if error && stamp::Reader::new().read(stanza).is_some() {
            let who = engine.who(session);
            return Err(Error::unexpected(who, "an error", stanza));
        }
        Ok(())
    }
}
