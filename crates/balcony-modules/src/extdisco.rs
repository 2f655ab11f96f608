//! XEP-0215 External Service Discovery 1.0.0: STUN and TURN for calls, and what else is configured.

use balcony_core::module::{
    Answer, BoxFuture, Ctx, Feature, Handle, IqHandler, IqKind, KeyKind, ModuleSpec, Request,
    Section, Spec, Target, stanza_error,
};
use balcony_proto::jid::Jid;
use balcony_proto::ns;
use balcony_proto::stanza::{Payload, StanzaError};
use balcony_proto::xep::extdisco::{Credentials, Service};
use balcony_proto::xml::Element;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;

use crate::keys::{key, optional, required};

/// The name of the section.
const SECTION: &str = "external_service";

static SERVICES: Section = Section {
    name: SECTION,
    doc: "A service beside XMPP that clients of this server may use, such as STUN and TURN for \
          calls (XEP-0215); one section for each. Only accounts of this server are told.",
    list: true,
    keys: &[
        required("type", KeyKind::Str, "What it is: `stun`, `turn`, `turns`…"),
        required("host", KeyKind::Str, "Its domain or IP address."),
        optional(
            "port",
            KeyKind::Int {
                min: 1,
                max: 65_535,
            },
            "the usual port of the type",
            "Its port.",
        ),
        optional(
            "transport",
            KeyKind::Choice(&["udp", "tcp"]),
            "not said",
            "How it is reached. A service that is reached in both ways has two sections.",
        ),
        optional("name", KeyKind::Str, "none", "What people call it."),
        optional(
            "secret",
            KeyKind::Secret,
            "no credentials, or those of `username` and `password`",
            "A secret shared with a TURN server (coturn: `static-auth-secret`), from which each \
             account gets credentials that hold for `ttl`.",
        ),
        key(
            "ttl",
            KeyKind::Duration {
                min: 60,
                max: 7 * 86_400,
            },
            "\"12h\"",
            "How long such credentials hold. A call must not outlive them, and who has left must \
             not use the service for long.",
        ),
        optional(
            "username",
            KeyKind::Str,
            "none",
            "A name that all accounts share.",
        ),
        optional(
            "password",
            KeyKind::Secret,
            "none",
            "The password for `username`.",
        ),
    ],
};

/// External services.
pub static MODULE: ModuleSpec = ModuleSpec {
    name: "extdisco",
    specs: &[Spec::xep("XEP-0215", "External Service Discovery", "1.0.0")
        .partial("pushes of changes, which are optional (§3.2), and extended information (§4)")],
    features: &[Feature::host(ns::EXTDISCO)],
    iq: &[
        IqHandler {
            ns: ns::EXTDISCO,
            name: "services",
            kind: IqKind::Get,
            target: Target::HOST,
            handle: Handle::Waits(services),
        },
        IqHandler {
            ns: ns::EXTDISCO,
            name: "credentials",
            kind: IqKind::Get,
            target: Target::HOST,
            handle: Handle::Waits(credentials),
        },
    ],
    config: &[&SERVICES],
    conversations: &["xep-0215"],
    ..ModuleSpec::NOTHING
};

/// XEP-0215 §3.1, §3.2.
fn services<'a>(ctx: &'a mut Ctx<'_>, request: &'a Request) -> BoxFuture<'a, Answer> {
    Box::pin(async move {
        let account = client(ctx, request).await?;
        let kind = request.payload()?.attr("type").map(String::from);
        let found = known(ctx, account);
        let wanted = found
            .iter()
            .filter(|service| kind.as_ref().is_none_or(|k| *k == service.kind));
        let answer = Element::new(ns::EXTDISCO, "services")
            .with_opt_attr("type", kind.as_deref())
            .with_children(wanted.map(Service::to_element));
        Ok(Payload::from_element(&answer))
    })
}

