//! Whether somebody still reads standard output.

use std::{io, thread};

use rustix::event::{PollFd, PollFlags, poll};
use tokio::sync::oneshot;

/// Returns when nobody reads any more what is written (`| head`): a watch without events would otherwise wait for its next line to hear
/// of it. Never returns where that can't be known.
pub(crate) async fn gone() {
    let (sender, receiver) = oneshot::channel();
    // A thread, rather than a task of the runtime's, which would be waited for at the end.
    thread::spawn(move || {
        let out = io::stdout();
        // Asked for nothing, the system tells only of errors and of who hung up.
        let mut watched = [PollFd::new(&out, PollFlags::empty())];
        while let Err(rustix::io::Errno::INTR) = poll(&mut watched, None) {}
        let [watched] = watched;
        if watched.revents().intersects(PollFlags::ERR | PollFlags::HUP) {
            let _ = sender.send(());
        }
    });
    if receiver.await.is_err() {
        std::future::pending::<()>().await;
    }
}
