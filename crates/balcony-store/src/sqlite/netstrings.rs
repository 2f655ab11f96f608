//! A list of texts in one column: each as its length in bytes, a colon, itself and a comma.
//!
//! Needs no escapes and no second table, and can be read by eye: `6:Verona,5:Balls,`.

pub(super) fn encode(texts: &[String]) -> String {
    let mut out = String::new();
    for text in texts {
        out.push_str(&text.len().to_string());
        out.push(':');
        out.push_str(text);
        out.push(',');
    }
    out
}

/// `None` when that is not what [`encode`] wrote.
pub(super) fn decode(mut rest: &str) -> Option<Vec<String>> {
    let mut texts = Vec::new();
    while !rest.is_empty() {
        let (length, tail) = rest.split_once(':')?;
        let (text, tail) = tail.split_at_checked(length.parse().ok()?)?;
        rest = tail.strip_prefix(',')?;
        texts.push(text.to_owned());
    }
    Some(texts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_text_comes_back() {
        let lists: [&[&str]; 4] = [&[], &[""], &["6:Verona,", ":,"], &["Bälle", "🌹", "a b"]];
        for list in lists {
            let texts: Vec<String> = list.iter().map(|&text| text.to_owned()).collect();
            assert_eq!(decode(&encode(&texts)), Some(texts));
        }
    }

    #[test]
    fn form_is_as_documented() {
        assert_eq!(
            encode(&["Verona".into(), "Balls".into()]),
            "6:Verona,5:Balls,"
        );
    }

    #[test]
    fn damaged_list_is_noticed() {
        for text in ["6:Veron,", "7:Verona,", "x", "1:ä,", "-1:,", "1:a"] {
            assert_eq!(decode(text), None, "{text}");
        }
    }
}
