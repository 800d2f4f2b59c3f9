//! Ends connections to a server that has gone quiet. A host that vanished, or whose processes stand still, ends none by itself; whoever waits
//! for an answer would do so for a quarter of an hour, or for ever. What is shut down here fails at once, wherever it is waited for.

use std::{fs, net::SocketAddr, os::fd::RawFd};

use nix::sys::socket::{Shutdown, SockaddrIn, SockaddrIn6, getpeername, shutdown};

/// Shuts down this process's connections to these addresses, and returns how many there were. A descriptor that another thread
/// reuses at this very moment costs a connection too many, which is made again like any that breaks.
pub(super) fn sever(addresses: &[SocketAddr]) -> usize {
    let descriptors = fs::read_dir("/dev/fd").into_iter().flatten().flatten();
    let numbers = descriptors.filter_map(|entry| entry.file_name().to_str()?.parse::<RawFd>().ok());
    numbers
        .collect::<Vec<_>>()
        .into_iter()
        .filter(|&number| peer(number).is_some_and(|peer| addresses.contains(&peer)))
        .filter(|&number| shutdown(number, Shutdown::Both).is_ok())
        .count()
}

fn peer(number: RawFd) -> Option<SocketAddr> {
    if let Ok(peer) = getpeername::<SockaddrIn>(number) {
        return Some(SocketAddr::from((peer.ip(), peer.port())));
    }
    let peer = getpeername::<SockaddrIn6>(number).ok()?;
    Some(SocketAddr::from((peer.ip(), peer.port())))
}

#[cfg(test)]
mod tests {
    use std::{
        io::Read,
        net::{TcpListener, TcpStream},
    };

    use super::*;

    #[test]
    fn whoever_waits_on_a_severed_connection_hears_of_its_end_and_nobody_else() {
        let (quiet, other) =
            (TcpListener::bind("127.0.0.1:0").unwrap(), TcpListener::bind("[::1]:0").unwrap());
        let mut to_quiet = TcpStream::connect(quiet.local_addr().unwrap()).unwrap();
        let mut to_other = TcpStream::connect(other.local_addr().unwrap()).unwrap();
        let waiting = std::thread::spawn(move || to_quiet.read(&mut [0; 1]).unwrap_or_default());
        assert_eq!(sever(&[quiet.local_addr().unwrap()]), 1);
        assert_eq!(waiting.join().unwrap(), 0);
        to_other.set_nonblocking(true).unwrap();
        assert_eq!(to_other.read(&mut [0; 1]).unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
        assert_eq!(sever(&[other.local_addr().unwrap()]), 1);
    }
}
