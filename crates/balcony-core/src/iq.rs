//! Which module answers which iq.

use balcony_proto::map::Map;
use balcony_proto::stanza::{IqType, Kind};

use crate::error::Error;
use crate::module::{Handle, IqHandler, IqKind, ModuleSpec, Target};

/// The iq handlers by namespace and name of the payload.
pub(crate) struct IqTable {
    by_payload: Map<(&'static str, &'static str), Vec<&'static IqHandler>>,
}

impl IqTable {
    /// Collects the handlers.
    ///
    /// # Errors
    /// [`Error::Modules`] when two handlers would answer the same request.
    pub(crate) fn new(
        modules: &[&'static ModuleSpec],
        declared: fn(&ModuleSpec) -> &'static [IqHandler],
    ) -> Result<Self, Error> {
        let mut by_payload: Map<_, Vec<&IqHandler>> = Map::default();
        for module in modules {
            for handler in declared(module) {
                let list = by_payload.entry((handler.ns, handler.name)).or_default();
                if list.iter().any(|other| overlap(other, handler)) {
                    return Err(Error::Modules(format!(
                        "{} answers <{} xmlns='{}'/>, which another module answers already",
                        module.name, handler.name, handler.ns
                    )));
                }
                list.push(handler);
            }
        }
        Ok(Self { by_payload })
    }

    /// The handler for a request, if a module has one.
    pub(crate) fn find(&self, kind: Kind, ns: &str, name: &str, target: Target) -> Option<Handle> {
        let fits = |handler: &&&IqHandler| {
            handler.target.meets(target)
                && match handler.kind {
                    IqKind::Any => true,
                    IqKind::Get => kind == Kind::Iq(IqType::Get),
                    IqKind::Set => kind == Kind::Iq(IqType::Set),
                }
        };
        // The keys are static, so a borrowed pair stands for them only through this closure.
        let list = self.by_payload.get(&(ns, name) as &(&str, &str))?;
        list.iter().find(fits).map(|handler| handler.handle)
    }
}

fn overlap(one: &IqHandler, two: &IqHandler) -> bool {
    let kinds = one.kind == two.kind || one.kind == IqKind::Any || two.kind == IqKind::Any;
    kinds && one.target.meets(two.target)
}
