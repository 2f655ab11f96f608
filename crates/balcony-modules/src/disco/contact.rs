//! XEP-0157: how to reach those who run a host.

use balcony_core::module::{Config, Key, KeyKind, Section};
use balcony_proto::xep::data_form::{DataForm, Field, FormType};

use crate::keys::key;
use crate::server_info;

/// XEP-0157 §3.
const SERVER_INFO: &str = "http://jabber.org/network/serverinfo";

/// The fields of XEP-0157 §7.1 with the keys that fill them, in the order of the specification.
const FIELDS: [(&str, &str); 7] = [
    ("abuse-addresses", "abuse_addresses"),
    ("admin-addresses", "admin_addresses"),
    ("feedback-addresses", "feedback_addresses"),
    ("sales-addresses", "sales_addresses"),
    ("security-addresses", "security_addresses"),
    ("status-addresses", "status_addresses"),
    ("support-addresses", "support_addresses"),
];

const fn addresses(name: &'static str, doc: &'static str) -> Key {
    key(name, KeyKind::Strs, "[]", doc)
}

/// The keys of a host for this.
pub(super) static HOST: Section = Section {
    name: "host",
    doc: "",
    list: true,
    keys: &[
        addresses(
            "abuse_addresses",
            "Where to complain about spam and worse, as URIs such as \
             `\"mailto:abuse@example.org\"` and `\"xmpp:abuse@example.org\"`. Anybody may read \
             these lists (XEP-0157), hence the empty defaults; what is no URI is left out with a \
             warning.",
        ),
        addresses("admin_addresses", "How to reach those who run the server."),
        addresses(
            "feedback_addresses",
            "Where to say what one thinks of the service.",
        ),
        addresses("sales_addresses", "Where to ask about buying the service."),
        addresses(
            "security_addresses",
            "Where to report holes in its security.",
        ),
        addresses(
            "status_addresses",
            "Where to see whether the service works.",
        ),
        addresses(
            "support_addresses",
            "Where to ask for help with the service.",
        ),
    ],
};

/// The form for a host; `None` when nothing is known.
pub(super) fn form(config: &Config, host: &str) -> Option<DataForm> {
    let values = config.host_values(host)?;
    let field = |(var, name): (&str, &str)| {
        let all = values.texts(name);
        let uris: Vec<&String> = all.iter().filter(|text| is_uri(text)).collect();
        if uris.len() < all.len() {
            tracing::warn!(host, name, "an address was left out: it is no URI");
        }
        (!uris.is_empty()).then(|| Field {
            var: Some(var.to_owned()),
            ..Field::default().with_values(uris)
        })
    };
    // XEP-0485 §9.2: its field is one of the same form.
    let fields = FIELDS.into_iter().filter_map(field);
    let fields: Vec<Field> = fields.chain(server_info::field(config, host)).collect();
    if fields.is_empty() {
        return None;
    }
    let mut form = DataForm::about(FormType::Result, SERVER_INFO);
    form.fields.extend(fields);
    Some(form)
}

/// Whether a text begins with a scheme (RFC 3986 §3.1) and goes on after it without spaces.
fn is_uri(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once(':') else {
        return false;
    };
    scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
        && !rest.is_empty()
        && !rest.contains(|c: char| c.is_whitespace() || c.is_control())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sections() -> Vec<&'static Section> {
        [&[&HOST], server_info::MODULE.config].concat()
    }

    #[test]
    fn addresses_that_are_uris_are_told() {
        let text = "[[host]]\nname = 'localhost'\n\
            abuse_addresses = ['mailto:abuse@localhost', 'abuse@localhost']\n\
            status_addresses = ['https://status.localhost']\n";
        let config = Config::parse(text, None, &sections()).unwrap();
        let form = form(&config, "localhost").unwrap();
        assert_eq!(form.form_type_name(), Some(SERVER_INFO));
        let abuse = form.field("abuse-addresses").unwrap();
        assert_eq!(abuse.values, ["mailto:abuse@localhost"]);
        assert_eq!(
            form.value("status-addresses"),
            Some("https://status.localhost")
        );
        assert_eq!(form.fields.len(), 3);
    }

    #[test]
    fn without_addresses_there_is_no_form() {
        let config = Config::parse("", None, &sections()).unwrap();
        assert_eq!(form(&config, "localhost"), None);
    }

    #[test]
    fn a_uri_has_a_scheme() {
        assert!(is_uri("xmpp:admins@localhost?message"));
        for text in ["", "localhost", ":x", "mailto:", "1a:b", "http://a b"] {
            assert!(!is_uri(text), "{text}");
        }
    }
}
