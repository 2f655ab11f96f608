//! XEP-0377 Blocking Command Reports 0.4.1: whoever blocks somebody may tell the admins why.
//!
//! The admins of the reporter's host get a message. Nobody else gets anything, whatever else the
//! reporter agrees to (§4): this server sends reports to no other.

use std::time::Duration;

use balcony_core::module::{Ctx, Feature, ModuleSpec, Spec, Throttle};
use balcony_proto::jid::Jid;
use balcony_proto::ns;
use balcony_proto::stanza::{MessageType, Stanza};
use balcony_proto::xep::date_time;
use balcony_proto::xml::Element;
use balcony_store::{ArchiveFilter, ArchiveId, ArchivePlace, ArchiveRequest, ArchivedMessage};

use crate::stored;

/// Reports on abuse.
pub static MODULE: ModuleSpec = ModuleSpec {
    name: "reporting",
    specs: &[
        Spec::xep("XEP-0377", "Blocking Command Reports", "0.4.1").note(
            "reports go to the admins of the host, none to other servers, which is optional (§4)",
        ),
    ],
    // §2
    features: &[Feature::host(ns::REPORTING)],
    state: Some(|_| Box::new(Reports::default())),
    conversations: &["xep-0377"],
    ..ModuleSpec::NOTHING
};

/// The reasons of §3 have this before their word.
const REASON: &str = "urn:xmpp:reporting:";

/// Characters of a reason that is not one of these.
const REASON_CHARS: usize = 100;

/// Characters of what a reporter writes, and of a message that is quoted: as much as people write
/// who explain something, and no more than an admin reads.
const TEXT_CHARS: usize = 1_000;

/// Before each line that the server takes from the archive, and before each that the reporter
/// writes: nobody can make one look like the other.
const QUOTE: &str = "> ";
const WRITTEN: &str = "| ";

/// What some client or other begins a new line for.
const BREAKS: [char; 5] = ['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}'];

/// Messages quoted in one report; a few show what it is about.
const QUOTED: usize = 5;

/// Reports of an account within a window. Who is flooded blocks a few in a row; more would flood
/// the admins.
const MOST: u32 = 20;
const WINDOW: Duration = Duration::from_secs(60 * 60);

/// How many reports each account has made lately.
#[derive(Default)]
struct Reports(Throttle<Jid>);

/// A report on one JID.
#[derive(Debug, PartialEq, Eq)]
struct Report {
    jid: Jid,
    reason: String,
    text: Option<String>,
    /// Messages in the archive of who reports.
    messages: Vec<ArchiveId>,
}

/// Tells the admins what is reported in a command that has been carried out: the JIDs are blocked
/// whatever becomes of the reports (§5).
pub(crate) async fn forward(ctx: &mut Ctx<'_>, reporter: &Jid, command: &Element) {
    for report in reports(reporter, command) {
        let now = ctx.core().clock().uptime();
        let reports = ctx.state::<Reports>();
        if !reports.is_some_and(|r| r.0.take(reporter.clone(), MOST, WINDOW, now)) {
            tracing::info!(%reporter, "more reports than anybody reads");
            return;
        }
        tracing::info!(%reporter, jid = %report.jid, reason = report.reason, "reported");
        let config = ctx.config();
        let host = config.host(reporter.domain());
        let admins = host.map(|host| host.admins.as_slice()).unwrap_or_default();
        if admins.is_empty() {
            continue;
        }
        let quotes = quotes(ctx, reporter, &report).await;
        let message = report
            .message(reporter, &quotes)
            .with_from(reporter.domain_jid());
        for admin in admins {
            ctx.send(message.clone().with_to(admin.bare()));
        }
    }
}

/// The reports of a command, one for each item at most. What is none by §3 is left out.
fn reports(reporter: &Jid, command: &Element) -> Vec<Report> {
    let mut items = command.children();
    let reports = items
        .by_ref()
        .filter(|child| child.is(ns::BLOCKING, "item"))
        .filter_map(|item| Report::parse(reporter, item));
    reports.collect()
}

impl Report {
    fn parse(reporter: &Jid, item: &Element) -> Option<Self> {
        let report = item.child(ns::REPORTING, "report")?;
        // §3: a reason is required.
        let reason = report.attr("reason")?;
        let own = |id: &&Element| id.attr("by") == Some(reporter.bare_str());
        let messages = report
            .children()
            .filter(|child| child.is(ns::STANZA_ID, "stanza-id"))
            .filter(own)
            .filter_map(|id| id.attr("id")?.parse().ok());
        Some(Self {
            jid: Jid::parse(item.attr("jid")?).ok()?,
            reason: one_line(&cut(
                reason.strip_prefix(REASON).unwrap_or(reason),
                REASON_CHARS,
            )),
            text: report
                .child_text(ns::REPORTING, "text")
                .map(|text| cut(text.trim(), TEXT_CHARS))
                .filter(|text| !text.is_empty()),
            messages: messages.take(QUOTED).collect(),
        })
    }

