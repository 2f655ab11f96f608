//! `disco#info` (XEP-0030 §3).

use balcony_core::module::{Answer, BoxFuture, Ctx, Request, Target};
use balcony_proto::stanza::{Payload, StanzaError};

use super::known::{account_known, host_known};
use super::node::{self, Asked};
use crate::delegation::{self, Rest};
use crate::{access, pubsub};

/// About a host, or the account of whoever asks.
pub(super) fn answer(ctx: &mut Ctx<'_>, request: &Request) -> Answer {
    if let Some(node) = node::named(&request.payload()?) {
        let asked = Asked {
            request,
            node: Some(&node),
        };
        return node::info(ctx, &asked);
    }
    let known = match request.target {
        Target::HOST => host_known(ctx, request.host()?)?,
        _ => account_known(ctx, request.account()?.domain())?,
    };
    Ok(known.answer.clone())
}

/// About an account. §8: who may not see its presence learns no more than of an account that does
/// not exist, but of the nodes that are for everybody (XEP-0163 §6.2).
pub(super) fn answer_about_account<'a>(
    ctx: &'a mut Ctx<'_>,
    request: &'a Request,
) -> BoxFuture<'a, Answer> {
    Box::pin(async move {
        let node = node::named(&request.payload()?);
        if let Some(node) = &node
            && let Some(info) = pubsub::info(ctx, request, node).await?
        {
            return Ok(Payload::from_element(&info.to_element()));
        }
        match (itself(ctx, request).await, node) {
            (Err(error), Some(_)) => {
                // XEP-0355 §7.2.4
                let rest = delegation::take_rest(ctx, request, Rest::Info);
                rest.unwrap_or(Err(error))
            }
            (answer, _) => answer,
        }
    })
}

/// About the account, to who may see that it is there.
async fn itself(ctx: &mut Ctx<'_>, request: &Request) -> Answer {
    if !access::sees_presence(ctx, request).await? {
        return Err(StanzaError::service_unavailable());
    }
    answer(ctx, request)
}
