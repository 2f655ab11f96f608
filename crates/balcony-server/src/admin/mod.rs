//! The admin socket: one JSON object a line, for `balcony user …` and its like.

mod calls;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use balcony_admin_api::{Answer, Call, ErrorKind, MAX_CALL, Request};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};

use crate::process::Process;

/// Listens as long as it is held.
pub(crate) struct Listening {
    path: PathBuf,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.task.abort();
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Starts to take admin commands on a UNIX socket that only the server's own user may open.
pub(crate) fn listen(process: Arc<Process>, path: &Path) -> Result<Listening, String> {
    let fail = |error: std::io::Error| format!("cannot listen on {}: {error}", path.display());
    // The lock of the data directory shows that no other server lives here: what is left over
    // is a socket of one that was killed.
    if path.exists() {
        std::fs::remove_file(path).map_err(fail)?;
    }
    let listener = UnixListener::bind(path).map_err(fail)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).map_err(fail)?;
    let task = tokio::spawn(async move {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    tokio::spawn(serve(Arc::clone(&process), stream));
                }
                Err(error) => {
                    tracing::warn!(%error, "the admin socket");
                    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                }
            }
        }
    });
    Ok(Listening {
        path: path.to_path_buf(),
        task,
    })
}

async fn serve(process: Arc<Process>, stream: UnixStream) {
    let (read, mut write) = stream.into_split();
    let mut lines = BufReader::new(read);
    loop {
        let mut line = String::new();
        let most = MAX_CALL as u64;
        match (&mut lines).take(most).read_line(&mut line).await {
            Ok(0) | Err(_) => return,
            Ok(_) if !line.ends_with('\n') => return,
            Ok(_) => {}
        }
        let sent = match Call::from_line(&line).map(|call| call.request) {
            Ok(Request::Trace { jid }) => calls::trace(&process, &jid, &mut write).await,
            Ok(request) => send(&mut write, &calls::answer(&process, request).await).await,
            Err(refusal) => send(&mut write, &refusal).await,
        };
        if sent.is_err() {
            return;
        }
    }
}

async fn send(to: &mut (impl AsyncWriteExt + Unpin), answer: &Answer) -> std::io::Result<()> {
    let line = answer.to_line().or_else(|error| {
        Answer::error(
            ErrorKind::Internal,
            format!("the answer cannot be written: {error}"),
        )
        .to_line()
    });
    to.write_all(line.map_err(std::io::Error::other)?.as_bytes())
        .await
}
