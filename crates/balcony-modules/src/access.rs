//! Who may learn about an account what its presence tells.

use balcony_core::module::{Ctx, Request, stanza_error};
use balcony_proto::stanza::StanzaError;

use crate::presence;

/// Whether whoever asks may see the presence of the account that is asked about: its owner, and
/// contacts with a subscription of `from` or `both`. For an account that does not exist nobody.
///
/// # Errors
/// When the store does not answer, the same for every account.
pub(crate) async fn sees_presence(
    ctx: &mut Ctx<'_>,
    request: &Request,
) -> Result<bool, StanzaError> {
    let account = request.account()?;
    presence::is_shared(ctx, &account, None, request.from()?)
        .await
        .map_err(|cause| stanza_error(&cause))
}