    fn message(&self, reporter: &Jid, quotes: &[String]) -> Stanza {
        let mut body = format!("{reporter} has blocked {}: {}", self.jid, self.reason);
        let text = self.text.iter().map(|text| marked(text, WRITTEN));
        let quotes = quotes.iter().map(|quote| marked(quote, QUOTE));
        body.extend(text.chain(quotes));
        let subject = format!("Report: {}", self.reason);
        Stanza::message(MessageType::Normal)
            .with_element(Element::new(ns::CLIENT, "subject").with_text(&subject))
            .with_element(Element::new(ns::CLIENT, "body").with_text(&body))
    }
}

/// Each line on a line of its own, behind a mark.
fn marked(text: &str, mark: &str) -> String {
    let lines = text.split(BREAKS);
    lines.map(|line| format!("\n{mark}{line}")).collect()
}

fn one_line(text: &str) -> String {
    // What breaks a line is white space.
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn cut(text: &str, chars: usize) -> String {
    text.chars().take(chars).collect()
}

/// §5: the messages that the reporter points at, of those by whom it reports.
async fn quotes(ctx: &mut Ctx<'_>, reporter: &Jid, report: &Report) -> Vec<String> {
    let mut quotes = Vec::new();
    for id in &report.messages {
        let request = ArchiveRequest {
            filter: ArchiveFilter {
                with: Some(report.jid.to_string()),
                ids: vec![*id],
                ..ArchiveFilter::default()
            },
            place: ArchivePlace::First,
            limit: 1,
        };
        match ctx.store().archive().page(reporter.as_str(), request).await {
            Ok(page) => quotes.extend(page.messages.iter().filter_map(|m| quote(m, reporter))),
            // Not there any more, or never.
            Err(cause) => tracing::debug!(%cause, %reporter, "a reported message is not found"),
        }
    }
    quotes
}

fn quote(message: &ArchivedMessage, reporter: &Jid) -> Option<String> {
    let stanza = stored::decode(&message.stanza)?;
    let from = stanza.from.as_ref()?;
    let others = from.bare_str() != reporter.bare_str();
    let text = stanza.body().filter(|_| others)?;
    let time = date_time::format_utc(message.received_at);
    Some(format!("{time} {from}: {}", cut(&text, TEXT_CHARS)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(items: &str) -> Vec<Report> {
        let command = format!("<block xmlns='urn:xmpp:blocking'>{items}</block>");
        let command = Element::parse(command.as_bytes(), "").unwrap();
        reports(&Jid::parse("juliet@localhost").unwrap(), &command)
    }

    fn item(attributes: &str, content: &str) -> String {
        format!(
            "<item jid='tybalt@localhost'><report xmlns='urn:xmpp:reporting:1' {attributes}>\
             {content}</report></item>"
        )
    }

    const SPAM: &str = "reason='urn:xmpp:reporting:spam'";

    #[test]
    fn a_report_needs_a_reason_and_belongs_to_its_item() {
        assert_eq!(read(&item("", "<text>x</text>")), []);
        assert_eq!(read("<item jid='tybalt@localhost'/>"), []);
        let two = read(&format!(
            "{}{}<item jid='a@b'/>",
            item(SPAM, ""),
            item("reason='x'", "")
        ));
        let reasons: Vec<_> = two.iter().map(|report| report.reason.as_str()).collect();
        assert_eq!(reasons, ["spam", "x"]);
    }

    #[test]
    fn nobody_forges_a_quote() {
        let text = "one&#10;> two&#13;> three\u{2028}> four\u{85}> five";
        let reason = "reason='bad&#10;> six\u{2029}> seven'";
        let report = read(&item(reason, &format!("<text>{text}</text>")));
        let reporter = Jid::parse("juliet@localhost").unwrap();
        let quotes = ["now tybalt@localhost: Buy\n| swords".to_owned()];
        let body = report[0].message(&reporter, &quotes).body().unwrap();
        let lines: Vec<_> = body.split(BREAKS).collect();
        assert_eq!(
            lines,
            [
                "juliet@localhost has blocked tybalt@localhost: bad > six > seven",
                "| one",
                "| > two",
                "| > three",
                "| > four",
                "| > five",
                "> now tybalt@localhost: Buy",
                "> | swords",
            ]
        );
    }

    #[test]
    fn what_is_told_is_bounded() {
        let id = ArchiveId(7);
        let ids = format!("<stanza-id xmlns='urn:xmpp:sid:0' by='juliet@localhost' id='{id}'/>");
        let foreign = format!("<stanza-id xmlns='urn:xmpp:sid:0' by='x' id='{id}'/>");
        let text = "ä".repeat(TEXT_CHARS + 1);
        let content = format!("<text>{text}</text>{foreign}{}", ids.repeat(QUOTED + 1));
        let report = read(&item(SPAM, &content)).pop().unwrap();
        assert_eq!(report.text.unwrap().chars().count(), TEXT_CHARS);
        assert_eq!(report.messages, [id; QUOTED]);
        let report = read(&item(&format!("reason='{text}'"), "<text> </text>"))
            .pop()
            .unwrap();
        assert_eq!(report.reason.chars().count(), REASON_CHARS);
        assert_eq!(report.text, None);
    }
}
