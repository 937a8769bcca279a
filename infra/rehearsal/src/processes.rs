//! Finds the processes of functions, so that one can be killed in the middle of its work.

use std::fs;
use std::net::SocketAddr;

use rustix::process::{Pid, Signal, kill_process};

/// Kills the emulator's child process at this end of a connection; returns whether there was one.
#[must_use]
pub fn kill(emulator: u32, peer: SocketAddr) -> bool {
    let Some(inode) = inode(peer) else {
        return false;
    };
    let socket = format!("socket:[{inode}]");
    let holder = children(emulator)
        .into_iter()
        .find(|process| holds(*process, &socket));
    let process = holder.and_then(|process| i32::try_from(process).ok());
    process
        .and_then(Pid::from_raw)
        .is_some_and(|process| kill_process(process, Signal::KILL).is_ok())
}

/// The number of the socket with this address, from the kernel's table of connections.
fn inode(address: SocketAddr) -> Option<String> {
    let table = fs::read_to_string("/proc/net/tcp").ok()?;
    let port = format!(":{:04X}", address.port());
    let mut lines = table.lines().skip(1).map(|line| line.split_whitespace());
    lines.find_map(|mut words| {
        let ours = words.nth(1)?.ends_with(&port);
        ours.then(|| words.nth(7).map(str::to_owned)).flatten()
    })
}

/// Whether a process has this socket open.
fn holds(process: u32, socket: &str) -> bool {
    let Ok(files) = fs::read_dir(format!("/proc/{process}/fd")) else {
        return false;
    };
    files
        .flatten()
        .filter_map(|file| fs::read_link(file.path()).ok())
        .any(|target| target.as_os_str() == socket)
}

/// The children of a process, from `/proc`.
fn children(parent: u32) -> Vec<u32> {
    let Ok(threads) = fs::read_dir(format!("/proc/{parent}/task")) else {
        return Vec::new();
    };
    let lists = threads
        .flatten()
        .filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    lists
        .flat_map(|list| {
            let words = list.split_whitespace();
            words
                .filter_map(|word| word.parse().ok())
                .collect::<Vec<_>>()
        })
        .collect()
}
