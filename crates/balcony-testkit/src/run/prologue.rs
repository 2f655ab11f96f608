//! What was before a conversation begins: who already sees whose presence.

use balcony_proto::jid::Jid;

use super::speaker::Speaker;
use super::world::World;
use crate::script::{Client, Login, Script};

/// Makes all subscriptions of a script.
pub(super) async fn subscribe_all(script: &Script, world: &World) -> Result<(), String> {
    for (subscriber, contact) in &script.subscriptions {
        let told = subscribe(script, world, subscriber, contact).await;
        told.map_err(|what| format!("{subscriber} does not see {contact}: {what}"))?;
    }
    Ok(())
}

/// RFC 6121 §3.1, as the two would do it.
async fn subscribe(
    script: &Script,
    world: &World,
    subscriber: &Jid,
    contact: &Jid,
) -> Result<(), String> {
    let mut asking = enter(script, world, subscriber).await?;
    say(world, &mut asking, contact, "subscribe").await?;
    let mut approving = enter(script, world, contact).await?;
    say(world, &mut approving, subscriber, "subscribed").await?;
    let within = world.patience().expected;
    for speaker in [&mut asking, &mut approving] {
        speaker.send(b"</stream:stream>").await?;
        speaker.leave(within).await?;
    }
    tokio::time::sleep(world.patience().settle).await;
    Ok(())
}

async fn enter(script: &Script, world: &World, account: &Jid) -> Result<Speaker, String> {
    let known = script.accounts.iter().find(|(known, _)| known == account);
    let (account, password) = known.ok_or_else(|| format!("{account} is no account here"))?;
    let login = Login::Account {
        jid: account.clone(),
        password: password.clone(),
        mechanism: None,
        sasl2: false,
        upgrade: false,
    };
    let client = Client::new("somebody", login);
    let wire = world.connect(&client).await?;
    let mut speaker = Speaker::default();
    let entered = speaker.log_in(&client, wire).await;
    entered.map_err(|refusal| refusal.words)?;
    Ok(speaker)
}

async fn say(world: &World, speaker: &mut Speaker, to: &Jid, what: &str) -> Result<(), String> {
    let presence = format!("<presence to='{to}' type='{what}'/>");
    speaker.send(presence.as_bytes()).await?;
    speaker.catch_up(world.patience().expected).await?;
    if !world.is_real() {
        // It may have to reach another server.
        tokio::time::sleep(world.patience().settle).await;
    }
    Ok(())
}