/// §3.3.
fn credentials<'a>(ctx: &'a mut Ctx<'_>, request: &'a Request) -> BoxFuture<'a, Answer> {
    Box::pin(async move {
        let account = client(ctx, request).await?;
        let query = request.element()?;
        let wanted = query
            .child(ns::EXTDISCO, "service")
            .and_then(Service::parse);
        let wanted = wanted.ok_or_else(StanzaError::bad_request)?;
        let is_meant = |service: &&Service| {
            service.credentials.is_some()
                && service.host == wanted.host
                && service.kind == wanted.kind
                && (wanted.port.is_none() || service.port == wanted.port)
        };
        let found = known(ctx, account);
        let mut found = found.iter().filter(is_meant).peekable();
        if found.peek().is_none() {
            return Err(StanzaError::item_not_found());
        }
        let answer = Element::new(ns::EXTDISCO, "credentials");
        let answer = answer.with_children(found.map(Service::to_element));
        Ok(Payload::from_element(&answer))
    })
}

/// §2: whoever is not of this server has no permission. Nor has a guest (XEP-0175), whom nobody
/// could keep from using a service up.
async fn client<'r>(ctx: &mut Ctx<'_>, request: &'r Request) -> Result<&'r Jid, StanzaError> {
    let session = request.session.as_ref();
    let account = session.ok_or_else(StanzaError::forbidden)?.account();
    let user = account.local().unwrap_or_default();
    match ctx.store().accounts().exists(account.domain(), user).await {
        Ok(true) => Ok(account),
        Ok(false) => Err(StanzaError::forbidden()),
        Err(cause) => Err(stanza_error(&cause)),
    }
}

/// All services, with the credentials of an account.
fn known(ctx: &Ctx<'_>, account: &Jid) -> Vec<Service> {
    let config = ctx.config();
    let now = ctx.utc_micros();
    let text = |text: Option<&str>| text.map(str::to_owned);
    let services = config.each(SECTION).filter_map(|values| {
        let secret = values.secret("secret").map(|secret| secret.reveal());
        let shared = values.text("username").zip(values.secret("password"));
        let credentials = match secret {
            Some(secret) => {
                let expires = now / 1_000_000 + seconds(values.duration("ttl"));
                Some(time_limited(secret, account, expires))
            }
            None => shared.map(|(username, password)| Credentials {
                username: username.to_owned(),
                password: password.reveal().to_owned(),
                expires: None,
            }),
        };
        Some(Service {
            kind: values.text("type")?.to_owned(),
            host: values.text("host")?.to_owned(),
            port: values.maybe_int("port"),
            transport: Some(values.choice("transport").to_owned()).filter(|t| !t.is_empty()),
            name: text(values.text("name")),
            restricted: credentials.is_some(),
            credentials,
        })
    });
    services.collect()
}

fn seconds(duration: std::time::Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}

/// The way of draft-uberti-behave-turn-rest §2.2, which §3.3 names: the name begins with the time
/// in seconds until which it holds, the password is proof that we gave it out. What follows the
/// time tells the accounts apart for the service's quotas without telling it who they are.
fn time_limited(secret: &str, account: &Jid, expires: i64) -> Credentials {
    let pseudonym: String = mac(secret, account.as_str())
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let username = format!("{expires}:{pseudonym}");
    Credentials {
        password: STANDARD.encode(mac(secret, &username)),
        username,
        expires: Some(expires.saturating_mul(1_000_000)),
    }
}

fn mac(secret: &str, text: &str) -> Vec<u8> {
    let Ok(mut mac) = <Hmac<Sha1> as KeyInit>::new_from_slice(secret.as_bytes()) else {
        unreachable!("HMAC takes a key of any length (RFC 2104 §2)");
    };
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_password_is_the_mac_of_the_name() {
        // RFC 2202 §3, the second test case.
        let mac = mac("Jefe", "what do ya want for nothing?");
        assert_eq!(STANDARD.encode(mac), "7/zfauXrL6LSdBbV8YTfnCWafHk=");
        let juliet = Jid::parse("juliet@localhost").unwrap();
        let given = time_limited("Jefe", &juliet, 1_000);
        assert!(given.username.starts_with("1000:") && !given.username.contains("juliet"));
        assert_eq!(given.expires, Some(1_000_000_000));
        let expected = STANDARD.encode(super::mac("Jefe", &given.username));
        assert_eq!(given.password, expected);
        let romeo = Jid::parse("romeo@localhost").unwrap();
        assert_ne!(time_limited("Jefe", &romeo, 1_000).username, given.username);
    }
}
