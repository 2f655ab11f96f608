//! What a client has done together with the binding of its resource (XEP-0386 §3.2).

use std::sync::Arc;

use balcony_proto::xml::Element;

use super::{Rest, finish};
use crate::Core;
use crate::context::{Ctx, Works};
use crate::module::{BindInline, OnBind};
use crate::session::Session;

impl Core {
    fn inlines(&self) -> impl Iterator<Item = &'static BindInline> {
        self.modules().iter().flat_map(|module| module.bind_inline)
    }

    /// What the modules offer to do as a client binds (XEP-0386 §3.1): each `var` once.
    #[must_use]
    pub fn bind_inline_vars(&self) -> Vec<&'static str> {
        let mut vars = Vec::new();
        for inline in self.inlines() {
            if !vars.contains(&inline.var) {
                vars.push(inline.var);
            }
        }
        vars
    }

    /// Does what a client wishes for the session that was just bound, and what is done for each
    /// new session. For whoever binds, after `Event::Bound` and before the client hears of it.
    ///
    /// Answers what the client is told of it (`<bound/>`), in the order of the modules. What
    /// nobody knows is left alone.
    pub async fn bind_inline(
        self: &Arc<Self>,
        session: &Arc<Session>,
        wishes: &[Element],
    ) -> Vec<Element> {
        let mut works = Works::default();
        let mut told = Vec::new();
        for inline in self.inlines() {
            let Some(wish) = wish_for(inline, wishes) else {
                continue;
            };
            let mut ctx = Ctx::new(self, &mut works);
            told.extend(match inline.run {
                OnBind::Now(run) => run(&mut ctx, session, wish),
                OnBind::Waits(run) => run(&mut ctx, session, wish).await,
            });
        }
        finish(self, Rest { walk: None, works }).await;
        told
    }
}

/// Whether it is to be done, and with which element. The first of several alike counts.
fn wish_for<'w>(inline: &BindInline, wishes: &'w [Element]) -> Option<Option<&'w Element>> {
    let Some((ns, name)) = inline.element else {
        return Some(None);
    };
    wishes.iter().find(|wish| wish.is(ns, name)).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inline(element: Option<(&'static str, &'static str)>) -> BindInline {
        BindInline {
            var: "urn:example",
            element,
            run: OnBind::Now(|_, _, _| Vec::new()),
        }
    }

    #[test]
    fn a_wish_is_found_by_its_element_and_what_needs_none_is_always_done() {
        let wishes = [
            Element::new("urn:example", "disable"),
            Element::new("urn:example", "enable").with_attr("n", "1"),
            Element::new("urn:example", "enable").with_attr("n", "2"),
        ];
        let enable = inline(Some(("urn:example", "enable")));
        let found = wish_for(&enable, &wishes).unwrap().unwrap();
        assert_eq!(found.attr("n"), Some("1"));
        assert!(wish_for(&enable, &[]).is_none());
        assert_eq!(wish_for(&inline(None), &wishes), Some(None));
    }
}
